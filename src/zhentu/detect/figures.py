"""What is measured between two looks: likeness of places, colour, texture, and, where they align, the pixels.

Every figure is symmetric: which picture is the reference does not matter. They are the only thing the fitted heads see,
so there is no room in the heads to learn goods by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.aligned import ALIGNED_NAMES, aligned
from zhentu.detect.canvas import PLACES, FloatArray
from zhentu.detect.look import Look
from zhentu.detect.surface import BANDS, PATTERN_SCALES, Palette, Surface

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
    """For each place of either look the most similar place of the other's goods, and how similar, by deeper blocks.

    likeness: cosines of all places of the first with all of the second, by block.
    """

    towards: Places
    backwards: Places
    seen: tuple[FloatArray, FloatArray]
    likeness: tuple[FloatArray, ...]


def measure(first: Look, second: Look) -> Measured:
    """All figures of a pair."""
    weights = first.weight, second.weight
    inside = weights[0] > _INSIDE * weights[0].max(), weights[1] > _INSIDE * weights[1].max()
    places, matches = _places(first, second, weights, inside)
    figures = {
        **places,
        **_identity(first.identity, second.identity),
        **_colour(first, second),
        **_texture(first, second),
        **_matched(first.surface, second.surface, weights, matches),
        **_octaves(first.surface, second.surface, weights, matches),
        **_shape(first.canvas.mask, second.canvas.mask),
        **aligned(first, second, matches.likeness),
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
    by_block: list[FloatArray] = []
    for block in range(_BLOCKS):
        a, b = first.tokens[block].astype(np.float32), second.tokens[block].astype(np.float32)
        by_block.append(likeness := a @ b.T)
        there, back = _best(likeness, inside)
        means = float(there @ weights[0]), float(back @ weights[1])
        worst = _quantile(there, weights[0], 0.1), _quantile(back, weights[1], 0.1)
        last = _quantile(there, weights[0], 0.02), _quantile(back, weights[1], 0.02)
        sums = weights[0] @ a, weights[1] @ b
        figures |= {
            f"place{block}.mean": sum(means) / 2,
            f"place{block}.least": min(means),
            f"place{block}.worst": sum(worst) / 2,
            f"place{block}.worst_least": min(worst),
            f"place{block}.last": min(last),
            f"class{block}": float(first.classes[block] @ second.classes[block]),
            f"sum{block}": float(sums[0] @ sums[1] / max(np.linalg.norm(sums[0]) * np.linalg.norm(sums[1]), 1e-6)),
        }
    total = np.mean(by_block[1:], 0)
    masked = np.where(inside[0][:, None] & inside[1][None], total, -np.inf)
    towards, backwards = masked.argmax(1), masked.argmax(0)
    mutual = np.flatnonzero(inside[0] & (backwards[towards] == np.arange(len(towards))))
    figures["mutual"] = float(len(mutual) / max(min(int(inside[0].sum()), int(inside[1].sum())), 1))
    figures["mutual.geometry"] = _geometry(mutual, towards[mutual])
    return figures, _Matches(towards, backwards, _best(total, inside), tuple(by_block))


def _identity(first: FloatArray, second: FloatArray) -> dict[str, float]:
    """Likeness in the directions that tell goods apart."""
    alike = (first * second).sum(1)
    return dict(zip(IDENTITY_NAMES, alike.tolist(), strict=True))


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
        "other": 1 - float(np.minimum(a.shares, b.shares).sum()),
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
    figures: dict[str, float] = {f"matched.{name}{end}": 0.0 for name in _MATCHED for end in ("", *_RANKS)}
    for here, there, weight, towards in (
        (first.cells, second.cells, weights[0], matches.towards),
        (second.cells, first.cells, weights[1], matches.backwards),
    ):
        gap = here - there[towards]
        rest = gap - weight @ gap
        apart = {
            "colour": np.linalg.norm(gap[:, 1:3], axis=1),
            "own": np.linalg.norm(rest[:, 1:3], axis=1),
            "texture": np.abs(gap[:, 4:7]).mean(1),  # the octaves that most uploads keep
            "light": np.abs(rest[:, 0]),
            "dark": np.abs(gap[:, 0]),
        }
        for name, values in apart.items():
            figures[f"matched.{name}"] += float(values @ weight) / 2
            for end, share in _RANKS.items():
                figures[f"matched.{name}{end}"] += _quantile(np.asarray(values, np.float32), weight, share) / 2
    return figures


def _octaves(
    first: Surface, second: Surface, weights: tuple[FloatArray, FloatArray], matches: _Matches
) -> dict[str, float]:
    """Contrast of each octave where each place went: the common gap, and how unevenly places keep to it."""
    figures: dict[str, float] = {}
    for band in range(BANDS):
        here, there = first.cells[:, 3 + band], second.cells[:, 3 + band]
        gaps = here - there[matches.towards], here[matches.backwards] - there
        middles = [_quantile(gap, weight, 0.5) for gap, weight in zip(gaps, weights, strict=True)]
        uneven = [
            _quantile(np.asarray(np.abs(gap - middle), np.float32), weight, 0.75)
            for gap, middle, weight in zip(gaps, middles, weights, strict=True)
        ]
        figures |= {f"octave{band}.gap": abs(sum(middles)) / 2, f"octave{band}.uneven": sum(uneven) / 2}
    gaps_of = [figures[f"octave{band}.gap"] for band in range(BANDS)]
    return figures | {"octave.most": max(gaps_of[1:4]), "octave.tilt": max(gaps_of[:4]) - min(gaps_of[:4])}


def _shape(first: FloatArray, second: FloatArray) -> dict[str, float]:
    """Outlines as they lie on the canvases: another pose moves them, another construction too."""
    own, other = first > 0.5, second > 0.5
    sides = [(float(each.any(1).sum() + 1) / float(each.any(0).sum() + 1)) for each in (own, other)]
    return {
        "shape.unlike": 1 - float((own & other).sum() / max((own | other).sum(), 1)),
        "shape.aspect": abs(float(np.log(sides[0] / sides[1]))),
        "shape.fill": abs(float(own.mean() - other.mean())),
    }


_BLOCKS = 3
IDENTITY_NAMES = tuple(f"identity.{name}{block}" for name in ("sum", "class") for block in range(_BLOCKS))
_RANKS = {"_best": 0.1, "_half": 0.5, "_worst": 0.9}
_GLOSS = ("skew", "highlight", "folds")
_MATCHED = ("colour", "own", "texture", "light", "dark")
_PALETTE = ("ab", "ab_most", "mean_ab", "green", "blue", "chroma", "hue", "light", "contrast", "spread", "other")
NAMES: tuple[str, ...] = (
    *(f"place{block}.{name}" for block in range(_BLOCKS) for name in ("mean", "least", "worst", "worst_least", "last")),
    *(f"{name}{block}" for name in ("class", "sum") for block in range(_BLOCKS)),
    *("mutual", "mutual.geometry"),
    *IDENTITY_NAMES,
    *(f"colour.{light}.{name}" for light in ("raw", "lit") for name in _PALETTE),
    *("colour.least", "colour.light_known"),
    *(f"texture.{name}{band}" for name in ("band", "peak") for band in range(BANDS)),
    *("texture.slope", "texture.energy"),
    *(f"texture.pattern{scale}" for scale in PATTERN_SCALES),
    *("texture.turn", "texture.period"),
    *(f"gloss.{name}" for name in _GLOSS),
    *("texture.enlarged", "texture.scales"),
    *(f"matched.{name}{end}" for name in _MATCHED for end in ("", *_RANKS)),
    *(f"octave{band}.{name}" for band in range(BANDS) for name in ("gap", "uneven")),
    *("octave.most", "octave.tilt", "shape.unlike", "shape.aspect", "shape.fill"),
    *ALIGNED_NAMES,
    *("found.both", "found.none"),
)
