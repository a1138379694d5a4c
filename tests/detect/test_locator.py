"""Traces of cells, the network over them, and what it is worth: a pasted part of another grain is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import photo

from zhentu.detect.locator import Locator
from zhentu.detect.models import Manifest, models_folder
from zhentu.detect.traces import CELLS, FIGURES, traces_of
from zhentu.errors import ModelError
from zhentu.types import CATEGORIES, Category

CUTOUT = CATEGORIES.index(Category.CUTOUT_ARTIFACT)


def pixels(width: int, height: int) -> np.ndarray:
    return np.asarray(photo((width, height), 1))


def test_every_size_of_picture_has_traces() -> None:
    for height, width in ((1, 1), (1, 900), (900, 1), (40, 3000), (700, 500)):
        found = traces_of(np.zeros((height, width, 3), np.uint8))
        assert found.shape == (CELLS, CELLS, FIGURES)
        assert np.isfinite(found).all()


def test_a_large_picture_is_read_at_640_pixels() -> None:
    large = cv2.resize(pixels(320, 320), (1280, 1280), interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(large, (640, 640), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(traces_of(large), traces_of(small))


def test_noise_is_where_it_was_put_and_nowhere_else() -> None:
    """Each figure of noise is higher in the noisy corner than the highest elsewhere."""
    rgb = np.full((448, 448, 3), 120, np.uint8)
    rgb[:96, :96] = np.clip(rgb[:96, :96] + np.random.default_rng(2).normal(0, 12, (96, 96, 3)), 0, 255)
    found = traces_of(rgb)
    assert (found[:5, :5, 7:11].min((0, 1)) > found[8:, 8:, 7:11].max((0, 1)) + 0.5).all()


def test_a_grid_of_eight_pixels_is_told_from_one_of_seven() -> None:
    """Steps where JPEG's blocks meet raise the figure of the grid; steps elsewhere lower it."""
    found = []
    for step in (8, 7):
        rgb = np.full((448, 448, 3), 100, np.uint8)
        rgb[:, np.arange(448) // step % 2 == 1] = 104
        found.append(traces_of(rgb)[..., -1].mean())
    assert found[0] > 1 > found[1]


def test_the_shipped_locator_finds_a_smoothed_part_of_a_grainy_picture() -> None:
    """Whatever it learnt, a part without the grain of its picture, or with more, must stand out in the cut-out map."""
    rng = np.random.default_rng(5)
    rgb = np.clip(cv2.GaussianBlur(pixels(560, 560), (0, 0), 6) + rng.normal(0, 6, (560, 560, 3)), 0, 255)
    rgb = rgb.astype(np.uint8)
    rgb[300:480, 60:240] = cv2.GaussianBlur(rgb, (0, 0), 3)[300:480, 60:240]
    locator = Locator.of(models_folder())
    assert locator is not None
    maps = locator.find(rgb)
    assert maps.shape == (5, CELLS, CELLS)
    assert ((maps >= 0) & (maps <= 1)).all()
    inside, outside = maps[CUTOUT, 15:24, 3:12], np.delete(maps[CUTOUT], np.s_[14:25], 0)
    assert inside.mean() > outside.mean() + 0.2


def test_a_locator_that_is_missing_or_altered_is_refused(tmp_path: Path) -> None:
    entry = Manifest.load(models_folder()).locator
    assert entry is not None
    with pytest.raises(ModelError, match="cannot be read"):
        Locator(entry, tmp_path).find(pixels(64, 64))
    with pytest.raises(ModelError, match="altered"):
        Locator(replace(entry, sha256="0" * 64), models_folder()).find(pixels(64, 64))
    assert str(Locator(entry, tmp_path).model).startswith("zhentu-places@")


def test_a_models_folder_without_a_locator_has_none(tmp_path: Path) -> None:
    replace(Manifest.load(models_folder()), locator=None).save(tmp_path)
    assert Locator.of(tmp_path) is None
