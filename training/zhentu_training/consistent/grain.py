"""Noise, its spectrum and its correlation between colours: what one sensor and one development leave everywhere.

Noise by the kernel of Immerkaer (1996), "Fast noise variance estimation", in blocks of 8 pixels of which the quiet
ones count, at three octaves; correlation of colours as demosaicing leaves it (Popescu & Farid 2005); block-wise
deviation from the picture's own noise level function as in Liu et al. (2006) and Mahdian & Saic (2009).
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from zhentu_training.consistent.regions import BoolArray, FloatArray, Regions, log_ratio, quantile

_BLOCK = 8  # pixels
_OCTAVES = (1, 2, 4)
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
_QUIET = 0.25  # quantile of blocks: structure is not noise
_FLOOR = 0.15  # grey levels
_STEPS = np.arange(16, 256, 24)  # edges of the levels at which noise is compared like with like
_CELL, _COARSE = 32, 4  # pixels, of the map of deviations and of the structure that explains noise
_SLIGHT = 3.0  # grey levels
_DOUBT = 3.0  # ridge of what explains noise


def grain(regions: Regions) -> dict[str, float]:
    """All figures of this file."""
    luma, chroma = regions.grey, (regions.rgb[..., 2] - regions.grey) * 0.564
    found: dict[str, float] = {}
    for name, channel in (("luma", luma), ("chroma", chroma)):
        for octave in _OCTAVES:
            found |= _octave(channel, regions, f"noise.{name}.{octave}", octave)
    residual = np.asarray(cv2.filter2D(luma, cv2.CV_32F, _KERNEL), np.float32)
    found |= _like_with_like(residual, regions)
    found |= _correlation(regions)
    found |= _peaked(residual, regions)
    return found | _deviations(residual, regions)


def _blocks(values: FloatArray, side: int = _BLOCK) -> FloatArray:
    """Mean of each block of `side` pixels."""
    height, width = (each // side for each in values.shape)
    cut = values[: height * side, : width * side].astype(np.float32)
    return np.asarray(cut.reshape(height, side, width, side).mean((1, 3)), np.float32)


def _whole(region: BoolArray, side: int = _BLOCK) -> BoolArray:
    """Blocks that lie in a region but for a tenth."""
    return _blocks(region.astype(np.float32), side) > 0.9


def _octave(channel: FloatArray, regions: Regions, name: str, octave: int) -> dict[str, float]:
    if octave > 1:
        size = (channel.shape[1] // octave, channel.shape[0] // octave)
        channel = np.asarray(cv2.resize(channel, size, interpolation=cv2.INTER_AREA), np.float32)
    spread = np.sqrt(_blocks(np.asarray(cv2.filter2D(channel, cv2.CV_32F, _KERNEL), np.float32) ** 2))
    size = (spread.shape[1], spread.shape[0])
    shrink = {each: cv2.resize(getattr(regions, each).astype(np.float32), size, interpolation=cv2.INTER_AREA)
              for each in ("goods", "ground", "near", "exposed")}  # fmt: skip
    levels = {each: quantile(spread[(shrink[each] > 0.7) & (shrink["exposed"] > 0.7)], _QUIET, -1.0)
              for each in ("goods", "ground", "near")}  # fmt: skip
    if levels["goods"] < 0:
        levels["goods"] = quantile(spread[shrink["goods"] > 0.5], _QUIET)
    for each in ("ground", "near"):
        if levels[each] < 0:
            levels[each] = quantile(spread[shrink[each] > 0.5], _QUIET)
    apart = log_ratio(levels["goods"], levels["ground"], _FLOOR)
    return {
        f"{name}.goods": float(np.log(levels["goods"] + _FLOOR)),
        f"{name}.ground": float(np.log(levels["ground"] + _FLOOR)),
        f"{name}.apart": apart,
        f"{name}.apart_near": log_ratio(levels["goods"], levels["near"], _FLOOR),
        f"{name}.far": abs(apart),
    }


def _like_with_like(residual: FloatArray, regions: Regions) -> dict[str, float]:
    """Noise of goods and ground at the same brightness, the mean over the levels that both have."""
    spread, level = np.sqrt(_blocks(residual**2)), _blocks(regions.grey)
    goods, ground = _whole(regions.goods), _whole(regions.ground)
    apart, weight = [], []
    for low, high in pairwise(_STEPS):
        at = (level >= low) & (level < high)
        own, other = spread[at & goods], spread[at & ground]
        if min(own.size, other.size) >= 6:
            apart.append(log_ratio(quantile(own, _QUIET), quantile(other, _QUIET), _FLOOR))
            weight.append(np.sqrt(min(own.size, other.size)))
    mean = float(np.average(apart, weights=weight)) if apart else 0.0
    return {"noise.level.apart": mean, "noise.level.far": abs(mean), "noise.level.shared": float(len(apart))}


def _correlation(regions: Regions) -> dict[str, float]:
    """Correlation of the fine residuals of red and blue with green."""
    residuals = np.asarray(cv2.filter2D(regions.rgb, cv2.CV_32F, _KERNEL)).clip(-20, 20)
    found: dict[str, float] = {}
    for name, channel in (("red", 0), ("blue", 2)):
        both = {each: _correlated(residuals[..., channel], residuals[..., 1], getattr(regions, each) & regions.exposed)
                for each in ("goods", "ground")}  # fmt: skip
        found |= {f"colours.{name}.{each}": value for each, value in both.items()}
        found[f"colours.{name}.apart"] = both["goods"] - both["ground"]
    return found


def _correlated(first: FloatArray, second: FloatArray, region: BoolArray) -> float:
    one, other = first[region], second[region]
    if one.size < 200:
        return 0.0
    return float((one * other).mean() / (np.sqrt((one**2).mean() * (other**2).mean()) + 0.05))


def _peaked(residual: FloatArray, regions: Regions) -> dict[str, float]:
    """Log kurtosis of the residual: denoised and recompressed surfaces have mostly nothing and a few edges."""
    found = {}
    for each in ("goods", "ground"):
        own = residual[getattr(regions, each)]
        squares = own * own if own.size else np.zeros(1, np.float32)
        found[f"noise.peaked.{each}"] = float(
            np.log((squares * squares).mean() + 1e-3) - 2 * np.log(squares.mean() + 1e-2)
        )
    return found | {"noise.peaked.apart": found["noise.peaked.goods"] - found["noise.peaked.ground"]}


def _deviations(residual: FloatArray, regions: Regions) -> dict[str, float]:
    """Cells whose noise the picture's own brightness and structure do not explain, whatever the mask says."""
    fine = np.log(np.sqrt(_blocks(residual**2, _CELL)) + _FLOOR)
    # Structure at a quarter of the size, and from some grey levels on: finer slopes are made of the noise itself.
    quarter = _blocks(regions.grey, _COARSE)
    slope = np.zeros_like(quarter)
    slope[:, :-1] += np.abs(np.diff(quarter, axis=1))
    slope[:-1] += np.abs(np.diff(quarter, axis=0))
    structure = np.log(_blocks(slope, _CELL // _COARSE)[: fine.shape[0], : fine.shape[1]] + _SLIGHT)
    level = _blocks(regions.grey, _CELL) / 255
    varied = [each - each.mean() for each in (structure, structure**2, level, level**2)]
    known = np.stack([np.ones_like(level), *varied], -1).reshape(-1, 5)
    lit = _blocks(regions.exposed.astype(np.float32), _CELL).ravel() > 0.5
    if lit.sum() < 12:
        return dict.fromkeys(("cells.spread", "cells.low", "cells.high", "cells.patch", "cells.goods"), 0.0)
    # Where brightness and structure hardly vary they explain nothing: noise itself would be taken for their doing.
    ridge = known[lit].T @ known[lit] + np.diag([1e-3, *[_DOUBT] * 4])
    off = fine.ravel() - known @ np.linalg.solve(ridge, known[lit].T @ fine.ravel()[lit])
    off = np.where(lit, off, 0.0).reshape(fine.shape).astype(np.float32)
    patch = cv2.blur(off, (3, 3))
    inside = _blocks(regions.goods.astype(np.float32), _CELL) > 0.5
    between = float(off[inside].mean() - off[~inside].mean()) if inside.any() and not inside.all() else 0.0
    return {
        "cells.spread": float(off[lit.reshape(off.shape)].std()),
        "cells.low": quantile(off, 0.05),
        "cells.high": quantile(off, 0.95),
        "cells.patch": float(np.abs(patch).max()),
        "cells.goods": between,
    }
