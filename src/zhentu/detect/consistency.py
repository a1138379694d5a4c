"""Goods against their surroundings: what one camera makes alike, and how the edge between them looks.

Noise, sharpness, JPEG history, colour temperature, light and resolution agree within a photograph and differ in a
picture put together from two. Pure measuring: figures in, no model; needs the goods' mask.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import FloatArray, lab_of, linear
from zhentu.detect.goods import Goods
from zhentu.detect.views import RgbArray

_LONG_SIDE = 1024  # pixels; larger pictures are cut down to it round the goods, never resized: resizing wipes traces
_BLOCK = 8  # of JPEG
_RING = 6  # pixels either side of the edge

Mask = npt.NDArray[np.bool_]

NAMES: tuple[str, ...] = (
    *("noise", "noise.chroma", "sharpness", "sharpness.fine", "detail", "blocks", "blocks.phase", "grid.inside"),
    *("grid.outside", "light.level", "light.warmth", "light.tint", "saturation", "contrast", "black", "flat.outside"),
    *("white.outside", "edge.steep", "edge.spread", "edge.soft", "edge.halo", "edge.dark_rim", "edge.fringe"),
    *("edge.rough", "shadow", "shadow.side", "direction", "share", "touches"),
)


def measure(rgb: RgbArray, goods: Goods) -> FloatArray | None:
    """Figures in the order of NAMES, None where the goods were not found or leave no surroundings to compare with."""
    if not goods.found:
        return None
    rgb, mask = _window(rgb, goods)
    solid = mask > 0.5
    distance = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, 3)
    inner, outer = distance > _RING, outside > 2 * _RING
    if min(inner.sum(), outer.sum()) < 1500:
        return None
    lab = lab_of(rgb)
    light = lab[..., 0]
    figures = {
        **_camera(rgb, light, inner, outer),
        **_illumination(rgb, lab, inner, outer),
        **_edge(lab, distance, outside, solid),
        **_shadow(light, solid, outside),
        "share": float(solid.mean()),
        "touches": float(np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]]).mean()),
    }
    return np.nan_to_num(np.array([figures[name] for name in NAMES], np.float32), posinf=8, neginf=-8)


def _window(rgb: RgbArray, goods: Goods) -> tuple[RgbArray, FloatArray]:
    height, width = rgb.shape[:2]
    mask = goods.mask_at(height, width)
    if max(height, width) <= _LONG_SIDE:
        return rgb, mask
    box = goods.box
    x0 = int(np.clip(box.x + box.w / 2 - _LONG_SIDE / 2, 0, max(width - _LONG_SIDE, 0))) // _BLOCK * _BLOCK
    y0 = int(np.clip(box.y + box.h / 2 - _LONG_SIDE / 2, 0, max(height - _LONG_SIDE, 0))) // _BLOCK * _BLOCK
    part = np.s_[y0 : y0 + _LONG_SIDE, x0 : x0 + _LONG_SIDE]
    return np.ascontiguousarray(rgb[part]), mask[part]


def _ratio(values: FloatArray, inner: Mask, outer: Mask, floor: float) -> float:
    """Log ratio of the medians inside and outside."""
    return float(np.log((np.median(values[inner]) + floor) / (np.median(values[outer]) + floor)))


def _camera(rgb: RgbArray, light: FloatArray, inner: Mask, outer: Mask) -> dict[str, float]:
    """Noise where it is flat, sharpness where there are edges, and the JPEG grid, inside against outside."""
    figures: dict[str, float] = {}
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    residual = np.abs(cv2.filter2D(grey, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6))
    chroma = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb).astype(np.float32)[..., 1]
    gradient = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    smooth = cv2.boxFilter(gradient, -1, (9, 9))
    flat = [area & (smooth <= np.quantile(smooth[area], 0.3)) for area in (inner, outer)]
    steep = [area & (gradient >= np.quantile(gradient[area], 0.95)) for area in (inner, outer)]
    figures["noise"] = _ratio(cv2.boxFilter(residual, -1, (9, 9)), *flat, floor=0.15)
    rough = cv2.boxFilter(np.abs(chroma - cv2.GaussianBlur(chroma, (0, 0), 1.5)), -1, (9, 9))
    figures["noise.chroma"] = _ratio(rough, *flat, floor=0.1)
    for name, sigma in (("sharpness", 1.5), ("sharpness.fine", 0.7)):
        lost = gradient - cv2.magnitude(
            cv2.Sobel(cv2.GaussianBlur(grey, (0, 0), sigma), cv2.CV_32F, 1, 0),
            cv2.Sobel(cv2.GaussianBlur(grey, (0, 0), sigma), cv2.CV_32F, 0, 1),
        )
        figures[name] = _ratio(lost / (gradient + 4), *steep, floor=0.05)
    figures["detail"] = float(np.log((residual[inner].mean() + 0.2) / (residual[outer].mean() + 0.2)))
    grids = [_grid(grey, area) for area in (inner, outer)]
    figures["blocks"] = float(grids[0].max() - grids[1].max())
    figures["blocks.phase"] = float(grids[0].argmax() != grids[1].argmax()) * float(min(grids[0].max(), grids[1].max()))
    figures |= {"grid.inside": float(grids[0].max()), "grid.outside": float(grids[1].max())}
    return figures


def _grid(grey: FloatArray, area: Mask) -> FloatArray:
    """How much the steps across each of the eight columns and rows of a JPEG grid stand out, (16,)."""
    found = []
    for values, use in ((grey, area), (grey.T, area.T)):
        second = np.abs(2 * values[:, 1:-1] - values[:, :-2] - values[:, 2:])
        inside = use[:, 1:-1]
        sums = np.array([second[:, k::_BLOCK][inside[:, k::_BLOCK]].mean() for k in range(_BLOCK)])
        found.append(np.log((sums + 0.05) / (np.median(sums) + 0.05)))
    return np.nan_to_num(np.concatenate(found)).astype(np.float32)


def _illumination(rgb: RgbArray, lab: FloatArray, inner: Mask, outer: Mask) -> dict[str, float]:
    bright = linear(rgb)
    tops = [np.quantile(bright[area], 0.95, axis=0) + 0.02 for area in (inner, outer)]
    tints = [np.log(top[1] ** 2 / top[0] / top[2]) for top in tops]
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    white = (lab[..., 0] > 97) & (chroma < 3)
    return {
        "light.level": float(np.log(tops[0].mean() / tops[1].mean())),
        "light.warmth": float(np.log(tops[0][0] / tops[0][2]) - np.log(tops[1][0] / tops[1][2])),
        "light.tint": float(tints[0] - tints[1]),
        "saturation": float(np.log((chroma[inner].mean() + 2) / (chroma[outer].mean() + 2))),
        "contrast": float(np.log((lab[..., 0][inner].std() + 2) / (lab[..., 0][outer].std() + 2))),
        "black": float(np.quantile(lab[..., 0][inner], 0.02) - np.quantile(lab[..., 0][outer], 0.02)) / 20,
        "flat.outside": float(np.log(lab[..., 0][outer].std() + 0.2)),
        "white.outside": float(white[outer].mean()),
    }  # fmt: skip


def _edge(lab: FloatArray, distance: FloatArray, outside: FloatArray, solid: Mask) -> dict[str, float]:
    """The profile across the edge: how steep and even, rims lighter or darker than both sides, rough outlines."""
    light = np.ascontiguousarray(lab[..., 0])
    signed = np.where(solid, distance - 0.5, 0.5 - outside)
    rings = [(signed > low) & (signed <= low + 1) for low in range(-_RING, _RING)]
    profile = np.array([light[ring].mean() if ring.any() else np.nan for ring in rings])
    gradient = cv2.magnitude(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)) / 4
    band = np.abs(signed) <= 3
    crest = cv2.dilate(np.where(band, gradient, 0), np.ones((7, 7), np.uint8))[np.abs(signed) <= 1]
    width = cv2.boxFilter(np.where(band, gradient, 0), -1, (7, 7))[np.abs(signed) <= 1] / (crest + 1)
    ends = np.nanmean(profile[:2]), np.nanmean(profile[-2:])
    low, high = min(ends), max(ends)
    near = lab[np.abs(signed) <= 1.5]
    sides = lab[(signed > 3) & (signed <= _RING)].mean(0), lab[(signed < -3) & (signed >= -_RING)].mean(0)
    line = sides[0] - sides[1]
    along = ((near - sides[1]) @ line) / max(float(line @ line), 1.0)
    off = np.linalg.norm((near - sides[1] - along[:, None] * line)[:, 1:], axis=1)
    outlines, _ = cv2.findContours(solid.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(outlines, key=len)[:, 0].astype(np.float32)
    kernel = np.ones(15) / 15
    smooth = np.stack([np.convolve(np.pad(longest[:, k], 7, mode="wrap"), kernel, "valid") for k in range(2)], 1)
    return {
        "edge.steep": float(np.log(np.median(crest) + 1)),
        "edge.spread": float(crest.std() / (crest.mean() + 1)),
        "edge.soft": float(np.median(width)),
        "edge.halo": float(max(np.nanmax(profile) - high, 0) / 10),
        "edge.dark_rim": float(max(low - np.nanmin(profile), 0) / 10),
        "edge.fringe": float(off.mean() / 10),
        "edge.rough": float(np.abs(longest - smooth).mean()),
    }


def _shadow(light: FloatArray, solid: Mask, outside: FloatArray) -> dict[str, float]:
    """Whether the ground darkens at the goods' foot, and more on one side; and how light falls on the goods."""
    rows, columns = np.nonzero(solid)
    foot, middle = rows.max(), columns.mean()
    near, far = (outside > 2) & (outside < 14), (outside > 30) & (outside < 60)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    below = y > foot - 0.12 * (foot - rows.min())
    parts = [light[near & below], light[far & below]]
    shadow = float(parts[0].mean() - parts[1].mean()) / 20 if min(map(len, parts)) > 20 else 0.0
    sides = [light[near & below & (x < middle)], light[near & below & (x >= middle)]]
    side = float(sides[0].mean() - sides[1].mean()) / 20 if min(map(len, sides)) > 20 else 0.0
    own = [light[solid & (x < middle)], light[solid & (x >= middle)]]
    return {"shadow": shadow, "shadow.side": abs(side), "direction": float(own[0].mean() - own[1].mean()) / 20 * side}
