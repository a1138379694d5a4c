"""Two canvases laid over each other: what the pixels and the places themselves say where a motion brings them together.

A motion that key points agree on is refined by optical flow, smoothed so that it follows folds and lenses and not what
was altered. What then differs is measured in `residual.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import PLACES, SIDE, Canvas, FloatArray, lab_of
from zhentu.detect.look import Look
from zhentu.detect.points import POINT_NAMES, motion_of, moved
from zhentu.detect.residual import HALF, RESIDUAL_NAMES, Overlay, residual
from zhentu.detect.views import RgbArray

_QUARTER = SIDE // 4  # pixels a side of the copies that optical flow sees
_SMOOTH_FLOW = 4.0  # of these pixels
_FARTHEST_FLOW = 16.0  # canvas pixels


def aligned(first: Look, second: Look, likeness: Sequence[FloatArray]) -> dict[str, float]:
    """All figures of ALIGNED_NAMES; zero where the two cannot be laid over each other.

    likeness: cosines of all places of the first with all of the second, by block.
    """
    motion = motion_of(first.canvas, second.canvas)
    figures = dict.fromkeys(ALIGNED_NAMES, 0.0) | motion.figures
    if motion.warp is None:
        return figures
    shape = _outline(first.canvas, second.canvas, motion.warp)
    overlay, bends = _laid_over(first.canvas, second.canvas, motion.warp)
    if overlay.both.mean() < 0.02:
        return figures
    return figures | {
        "aligned": 1.0,
        **shape,
        **_tokens(first.weight, likeness, motion.warp),
        **bends,
        **residual(overlay),
    }


def _outline(first: Canvas, second: Canvas, warp: FloatArray) -> dict[str, float]:
    """Whether outline and inside moved alike: a pattern of another size on goods of the same size did not."""
    shown = cv2.warpPerspective(second.mask, warp, (SIDE, SIDE)) > 0.5
    own = first.mask > 0.5
    middle = np.array([[SIDE / 2, SIDE / 2], [SIDE / 2 + 8, SIDE / 2], [SIDE / 2, SIDE / 2 + 8]], np.float32)
    there = moved(middle, warp)
    size = abs(float(np.linalg.det(np.stack([there[1] - there[0], there[2] - there[0]])))) / 64
    areas = float(own.sum()) + 1, float((second.mask > 0.5).sum()) + 1
    return {
        "outline.unlike": 1 - float((own & shown).sum() / max((own | shown).sum(), 1)),
        "outline.scale": abs(float(np.log(max(size, 0.01) * areas[1] / areas[0]))),
    }


def _laid_over(first: Canvas, second: Canvas, warp: FloatArray) -> tuple[Overlay, dict[str, float]]:
    """Both in the first one's pixels, and what it took to bring them there."""
    over = cv2.warpPerspective(second.rgb, warp, (SIDE, SIDE), borderValue=(255, 255, 255))
    mask = cv2.warpPerspective(second.mask, warp, (SIDE, SIDE))
    inside = ((first.mask > 0.5) & (mask > 0.5)).astype(np.float32)
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (first.rgb, np.asarray(over, np.uint8))]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = search.calc(grey[0], grey[1], None)  # type: ignore[call-overload]  # no first guess
    flow = _smaller(np.clip(flow, -_FARTHEST_FLOW, _FARTHEST_FLOW), _QUARTER)
    share = _smaller(inside, _QUARTER)
    weight = cv2.GaussianBlur(share, (0, 0), _SMOOTH_FLOW) + 1e-2
    smooth = np.asarray(cv2.GaussianBlur(flow * share[..., None], (0, 0), _SMOOTH_FLOW) / weight[..., None])
    x, y = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    bent = cv2.resize(smooth, (SIDE, SIDE))
    maps = x + bent[..., 0], y + bent[..., 1]
    over = cv2.remap(over, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.remap(mask, *maps, cv2.INTER_LINEAR)
    both = ((first.mask > 0.7) & (mask > 0.7)).astype(np.float32)
    overlay = Overlay(
        _lightness(first.rgb),
        _lightness(np.asarray(over, np.uint8)),
        _colour(first.rgb, first.light),
        _colour(np.asarray(over, np.uint8), second.light),
        both,
    )
    return overlay, _bends(smooth, np.asarray(flow - smooth), _smaller(both, _QUARTER) > 0.5)


def _lightness(rgb: RgbArray) -> FloatArray:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 2.55)


def _colour(rgb: RgbArray, light: FloatArray) -> FloatArray:
    return lab_of(np.asarray(cv2.resize(rgb, (HALF, HALF), interpolation=cv2.INTER_AREA), np.uint8), light)


def _smaller(values: FloatArray, side: int) -> FloatArray:
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _bends(smooth: FloatArray, rest: FloatArray, both: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How far flow had to go beyond the motion, how unevenly, and what smoothing left of it."""
    if not both.any():
        return {}
    bent = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).max(2)
    return {
        "aligned.flow": float(np.linalg.norm(smooth, axis=2)[both].mean()),
        "aligned.bent": float(np.quantile(bent[both], 0.95)),
        "aligned.torn": float(np.quantile(np.linalg.norm(rest, axis=2)[both], 0.95)),
    }


def _tokens(weight: FloatArray, likeness: Sequence[FloatArray], warp: FloatArray) -> dict[str, float]:
    """Likeness of each place to the place it lies over, or the most alike of that one's neighbours."""
    step = SIDE / PLACES
    columns, rows = np.meshgrid(np.arange(PLACES), np.arange(PLACES))
    middles = (np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32) + 0.5) * step
    there = np.floor(moved(middles, np.linalg.inv(warp).astype(np.float32)) / step).astype(int)
    on_canvas = ((there >= 0) & (there < PLACES)).all(1)
    used = np.flatnonzero(on_canvas & (weight > 0.25 * weight.max()))
    if len(used) < 4:
        return {}
    around = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    near = (there[used, None] + around).clip(0, PLACES - 1)
    figures: dict[str, float] = {}
    for block, cosines in enumerate(likeness):
        alike = cosines[used[:, None], near[..., 1] * PLACES + near[..., 0]].max(1)
        figures |= {
            f"aligned.place{block}": float(alike.mean()),
            f"aligned.place{block}_worst": float(np.quantile(alike, 0.05)),
        }
    return figures


_BLOCKS = 3
ALIGNED_NAMES: tuple[str, ...] = (
    *POINT_NAMES,
    *("aligned", "outline.unlike", "outline.scale"),
    *(f"aligned.place{block}{end}" for block in range(_BLOCKS) for end in ("", "_worst")),
    *("aligned.flow", "aligned.bent", "aligned.torn"),
    *RESIDUAL_NAMES,
)
