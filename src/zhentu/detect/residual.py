"""What differs between two canvases laid over each other: everywhere at once, and where they differ most.

An added print or a moved seam covers a hundredth of the goods, so every map is summed up by its mean, its worst places
and its largest connected patch; the rim of the goods, where mattes and grounds differ, is left out of the latter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import SIDE, FloatArray

HALF = SIDE // 2
_CELLS = 28  # a side: 16 canvas pixels, the size of a button
_NOISE = 3.0  # variance of lightness that codecs leave
_SLOW = 5.0  # pixels of an eighth of the canvas: light and folds do not change within fewer
_LEAST_CORE = 400  # pixels of half the canvas
_RIM = 7  # pixels of half the canvas
_WINDOWS = (9, 21)  # pixels of half the canvas, a side, within which patterns are correlated
_UNLIKE = 0.3  # correlation below which a pattern is another one
_STANDS_OUT = 3.0, 4.0  # times the median, and Lab units beside

Mask = npt.NDArray[np.bool_]
_ByCell = Callable[[FloatArray], FloatArray]  # a map (side, side) to means of the used cells


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Two canvases in the first one's pixels.

    light, other_light: lightness, float32 (SIDE, SIDE) up to 100.  colour, other_colour: Lab in neutral light, float32
    (HALF, HALF, 3).  both: 1 where both show goods, float32 (SIDE, SIDE).
    """

    light: FloatArray
    other_light: FloatArray
    colour: FloatArray
    other_colour: FloatArray
    both: FloatArray


def residual(overlay: Overlay) -> dict[str, float]:
    """All figures of RESIDUAL_NAMES."""
    both = _smaller(overlay.both, HALF)
    share = _smaller(both, _CELLS)
    used = share >= min(0.4, float(share.max()))

    def by_cell(values: FloatArray) -> FloatArray:
        weight = overlay.both if values.shape[0] == SIDE else both
        return np.asarray((_smaller(values * weight, _CELLS) / np.maximum(share, 0.05))[used])

    one, other = overlay.light, overlay.other_light
    halves = _smaller(one, HALF), _smaller(other, HALF)
    return {
        **_detail("fine", one, other, 2.0, by_cell),
        **_detail("middle", *halves, 2.0, by_cell),
        **_detail("coarse", *halves, 4.0, by_cell),
        **_colours(overlay, by_cell, core := _core(both)),
        **_patterns(*halves, core),
    }


def _core(both: FloatArray) -> Mask:
    """Where both show goods, without the rim, (HALF, HALF); with it if little else would be left."""
    whole = both > 0.99
    inner = cv2.erode(whole.astype(np.uint8), np.ones((_RIM, _RIM), np.uint8), borderValue=0) > 0
    if inner.sum() >= _LEAST_CORE:
        return np.asarray(inner)
    return np.asarray(whole if whole.any() else both > 0)


def _smaller(values: FloatArray, side: int) -> FloatArray:
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _detail(name: str, one: FloatArray, other: FloatArray, sigma: float, by_cell: _ByCell) -> dict[str, float]:
    """One octave by cell. Blur takes from edges and weave; what a network drew anew keeps edges and loses the weave."""
    details = one - cv2.GaussianBlur(one, (0, 0), sigma), other - cv2.GaussianBlur(other, (0, 0), sigma)
    powers = by_cell(details[0] ** 2), by_cell(details[1] ** 2)
    unlike = by_cell((details[0] - details[1]) ** 2) / (powers[0] + powers[1] + _NOISE)
    ratio, strength = np.log((powers[0] + 0.3) / (powers[1] + 0.3)), powers[0] + powers[1]
    plain, edges = strength <= np.quantile(strength, 0.5), strength >= np.quantile(strength, 0.8)
    return {
        **_summed(name, unlike),
        f"aligned.{name}_plain": float(unlike[plain].mean()),
        f"aligned.{name}_split": float(abs(np.median(ratio[plain]) - np.median(ratio[edges]))),
        f"aligned.{name}_energy": float(abs(np.median(ratio))),
        f"aligned.{name}_uneven": float(np.quantile(np.abs(ratio - np.median(ratio)), 0.9)),
    }


def _colours(overlay: Overlay, by_cell: _ByCell, core: Mask) -> dict[str, float]:
    """What is left of light and colour after their common shift, and after what changes slowly over the goods."""
    gap = cv2.GaussianBlur(overlay.colour - overlay.other_colour, (0, 0), 1.5)
    shift = np.median(gap[core], 0)
    own = gap - shift
    eighth = cv2.resize(own, (SIDE // 8, SIDE // 8), interpolation=cv2.INTER_AREA)
    local = np.abs(own - cv2.resize(cv2.GaussianBlur(eighth, (0, 0), _SLOW), (HALF, HALF)))
    spot = np.asarray(local[..., 0] + 2 * np.hypot(local[..., 1], local[..., 2]))
    figures = {"aligned.shift": float(np.hypot(*shift[1:])), "aligned.light": float(abs(shift[0]))}
    figures |= _summed("own", by_cell(np.linalg.norm(own, axis=2)))
    figures |= _summed("tint", by_cell(np.hypot(own[..., 1], own[..., 2])))
    figures |= _summed("spot", by_cell(spot))
    middle = float(np.median(spot[core]))
    patch, area = _largest(np.asarray((spot > _STANDS_OUT[0] * middle + _STANDS_OUT[1]) & core))
    figures["patch.area"] = area
    figures["patch.depth"] = float(spot[patch].mean()) if area else 0.0
    low, high = np.quantile(spot[core], (0.9, 0.995))
    return figures | {"patch.peak": float(high), "patch.ahead": float((high - middle) / (low - middle + 1))}


def _patterns(one: FloatArray, other: FloatArray, core: Mask) -> dict[str, float]:
    """How lightness correlates within windows: light and contrast may change, what is drawn may not."""
    figures: dict[str, float] = {}
    for side in _WINDOWS:
        means = [cv2.boxFilter(each, -1, (side, side)) for each in (one, other)]
        squares = [cv2.boxFilter(each * each, -1, (side, side)) - mean**2
                   for each, mean in zip((one, other), means, strict=True)]  # fmt: skip
        common = cv2.boxFilter(one * other, -1, (side, side)) - means[0] * means[1]
        alike = np.asarray((common + _NOISE) / np.sqrt((squares[0] + _NOISE) * (squares[1] + _NOISE)))
        values = alike[core]
        least, low, tenth = np.quantile(values, (0.01, 0.05, 0.2))
        _, area = _largest(np.asarray((alike < _UNLIKE) & core))
        figures |= {f"drawn{side}.mean": float(values.mean()), f"drawn{side}.tenth": float(tenth)}
        figures |= {f"drawn{side}.low": float(low), f"drawn{side}.least": float(least), f"drawn{side}.area": area}
    return figures


def _largest(marked: Mask) -> tuple[Mask, float]:
    """The largest connected patch of a mask (HALF, HALF), and its share of the canvas's side, as a square's."""
    _, labels, told, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=4)
    if len(told) < 2:
        return marked, 0.0
    best = 1 + int(told[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels == best), float(np.sqrt(told[best, cv2.CC_STAT_AREA]) / HALF)


def _summed(name: str, cells: FloatArray) -> dict[str, float]:
    mean, worst, top = float(cells.mean()), float(np.quantile(cells, 0.9)), float(np.quantile(cells, 0.99))
    return {
        f"aligned.{name}": mean,
        f"aligned.{name}_worst": worst,
        f"aligned.{name}_top": top,
        f"aligned.{name}_spike": top / (float(np.median(cells)) + 0.1 * mean + 1e-2),
    }


_DETAIL = ("fine", "middle", "coarse")
RESIDUAL_NAMES: tuple[str, ...] = (
    *("aligned.shift", "aligned.light"),
    *(f"aligned.{name}{end}" for name in ("own", "tint", "spot", *_DETAIL) for end in ("", "_worst", "_top", "_spike")),
    *(f"aligned.{name}{end}" for name in _DETAIL for end in ("_plain", "_split", "_energy", "_uneven")),
    *("patch.area", "patch.depth", "patch.peak", "patch.ahead"),
    *(f"drawn{side}.{name}" for side in _WINDOWS for name in ("mean", "tenth", "low", "least", "area")),
)
