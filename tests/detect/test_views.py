from __future__ import annotations

import numpy as np
import pytest
from conftest import photo
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from zhentu.detect.views import ViewSpec, make_views

SPEC = ViewSpec(whole_size=64, crop_size=32, crop_count=4)


def pixels(width: int, height: int, seed: int = 1) -> np.ndarray:
    return np.asarray(photo((width, height), seed))


@examples(max_examples=60)
@given(st.integers(32, 400), st.integers(32, 400))
def test_shapes_hold_for_every_size_and_boxes_lie_inside(width: int, height: int) -> None:
    views = make_views(pixels(width, height), SPEC)
    assert views.whole.shape == (1, 64, 64, 3)
    assert views.crops.shape == (len(views.boxes), 32, 32, 3)
    assert 1 <= len(views.boxes) <= 4
    assert all(box.x + box.w <= width and box.y + box.h <= height for box in views.boxes)


def test_crops_are_the_pictures_own_pixels_unresized() -> None:
    rgb = pixels(300, 200)
    views = make_views(rgb, SPEC)
    for crop, box in zip(views.crops, views.boxes, strict=True):
        assert np.array_equal(crop, rgb[box.y : box.y + 32, box.x : box.x + 32])


def test_crops_go_where_the_texture_is() -> None:
    rgb = np.full((400, 400, 3), 255, np.uint8)
    rgb[300:, 300:] = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    boxes = make_views(rgb, SPEC).boxes
    assert all(box.x + box.w > 300 and box.y + box.h > 300 for box in boxes[:3])


def test_a_small_picture_is_mirrored_not_stretched() -> None:
    rgb = pixels(32, 20)
    crop = make_views(rgb, SPEC).crops[0]
    assert np.array_equal(crop[:20], rgb)
    assert np.array_equal(crop[20], rgb[19])


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_picture_still_yields_spread_out_crops(value: int) -> None:
    boxes = make_views(np.full((200, 200, 3), value, np.uint8), SPEC).boxes
    assert len({(box.x, box.y) for box in boxes}) == 4


@pytest.mark.parametrize("part", range(8))
def test_texture_is_found_anywhere_in_a_very_long_picture(part: int) -> None:
    """Its windows are narrower than a pixel of the whole view, and none of them may be overlooked."""
    rgb = np.full((32, 6400, 3), 255, np.uint8)
    rgb[np.arange(32) // 4 % 2 == 0, part * 800 : (part + 1) * 800] = 0
    for picture in (rgb, rgb.swapaxes(0, 1).copy()):
        boxes = make_views(picture, ViewSpec(whole_size=16, crop_size=8, crop_count=2)).boxes
        assert all(part * 800 - 400 < max(box.x, box.y) < (part + 1) * 800 + 400 for box in boxes)


def test_windows_overlap_by_half_and_reach_both_ends() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (32, 96, 3), dtype=np.uint8)
    boxes = make_views(rgb, ViewSpec(whole_size=64, crop_size=32, crop_count=9)).boxes
    assert sorted(box.x for box in boxes) == [0, 16, 32, 48, 64]
    assert {(box.y, box.w, box.h) for box in boxes} == {(0, 32, 32)}


def test_no_side_has_more_than_24_windows() -> None:
    rgb = pixels(4000, 32)
    boxes = make_views(rgb, ViewSpec(whole_size=32, crop_size=32, crop_count=99)).boxes
    assert len(boxes) == 24
    assert (min(box.x for box in boxes), max(box.x for box in boxes)) == (0, 3968)


@pytest.mark.parametrize(("side", "kept"), [(64, 64), (128, 64), (640, 64), (20, 64)])
def test_the_whole_view_is_the_mean_of_what_it_shows(side: int, kept: int) -> None:
    rgb = np.zeros((side, side, 3), np.uint8)
    rgb[:, side // 2 :] = 200
    whole = make_views(rgb, SPEC).whole[0]
    assert whole.shape == (kept, kept, 3)
    assert whole.mean() == pytest.approx(100, abs=2)
    assert (whole[:, : kept // 2 - 3].max(), whole[:, kept // 2 + 3 :].min()) == (0, 200)


def test_a_large_picture_is_averaged_block_by_block() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    whole = make_views(rgb, SPEC).whole[0]
    means = rgb.reshape(64, 10, 64, 10, 3).mean((1, 3))
    assert np.abs(whole - means).max() <= 1
