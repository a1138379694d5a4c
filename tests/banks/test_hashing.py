"""PDQ agrees with the reference bit by bit, and colour sees what PDQ cannot."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pictures import waves

from zhentu.banks.hashing import MATCH_DISTANCE, colour_distance, colour_signature, hamming, pdq_hash

# Made once by pdqhash 0.2.8 (Meta's C++); the pictures are formulas, so that no decoder stands between.
REFERENCE = {
    (64, 64): "f67ded5d56ff1800d7fd92aab864c149fc6fd6c07a8f28260a52302a0a13baaa",
    (96, 130): "f6fded5dd7ff9008c7ed82aaa86583c9a96fd4807a8f2027ba1230aa2a13a8aa",
    (511, 333): "d67ddd5dd7ff980047fd82aaa8658149bc6fd6c06a9f2826ab52302aaa13a8aa",
    (1025, 700): "d7fdfd5fd7ff980007ed82aaa86581c9a86fd4c26a8d2027ab52303aaa13a8aa",
}


@pytest.mark.parametrize("size", REFERENCE)
def test_pdq_is_that_of_the_reference_implementation(size):
    pdq, quality = pdq_hash(waves(*size))
    assert hamming(pdq, bytes.fromhex(REFERENCE[size])) <= (0 if max(size) <= 512 else 2)
    assert quality == 100


def test_pdq_agrees_with_pdqhash_on_random_pictures():
    oracle = pytest.importorskip("pdqhash", reason="pip install pdqhash (needs a C++ compiler) to compare with it")
    rng = np.random.default_rng(5)
    for seed in range(20):
        picture = waves(int(rng.integers(5, 900)), int(rng.integers(5, 900)), seed)
        bits, expected = oracle.compute(picture)
        pdq, quality = pdq_hash(picture)
        assert hamming(pdq, np.packbits(bits.astype(np.uint8)).tobytes()) <= 2
        assert abs(quality - expected) <= 1


def test_pdq_survives_resizing_and_recompression():
    picture = waves(800, 600)
    smaller = cv2.resize(picture, (240, 320), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 40])
    again = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert hamming(pdq_hash(picture)[0], pdq_hash(again)[0]) <= MATCH_DISTANCE
    assert colour_distance(colour_signature(picture), colour_signature(again)) < 0.05


def test_pictures_without_structure_have_no_quality():
    assert pdq_hash(np.full((300, 200, 3), 128, np.uint8))[1] == 0


def test_other_pictures_lie_far_apart():
    assert hamming(pdq_hash(waves(200, 200, 1))[0], pdq_hash(waves(200, 200, 2))[0]) > 90


def test_red_and_blue_of_one_shape_differ_in_colour_alone():
    shape = cv2.circle(np.zeros((300, 300), np.uint8), (140, 160), 90, 255, -1)
    red, blue = (np.full((300, 300, 3), 255, np.uint8) for _ in range(2))
    red[shape > 0], blue[shape > 0] = (200, 20, 20), (20, 20, 200)
    grey = np.float32([0.299, 0.587, 0.114])
    blue[shape > 0] = np.clip(
        np.array([20, 20, 200]) * (np.float32([200, 20, 20]) @ grey / (np.float32([20, 20, 200]) @ grey)), 0, 255
    )
    assert hamming(pdq_hash(red)[0], pdq_hash(blue)[0]) <= MATCH_DISTANCE
    assert colour_distance(colour_signature(red), colour_signature(blue)) > 0.3
