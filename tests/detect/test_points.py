"""How one canvas lies over another, from key points whose partners are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from zhentu.detect.canvas import SIDE, Canvas, Points, canvas_of
from zhentu.detect.goods import judged
from zhentu.detect.points import motion_of, moved

GRID = np.array([(60 + 70 * (k % 5), 60 + 70 * (k // 5)) for k in range(25)], np.float32)


def canvas(at: np.ndarray) -> Canvas:
    """A blank canvas with key points at these places, each with a descriptor that only its partner has."""
    described = np.eye(128, dtype=np.float32)[: len(at)]
    blank, ones = np.full((SIDE, SIDE, 3), 255, np.uint8), np.ones((SIDE, SIDE), np.float32)
    return Canvas(blank, ones, np.ones(3, np.float32), False, 1.0, (0.0, 0.0), Points(at.astype(np.float32), described))


@pytest.mark.parametrize(("count", "aligns"), [(11, False), (12, True), (25, True)])
def test_twelve_pairs_that_move_alike_align_two_pictures(count: int, aligns: bool) -> None:
    motion = motion_of(canvas(GRID[:count]), canvas(GRID[:count] + np.array([12, -7])))
    assert (motion.warp is not None) is aligns


def test_the_warp_takes_points_of_the_second_to_where_the_first_has_them() -> None:
    turned = (GRID - 200) @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32) * 0.9 + 220
    motion = motion_of(canvas(GRID), canvas(turned))
    assert motion.warp is not None
    assert np.abs(moved(turned.astype(np.float32), motion.warp) - GRID).max() < 1
    assert motion.figures["points.matched"] == 1
    assert motion.figures["points.share"] == 1


def test_points_that_move_each_on_its_own_align_nothing() -> None:
    scattered = np.random.default_rng(1).uniform(20, 420, GRID.shape)
    assert motion_of(canvas(GRID), canvas(scattered)).warp is None


@pytest.mark.parametrize("scale", [0.2, 4.0])
def test_a_picture_that_would_have_to_shrink_or_grow_too_much_is_not_aligned(scale: float) -> None:
    middle = GRID.mean(0)
    small = (GRID - middle) * (1 / scale if scale > 1 else scale) + middle
    pair = (canvas(GRID), canvas(small)) if scale < 1 else (canvas(small), canvas(GRID))
    assert motion_of(*pair).warp is None


def test_a_mirrored_picture_is_laid_over_and_named_so() -> None:
    rgb = np.ascontiguousarray(data.coffee()[:400, 100:500])
    goods = judged(np.ones((224, 224), np.float32), 400, 400, least_sureness=0.5)
    plain, mirrored = canvas_of(rgb, goods), canvas_of(np.ascontiguousarray(rgb[:, ::-1]), goods)
    motion = motion_of(plain, mirrored)
    assert motion.warp is not None
    corner = np.array([[10, 20], [300, 200]], np.float32)
    assert np.abs(moved(corner, motion.warp) - [[SIDE - 11, 20], [SIDE - 301, 200]]).max() < 2
    assert motion.figures["points.mirrored"] == 1
    assert motion.figures["points.share"] > 0.9
    assert motion_of(plain, plain).figures["points.mirrored"] == 0


def test_neither_way_aligns_what_has_nothing_in_common() -> None:
    far = np.zeros((25, 128), np.float32)
    far[:, 100:] = 0.19
    other = replace(canvas(GRID), points=Points(GRID, far))
    motion = motion_of(canvas(GRID), other)
    assert motion.warp is None
    assert motion.figures["points.mirrored"] == 0


def test_details_that_stand_elsewhere_once_more_are_counted_with_the_points() -> None:
    described = np.eye(128, dtype=np.float32)[[0, 0, 1, 2]]
    apart = np.array([[10, 10], [200, 10], [10, 200], [200, 200]], np.float32)
    assert Points(apart, described).repeated == 0.5
    assert Points(apart / 100, described).repeated == 0  # so near, a twin is the same detail at another scale
    assert Points(apart[:1], described[:1]).repeated == 0
