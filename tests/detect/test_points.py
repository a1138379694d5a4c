"""How one canvas lies over another, from key points whose partners are known."""

from __future__ import annotations

import numpy as np
import pytest

from zhentu.detect.canvas import SIDE, Canvas, Points
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
