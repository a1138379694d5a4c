"""Two canvases laid over each other: what the pixels and the places themselves say where a motion brings them together.

A motion that key points agree on is refined by optical flow, smoothed so that it follows folds and lenses and not what
was altered. Then light, colour and detail are compared at once all over and where they differ most: a print more or a
seam moved fills a hundredth of the goods.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import PLACES, SIDE, Canvas, FloatArray, lab_of
from zhentu.detect.look import Look
from zhentu.detect.points import POINT_NAMES, motion_of, moved

_CELLS = 28  # a side: 16 canvas pixels, the size of a button
_SMOOTH_FLOW = 16.0  # canvas pixels
_FARTHEST_FLOW = 16.0
_NOISE = 3.0  # variance of lightness that codecs leave
_DETAIL = {"fine": 2.0, "middle": 4.0, "coarse": 8.0}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Overlay:
    """Both canvases in the first one's pixels, in Lab. both: where both show goods.  flow: what refined the motion."""

    one: FloatArray
    other: FloatArray
    both: Mask
    flow: FloatArray


def aligned(first: Look, second: Look) -> dict[str, float]:
    """All figures of ALIGNED_NAMES; zero where the two cannot be laid over each other."""
    motion = motion_of(first.canvas, second.canvas)
    figures = dict.fromkeys(ALIGNED_NAMES, 0.0) | motion.figures
    if motion.warp is None:
        return figures
    shape = _outline(first.canvas, second.canvas, motion.warp)
    overlay = _laid_over(first.canvas, second.canvas, motion.warp)
    if overlay.both.mean() < 0.02:
        return figures
    return figures | {
        "aligned": 1.0,
        **shape,
        **_tokens(first, second, motion.warp),
        **_flow(overlay),
        **_residual(overlay),
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


def _laid_over(first: Canvas, second: Canvas, warp: FloatArray) -> _Overlay:
    over = cv2.warpPerspective(second.rgb, warp, (SIDE, SIDE), borderValue=(255, 255, 255))
    mask = cv2.warpPerspective(second.mask, warp, (SIDE, SIDE))
    inside = (first.mask > 0.5) & (mask > 0.5)
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (first.rgb, np.asarray(over, np.uint8))]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = search.calc(grey[0], grey[1], None)  # type: ignore[call-overload]  # no first guess
    flow = np.clip(np.where(inside[..., None], flow, 0), -_FARTHEST_FLOW, _FARTHEST_FLOW)
    weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), _SMOOTH_FLOW)[..., None] + 1e-2
    smooth = cv2.GaussianBlur(flow, (0, 0), _SMOOTH_FLOW) / weight
    x, y = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    maps = x + smooth[..., 0], y + smooth[..., 1]
    over = cv2.remap(over, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.remap(mask, *maps, cv2.INTER_LINEAR)
    return _Overlay(
        lab_of(first.rgb, first.light),
        lab_of(np.asarray(over, np.uint8), second.light),
        (first.mask > 0.7) & (mask > 0.7),
        np.concatenate([smooth, flow - smooth], 2).astype(np.float32),
    )


def _tokens(first: Look, second: Look, warp: FloatArray) -> dict[str, float]:
    """Likeness of each place to the place it lies over, or the most alike of that one's neighbours."""
    step = SIDE / PLACES
    columns, rows = np.meshgrid(np.arange(PLACES), np.arange(PLACES))
    middles = (np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32) + 0.5) * step
    there = np.floor(moved(middles, np.linalg.inv(warp).astype(np.float32)) / step).astype(int)
    on_canvas = ((there >= 0) & (there < PLACES)).all(1)
    weight = first.weight
    used = np.flatnonzero(on_canvas & (weight > 0.25 * weight.max()))
    if len(used) < 4:
        return {}
    around = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    near = (there[used, None] + around).clip(0, PLACES - 1)
    figures: dict[str, float] = {}
    for block in range(len(first.tokens)):
        own, others = first.tokens[block][used].astype(np.float32), second.tokens[block].astype(np.float32)
        alike = np.einsum("pd,pnd->pn", own, others[near[..., 1] * PLACES + near[..., 0]]).max(1)
        figures |= {
            f"aligned.place{block}": float(alike.mean()),
            f"aligned.place{block}_worst": float(np.quantile(alike, 0.05)),
        }
    return figures


def _flow(overlay: _Overlay) -> dict[str, float]:
    """How far flow had to go beyond the motion, how unevenly, and what smoothing left of it."""
    smooth, rest = overlay.flow[..., :2], overlay.flow[..., 2:]
    bent = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).max(2)
    both = overlay.both
    return {
        "aligned.flow": float(np.linalg.norm(smooth, axis=2)[both].mean()),
        "aligned.bent": float(np.quantile(bent[both], 0.95)),
        "aligned.torn": float(np.quantile(np.linalg.norm(rest, axis=2)[both], 0.95)),
    }


def _residual(overlay: _Overlay) -> dict[str, float]:
    """What differs after the common shift of colour: all over, and in the places that differ most."""
    one, other, both = overlay.one, overlay.other, overlay.both
    gap = cv2.GaussianBlur(one, (0, 0), 3) - cv2.GaussianBlur(other, (0, 0), 3)
    shift = np.median(gap[both], 0)
    share = cv2.resize(both.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    used = share >= min(0.4, float(share.max()))

    def by_cell(values: FloatArray) -> FloatArray:
        mean = cv2.resize(values * both, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA) / np.maximum(share, 0.05)
        return np.asarray(mean[used], np.float32)

    own = gap - shift
    # Lamps and folds change slowly from place to place; what was printed on or cut off does not.
    local = np.abs(own - cv2.GaussianBlur(own, (0, 0), 40))
    figures = {"aligned.shift": float(np.hypot(*shift[1:])), "aligned.light": float(abs(shift[0]))}
    figures |= _summed("own", by_cell(np.linalg.norm(own, axis=2).astype(np.float32)))
    figures |= _summed("tint", by_cell(np.hypot(own[..., 1], own[..., 2])))
    figures |= _summed("spot", by_cell(local[..., 0] + 2 * np.hypot(local[..., 1], local[..., 2])))
    for name, sigma in _DETAIL.items():
        detail = [each[..., 0] - cv2.GaussianBlur(each[..., 0], (0, 0), sigma) for each in (one, other)]
        power = by_cell(detail[0] ** 2), by_cell(detail[1] ** 2)
        figures |= _summed(name, by_cell((detail[0] - detail[1]) ** 2) / (power[0] + power[1] + _NOISE))
        ratio = np.log((power[0] + 0.3) / (power[1] + 0.3))
        figures[f"aligned.{name}_energy"] = float(abs(np.median(ratio)))
        figures[f"aligned.{name}_uneven"] = float(np.quantile(np.abs(ratio - np.median(ratio)), 0.9))
    return figures


def _summed(name: str, cells: FloatArray) -> dict[str, float]:
    mean, worst, top = float(cells.mean()), float(np.quantile(cells, 0.9)), float(np.quantile(cells, 0.99))
    return {
        f"aligned.{name}": mean,
        f"aligned.{name}_worst": worst,
        f"aligned.{name}_top": top,
        f"aligned.{name}_spike": top / (float(np.median(cells)) + 0.1 * mean + 1e-2),
    }


_BLOCKS = 3
ALIGNED_NAMES: tuple[str, ...] = (
    *POINT_NAMES,
    *("aligned", "outline.unlike", "outline.scale"),
    *(f"aligned.place{block}{end}" for block in range(_BLOCKS) for end in ("", "_worst")),
    *("aligned.flow", "aligned.bent", "aligned.torn", "aligned.shift", "aligned.light"),
    *(f"aligned.{name}{end}" for name in ("own", "tint", "spot", *_DETAIL) for end in ("", "_worst", "_top", "_spike")),
    *(f"aligned.{name}{end}" for name in _DETAIL for end in ("_energy", "_uneven")),
)
