"""What is measured between two looks: likeness of places, colour, texture, and, where they align, the pixels.

Every figure is symmetric: which picture is the reference does not matter. They are the only thing the fitted heads see,
so there is no room in the heads to learn goods by heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import PLACES, SIDE, Canvas, FloatArray, Points, lab_of
from zhentu.detect.look import Look
from zhentu.detect.surface import BANDS, PATTERN_SCALES, Palette, Surface

_LEAST_INLIERS = 12
_RATIO = 0.85  # of best to second-best distance (Lowe 2004)
_INSIDE = 0.25  # of the heaviest place's weight: from there on a place counts as goods

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of a pair.

    figures: float32, in the order of NAMES.  unlike, unlike_back: where the goods of the first and of the second look
    are not found again in the other, float32 (PLACES, PLACES) in [0, 1] over the canvas.
    """

    figures: FloatArray
    unlike: FloatArray
    unlike_back: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """For each place of either look the most similar place of the other's goods, and how similar, by deeper blocks."""

    towards: Places
    backwards: Places
    seen: tuple[FloatArray, FloatArray]


def measure(first: Look, second: Look) -> Measured:
    """All figures of a pair."""
    weights = first.weight, second.weight
    inside = weights[0] > _INSIDE * weights[0].max(), weights[1] > _INSIDE * weights[1].max()
    places, matches = _places(first, second, weights, inside)
    figures = {
        **places,
        **_colour(first, second),
        **_texture(first, second),
        **_matched(first.surface, second.surface, weights, matches),
        **_aligned(first.canvas, second.canvas),
        "found.both": float(first.found and second.found),
        "found.none": float(not (first.found or second.found)),
    }
    maps = [
        np.asarray(np.where(goods, (1 - seen).clip(0, 1), 0).reshape(PLACES, PLACES), np.float32)
        for seen, goods in zip(matches.seen, inside, strict=True)
    ]
    return Measured(np.array([figures[name] for name in NAMES], np.float32), maps[0], maps[1])


def _places(
    first: Look,
    second: Look,
    weights: tuple[FloatArray, FloatArray],
    inside: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
) -> tuple[dict[str, float], _Matches]:
    """Patch tokens: how well each place of the goods is found again, and whether the matches keep their order."""
    figures: dict[str, float] = {}
    total = np.zeros((PLACES * PLACES, PLACES * PLACES), np.float32)
    for block in range(_BLOCKS):
        a, b = first.tokens[block].astype(np.float32), second.tokens[block].astype(np.float32)
        likeness = a @ b.T
        there, back = _best(likeness, inside)
        means = float(there @ weights[0]), float(back @ weights[1])
        worst = _quantile(there, weights[0], 0.1), _quantile(back, weights[1], 0.1)
        sums = weights[0] @ a, weights[1] @ b
        figures |= {
            f"place{block}.mean": sum(means) / 2,
            f"place{block}.least": min(means),
            f"place{block}.worst": sum(worst) / 2,
            f"place{block}.worst_least": min(worst),
            f"class{block}": float(first.classes[block] @ second.classes[block]),
            f"sum{block}": float(sums[0] @ sums[1] / max(np.linalg.norm(sums[0]) * np.linalg.norm(sums[1]), 1e-6)),
        }
        if block:
            total += likeness / (_BLOCKS - 1)
    masked = np.where(inside[0][:, None] & inside[1][None], total, -np.inf)
    towards, backwards = masked.argmax(1), masked.argmax(0)
    mutual = np.flatnonzero(inside[0] & (backwards[towards] == np.arange(len(towards))))
    figures["mutual"] = float(len(mutual) / max(min(int(inside[0].sum()), int(inside[1].sum())), 1))
    figures["mutual.geometry"] = _geometry(mutual, towards[mutual])
    return figures, _Matches(towards, backwards, _best(total, inside))


def _best(
    likeness: FloatArray, inside: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
) -> tuple[FloatArray, FloatArray]:
    """Of each place, its likeness to the most similar place of the other's goods."""
    there = np.where(inside[1][None], likeness, -1).max(1)
    back = np.where(inside[0][:, None], likeness, -1).max(0)
    return np.asarray(there, np.float32), np.asarray(back, np.float32)


def _geometry(places: Places, others: Places) -> float:
    """Share of mutual pairs that one similarity transform explains within a place and a half."""
    if len(places) < 6:
        return 0.0
    source = np.stack([places % PLACES, places // PLACES], 1).astype(np.float32)
    target = np.stack([others % PLACES, others // PLACES], 1).astype(np.float32)
    cv2.setRNGSeed(7)
    _, inliers = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=1.5, maxIters=500)
    return 0.0 if inliers is None else float(inliers.mean())


def _quantile(values: FloatArray, weight: FloatArray, share: float) -> float:
    order = np.argsort(values)
    place = int(np.searchsorted(np.cumsum(weight[order]), share))
    return float(values[order][min(place, len(order) - 1)])


def _colour(first: Look, second: Look) -> dict[str, float]:
    known = first.canvas.light_known and second.canvas.light_known
    raw = _palettes_apart(first.surface.raw, second.surface.raw)
    lit = _palettes_apart(first.surface.lit, second.surface.lit) if known else raw
    figures = {
        f"colour.{light}.{name}": value
        for light, apart in (("raw", raw), ("lit", lit))
        for name, value in apart.items()
    }
    return figures | {"colour.least": min(raw["ab"], lit["ab"]), "colour.light_known": float(known)}


def _palettes_apart(a: Palette, b: Palette) -> dict[str, float]:
    """Sliced Wasserstein distances in Lab units, and differences of means."""
    apart = np.abs(a.slices - b.slices).mean(1)
    turn = abs(float(np.arctan2(a.mean[1], a.mean[0]) - np.arctan2(b.mean[1], b.mean[0])))
    least = min(float(np.hypot(*a.mean)), float(np.hypot(*b.mean)))
    return {
        "ab": float(apart.mean()),
        "ab_most": float(apart.max()),
        "mean_ab": float(np.hypot(*(a.mean - b.mean))),
        "green": float(abs(a.mean[0] - b.mean[0])),  # daylight and lamps differ along b, hardly along a
        "blue": float(abs(a.mean[1] - b.mean[1])),
        "chroma": float(abs(np.log((a.chroma + 3) / (b.chroma + 3)))),
        "hue": min(turn, 2 * np.pi - turn) * least / (least + 8),
        "light": float(np.abs(a.light - b.light).mean()),
        "contrast": float(abs(np.log((a.contrast + 2) / (b.contrast + 2)))),
        "spread": float(abs(np.log((a.spread + 2) / (b.spread + 2)))),
    }


def _texture(first: Look, second: Look) -> dict[str, float]:
    a, b = first.surface, second.surface
    figures = {f"texture.band{k}": float(abs(a.energy[k] - b.energy[k])) for k in range(BANDS)}
    figures |= {f"texture.peak{k}": float(abs(a.peaked[k] - b.peaked[k])) for k in range(BANDS)}
    slopes = a.energy - a.energy.mean(), b.energy - b.energy.mean()
    figures["texture.slope"] = float(np.abs(slopes[0] - slopes[1]).max())
    figures["texture.energy"] = float((a.energy.mean() + b.energy.mean()) / 2)  # plain goods leave less to compare
    for scale, p, q in zip(PATTERN_SCALES, a.patterns, b.patterns, strict=True):
        figures[f"texture.pattern{scale}"] = float(((p - q) ** 2 / (p + q + 1e-4)).sum())
    figures["texture.turn"] = float(np.abs(a.turn - b.turn).sum())
    figures["texture.period"] = float(np.abs(a.period - b.period).sum())
    for k, name in enumerate(_GLOSS):
        figures[f"gloss.{name}"] = float(abs(a.gloss[k] - b.gloss[k]))
    scales = first.canvas.scale, second.canvas.scale
    figures["texture.enlarged"] = float(max(np.log(scales[0]), np.log(scales[1]), 0))
    figures["texture.scales"] = float(abs(np.log(scales[0] / scales[1])))
    return figures


def _matched(
    first: Surface, second: Surface, weights: tuple[FloatArray, FloatArray], matches: _Matches
) -> dict[str, float]:
    """Colour and texture where each place went, in both directions; `own` is left after the common shift."""
    figures: dict[str, float] = {f"matched.{name}{end}": 0.0 for name in _MATCHED for end in ("", "_worst")}
    for here, there, weight, towards in (
        (first.cells, second.cells, weights[0], matches.towards),
        (second.cells, first.cells, weights[1], matches.backwards),
    ):
        gap = here - there[towards]
        rest = gap - weight @ gap
        apart = {
            "colour": np.linalg.norm(gap[:, 1:3], axis=1),
            "own": np.linalg.norm(rest[:, 1:3], axis=1),
            "texture": np.abs(gap[:, 3:]).mean(1),
            "light": np.abs(rest[:, 0]),
        }
        for name, values in apart.items():
            figures[f"matched.{name}"] += float(values @ weight) / 2
            figures[f"matched.{name}_worst"] += _quantile(np.asarray(values, np.float32), weight, 0.9) / 2
    return figures


def _aligned(first: Canvas, second: Canvas) -> dict[str, float]:
    """The same goods from nearly the same side can be laid over each other: then the pixels are compared."""
    figures = dict.fromkeys(_ALIGNED, 0.0)
    fewest = min(len(first.points.at), len(second.points.at))
    if fewest < _LEAST_INLIERS:
        return figures
    a, b = _point_pairs(first.points, second.points)
    figures["points.matched"] = len(a) / fewest
    if len(a) < _LEAST_INLIERS:
        return figures
    cv2.setRNGSeed(7)
    warp, inliers = cv2.estimateAffine2D(b, a, ransacReprojThreshold=6.0, maxIters=1500)
    count = 0 if warp is None else int(inliers.sum())
    figures |= {"points.inliers": float(np.log1p(count)), "points.share": count / len(a)}
    size = 0.0 if warp is None else abs(float(np.linalg.det(warp[:, :2])))
    if count < _LEAST_INLIERS or not 0.2 < size < 5:
        return figures
    moved = cv2.warpAffine(second.rgb, warp, (SIDE, SIDE), borderValue=(255, 255, 255))
    both = (first.mask > 0.7) & (cv2.warpAffine(second.mask, warp, (SIDE, SIDE)) > 0.7)
    if both.mean() < 0.02:
        return figures
    return figures | {"aligned": 1.0, **_residual(first, second, np.asarray(moved, np.uint8), both)}


def _point_pairs(first: Points, second: Points) -> tuple[FloatArray, FloatArray]:
    """Positions of points that choose each other, clearly before all others."""
    likeness = first.described @ second.described.T
    order = np.argpartition(-likeness, 1, axis=1)[:, :2]
    best = np.take_along_axis(likeness, order, 1)
    top = order[np.arange(len(order)), best.argmax(1)]
    distances = np.sqrt(np.maximum(2 - 2 * np.sort(best, axis=1), 0))  # the second best, the best
    kept = (distances[:, 1] < _RATIO * distances[:, 0]) & (likeness[:, top].argmax(0) == np.arange(len(top)))
    return first.at[kept], second.at[top[kept]]


def _residual(
    first: Canvas, second: Canvas, moved: npt.NDArray[np.uint8], both: npt.NDArray[np.bool_]
) -> Mapping[str, float]:
    """What differs after the common shift of colour: all over, and in the worst tenth of the places."""
    a, b = lab_of(first.rgb, first.light), lab_of(moved, second.light)
    gap = cv2.GaussianBlur(a, (0, 0), 3) - cv2.GaussianBlur(b, (0, 0), 3)
    shift = gap[both].mean(0)
    share = cv2.resize(both.astype(np.float32), (PLACES, PLACES), interpolation=cv2.INTER_AREA)
    used = share >= min(0.3, float(share.max()))

    def by_place(values: FloatArray) -> FloatArray:
        mean = cv2.resize(values * both, (PLACES, PLACES), interpolation=cv2.INTER_AREA) / np.maximum(share, 0.05)
        return np.asarray(mean[used], np.float32)

    own = by_place(np.linalg.norm(gap - shift, axis=2).astype(np.float32))
    figures = {
        "aligned.shift": float(np.hypot(*shift[1:])),
        "aligned.light": float(abs(shift[0])),
        "aligned.own": float(own.mean()),
        "aligned.own_worst": float(np.quantile(own, 0.9)),
    }
    for name, sigma in (("fine", 2.0), ("coarse", 8.0)):
        detail = [each[..., 0] - cv2.GaussianBlur(each[..., 0], (0, 0), sigma) for each in (a, b)]
        power = by_place(detail[0] ** 2), by_place(detail[1] ** 2)
        alike = by_place(detail[0] * detail[1]) / np.sqrt(power[0] * power[1] + 0.5)
        ratio = np.abs(np.log((power[0] + 0.3) / (power[1] + 0.3)))
        figures |= {
            f"aligned.{name}": float(alike.mean()),
            f"aligned.{name}_worst": float(np.quantile(alike, 0.1)),
            f"aligned.{name}_energy": float(ratio.mean()),
            f"aligned.{name}_energy_worst": float(np.quantile(ratio, 0.9)),
        }
    return figures


_BLOCKS = 3
_GLOSS = ("skew", "highlight", "folds")
_MATCHED = ("colour", "own", "texture", "light")
_PALETTE = ("ab", "ab_most", "mean_ab", "green", "blue", "chroma", "hue", "light", "contrast", "spread")
_ALIGNED = (
    *("points.matched", "points.inliers", "points.share", "aligned", "aligned.shift", "aligned.light"),
    *("aligned.own", "aligned.own_worst"),
    *(f"aligned.{name}{end}" for name in ("fine", "coarse") for end in ("", "_worst", "_energy", "_energy_worst")),
)
NAMES: tuple[str, ...] = (
    *(f"place{block}.{name}" for block in range(_BLOCKS) for name in ("mean", "least", "worst", "worst_least")),
    *(f"{name}{block}" for name in ("class", "sum") for block in range(_BLOCKS)),
    *("mutual", "mutual.geometry"),
    *(f"colour.{light}.{name}" for light in ("raw", "lit") for name in _PALETTE),
    *("colour.least", "colour.light_known"),
    *(f"texture.{name}{band}" for name in ("band", "peak") for band in range(BANDS)),
    *("texture.slope", "texture.energy"),
    *(f"texture.pattern{scale}" for scale in PATTERN_SCALES),
    *("texture.turn", "texture.period"),
    *(f"gloss.{name}" for name in _GLOSS),
    *("texture.enlarged", "texture.scales"),
    *(f"matched.{name}{end}" for name in _MATCHED for end in ("", "_worst")),
    *_ALIGNED,
    *("found.both", "found.none"),
)
