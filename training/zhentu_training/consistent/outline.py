"""The goods' outline: how wide, how even, how jagged its step is, what shines beside it, and how sharp the rest is.

Width and overshoot are read along normals of the outline; sharpness elsewhere is the blur of edges by Zhuo & Sim
(2011), "Defocus map estimation from a single image": the ratio of gradients before and after a known blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from zhentu_training.consistent.regions import BoolArray, FloatArray, Regions, log_ratio, quantile, slopes

_REACH, _STEP = 14.0, 0.5  # pixels along a normal
_SEARCH = 9.0  # pixels: how far from the finder's outline the true one may be
_MOST_POINTS = 600
_LEAST_POINTS = 25
_CONTRAST = 12.0  # Lab units; fainter steps say nothing of their width
_REBLUR = 1.0  # deviation in pixels
_OFFSETS = np.arange(-_REACH, _REACH + _STEP / 2, _STEP, dtype=np.float32)

NAMES = (
    "edge.width.10", "edge.width.50", "edge.width.90", "edge.width.even", "edge.halo.out", "edge.halo.in",
    "edge.fringe", "edge.fringe.high", "edge.jagged", "edge.stairs", "edge.straight", "edge.seen", "edge.contrast",
    "edge.light_rim", "edge.dark_rim",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Profiles:
    """Lab along normals, outside first: (N, steps, 3); where the points are (N, 2); which contour each is of (N,)."""

    lab: FloatArray
    points: FloatArray
    contour: np.ndarray


def outline(regions: Regions) -> dict[str, float]:
    """All figures of this file."""
    found = _steps(regions)
    blurs = _blurs(regions)
    found |= {f"blur.{name}": value for name, value in blurs.items()}
    for first, second in (("goods", "ground"), ("goods", "near"), ("outline", "goods"), ("outline", "ground")):
        found[f"blur.{first}_{second}"] = log_ratio(blurs[first], blurs[second], 0.2)
        found[f"blur.{first}_{second}.sharp"] = log_ratio(blurs[f"{first}.sharp"], blurs[f"{second}.sharp"], 0.2)
    return found


def _profiles(regions: Regions) -> _Profiles | None:
    solid = (regions.depth > 0).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    height, width = solid.shape
    kept, names = [], []
    total = sum(len(each) for each in contours)
    every = max(total // _MOST_POINTS, 2)
    for k, each in enumerate(contours):
        points = each[::every, 0].astype(np.float32)
        margin = 6
        inside = (
            (points[:, 0] > margin) & (points[:, 0] < width - 1 - margin)
            & (points[:, 1] > margin) & (points[:, 1] < height - 1 - margin)
        )  # fmt: skip
        if len(each) >= 40:
            kept.append(points[inside])
            names.append(np.full(int(inside.sum()), k))
    points = np.concatenate(kept) if kept else np.zeros((0, 2), np.float32)
    if len(points) < _LEAST_POINTS:
        return None
    smooth = cv2.GaussianBlur(regions.depth, (0, 0), 3)
    right, down = slopes(np.asarray(smooth, np.float32))
    x, y = points.astype(int).T
    normal = np.stack([right[y, x], down[y, x]], 1)  # towards the goods
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
    at = points[:, None] + normal[:, None] * _OFFSETS[None, :, None]
    sampled = cv2.remap(regions.lab, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _Profiles(np.asarray(sampled, np.float32), points, np.concatenate(names))


def _steps(regions: Regions) -> dict[str, float]:
    nothing = dict.fromkeys(NAMES, 0.0)
    profiles = _profiles(regions)
    if profiles is None:
        return nothing
    lab = profiles.lab
    slope = np.linalg.norm(np.diff(lab, axis=1), axis=2)
    weight = np.exp(-((_OFFSETS[:-1] + _STEP / 2) ** 2) / (2 * (_SEARCH / 2) ** 2))
    strongest = (slope * weight).argmax(1)
    apart = round(4 / _STEP)
    rows = np.arange(len(lab))
    outer = np.stack([lab[rows, (strongest - apart - k).clip(0)] for k in range(4)]).mean(0)
    inner = np.stack([lab[rows, (strongest + 1 + apart + k).clip(None, lab.shape[1] - 1)] for k in range(4)]).mean(0)
    contrast = np.linalg.norm(inner - outer, axis=1)
    clear = (contrast > _CONTRAST) & (np.abs(_OFFSETS[strongest]) < _SEARCH)
    if clear.sum() < _LEAST_POINTS:
        return nothing | {"edge.seen": float(clear.mean())}
    across = (inner - outer)[clear] / contrast[clear][:, None]
    relative = lab[clear] - outer[clear][:, None]
    share = (relative * across[:, None]).sum(2) / contrast[clear][:, None]  # 0 outside, 1 inside
    beside = np.linalg.norm(relative - (relative * across[:, None]).sum(2, keepdims=True) * across[:, None], axis=2)
    near = np.abs(np.arange(lab.shape[1])[None] - strongest[clear][:, None]) * _STEP <= 4
    width = _widths(share, strongest[clear])
    fringe = np.where(near, beside, 0).max(1) / contrast[clear]
    rim = np.where(near, lab[clear][..., 0], np.nan)
    ends = np.stack([outer[clear][:, 0], inner[clear][:, 0]])
    return {
        "edge.width.10": quantile(width, 0.1),
        "edge.width.50": quantile(width, 0.5),
        "edge.width.90": quantile(width, 0.9),
        "edge.width.even": float(np.std(np.log(width + 0.3))),
        "edge.halo.out": float(np.median(-np.where(near, share, 0).min(1))),
        "edge.halo.in": float(np.median(np.where(near, share, 1).max(1) - 1)),
        "edge.fringe": quantile(fringe, 0.5),
        "edge.fringe.high": quantile(fringe, 0.9),
        **_roughness(_OFFSETS[strongest], clear, profiles),
        "edge.seen": float(clear.mean()),
        "edge.contrast": float(np.median(contrast[clear])),
        "edge.light_rim": float(np.mean(np.nanmax(rim, 1) - ends.max(0) > 8)),
        "edge.dark_rim": float(np.mean(ends.min(0) - np.nanmin(rim, 1) > 8)),
    }


def _widths(share: FloatArray, strongest: np.ndarray) -> FloatArray:
    """From the last 0.1 before the steepest place to the first 0.9 behind it, pixels."""
    steps = np.arange(share.shape[1])[None]
    before = (share < 0.1) & (steps <= strongest[:, None])
    behind = (share > 0.9) & (steps > strongest[:, None])
    start = np.where(before.any(1), share.shape[1] - 1 - before[:, ::-1].argmax(1), 0)
    end = np.where(behind.any(1), behind.argmax(1), share.shape[1] - 1)
    return np.asarray((end - start) * _STEP, np.float32)


def _roughness(offset: FloatArray, clear: BoolArray, profiles: _Profiles) -> dict[str, float]:
    """Bends of the true outline from point to point: noise of a wand, stairs of enlarged pixels, straight cuts."""
    together = (profiles.contour[2:] == profiles.contour[:-2]) & clear[2:] & clear[1:-1] & clear[:-2]
    second = np.abs(offset[2:] - 2 * offset[1:-1] + offset[:-2])[together]
    if second.size < _LEAST_POINTS:
        return {"edge.jagged": 0.0, "edge.stairs": 0.0, "edge.straight": 0.0}
    return {
        "edge.jagged": quantile(second, 0.5),
        "edge.stairs": quantile(second, 0.9),
        "edge.straight": float((second < 0.6).mean()),
    }


def _blurs(regions: Regions) -> dict[str, float]:
    """Median and tenth quantile of the blur of edges, pixels, by region."""
    smooth = np.asarray(cv2.GaussianBlur(regions.grey, (0, 0), _REBLUR), np.float32)
    before, after = _gradient(regions.grey), _gradient(smooth)
    strong = before > max(float(np.quantile(before, 0.85)), 6.0)
    ratio = before / (after + 1e-3)
    blur = _REBLUR / np.sqrt(np.maximum(ratio**2 - 1, 0.02))
    rim = np.abs(regions.depth) <= max(5.0, 0.01 * regions.side)
    found = {}
    for name, region in (
        ("goods", regions.goods), ("ground", regions.ground), ("near", regions.near), ("outline", rim)
    ):  # fmt: skip
        own = blur[region & strong]
        own = own if own.size >= 40 else np.full(1, 2.0, np.float32)
        found[name], found[f"{name}.sharp"] = quantile(own, 0.5), quantile(own, 0.1)
    return found


def _gradient(values: FloatArray) -> FloatArray:
    across, down = cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(across, down) / 4, np.float32)
