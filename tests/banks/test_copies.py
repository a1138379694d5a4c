"""A copy is found however it was saved or trimmed; another photograph, and the honest one behind an edit, is not."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from conftest import encoded
from PIL import Image

from zhentu.banks.copies import copied_bits
from zhentu.banks.hashing import MATCH_DISTANCE, fingerprint_of, hamming
from zhentu.intake.decode import decode
from zhentu.samples import read_sample, samples
from zhentu.types import Picture

NAMES = [each.name for each in samples()]
REAL = [name for name in NAMES if name.startswith("genuine_") and "bricks" not in name]
PICTURES = {name: decode(read_sample(name)) for name in NAMES}
Change = Callable[[np.ndarray], np.ndarray]


def changed(picture: Picture, change: Change, quality: int = 75) -> Picture:
    return decode(encoded(Image.fromarray(np.ascontiguousarray(change(picture.rgb))), "JPEG", quality=quality))


def trimmed(left: float, top: float, right: float, bottom: float) -> Change:
    def change(rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        return rgb[int(height * top) : height - int(height * bottom), int(width * left) : width - int(width * right)]

    return change


def smaller(rgb: np.ndarray) -> np.ndarray:
    return cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def another_shot(rgb: np.ndarray) -> np.ndarray:
    """As if the photographer had taken a step aside: perspective, a little nearer, another exposure."""
    height, width = rgb.shape[:2]
    seen = np.float32([[0.06, 0.03], [0.98, 0.1], [0.94, 0.93], [0.02, 0.99]]) * np.float32([width, height])
    whole = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    moved = cv2.warpPerspective(rgb, cv2.getPerspectiveTransform(seen, whole), (width, height))
    return np.clip(moved.astype(np.float32) * 0.92 + 6, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize(
    "change",
    [
        *(lambda rgb: rgb, smaller, lambda rgb: rgb[:, ::-1], trimmed(0.05, 0.05, 0.05, 0.05)),
        *(trimmed(0.03, 0.07, 0.06, 0.01), trimmed(0.1, 0, 0, 0), trimmed(0, 0, 0, 0.15)),
    ],
    ids=["saved again", "halved", "mirrored", "trimmed by 5 %", "unevenly trimmed", "left cut off", "foot cut off"],
)
def test_a_copy_of_a_photograph_is_found(name: str, change: Change) -> None:
    bits = copied_bits(PICTURES[name], changed(PICTURES[name], change))
    assert bits is not None
    assert bits <= MATCH_DISTANCE


@pytest.mark.parametrize("name", REAL)
def test_another_shot_in_the_same_pose_is_no_copy(name: str) -> None:
    shot = changed(PICTURES[name], another_shot, 90)
    assert copied_bits(PICTURES[name], shot) is None


def behind(forged: str) -> list[str]:
    """The honest pictures that an edit may have been made of."""
    goods = forged.removesuffix(".jpg").rpartition("_")[2]
    rendered = f"rendered_{goods}.jpg"
    return [rendered] if rendered in NAMES else REAL


# A round trip through an autoencoder that nobody sees: by its look it is a copy.
UNSEEN = "forged_ai_generated_mug.jpg"


@pytest.mark.parametrize("forged", [name for name in NAMES if name.startswith("forged_") and name != UNSEEN])
def test_the_honest_picture_behind_an_edit_is_no_copy(forged: str) -> None:
    found = [honest for honest in behind(forged) if copied_bits(PICTURES[forged], PICTURES[honest]) is not None]
    assert found == []


def test_a_local_edit_leaves_the_photograph_a_proof() -> None:
    """PDQ and colours agree; the place that was edited does not."""
    cup = PICTURES["genuine_cup.jpg"]
    edited = cup.rgb.copy()
    height, width = edited.shape[:2]
    place = edited[height // 2 : height // 2 + height // 20, width // 2 : width // 2 + width // 20]
    place[:] = 255 - place
    disputed = Picture(edited, "e" * 64, "JPEG", 1)
    assert hamming(fingerprint_of(disputed).pdq, fingerprint_of(cup).pdq) <= MATCH_DISTANCE
    assert copied_bits(disputed, cup) is None


def test_a_plain_ground_and_other_colours_are_no_copies() -> None:
    cup = PICTURES["genuine_cup.jpg"]
    assert copied_bits(cup, changed(cup, lambda rgb: rgb[..., ::-1])) is None
    flat = Picture(np.full((90, 90, 3), 200, np.uint8), "f" * 64, "PNG", 1)
    assert copied_bits(flat, flat) is None, "a plain ground proves nothing"
