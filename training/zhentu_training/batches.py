"""Which pictures meet in a batch, and how they become training views.

A batch holds (forged, its own genuine source) pairs under one and the same chain, real AI pictures, and genuine
pictures. Sources weigh n ** power, so that a big source does not drown the others; kinds that a shop is full of
(goods on white, studio) are drawn more often than their number says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from zhentu.detect.views import Box, ViewSpec, choose_boxes, native_crop, whole_view
from zhentu.intake.decode import decode
from zhentu_training.augment import Chain, ChainSpec
from zhentu_training.dataset import Sample

_FORGED_COVER = 0.2  # a crop with at least this share of forged pixels is forged
_GENUINE_COVER = 0.01  # one with less is genuine; in between nobody can say


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """How many of what per batch; lives in configs/train.yaml."""

    pairs: int = 8
    real_ai: int = 10
    genuine: int = 6
    source_power: float = 0.55
    kind_weights: Mapping[str, float] = field(default_factory=dict)
    crops_per_picture: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """views uint8 (B, S, S, 3); targets and weights float32 (B, 6)."""

    views: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def batches(
    samples: Sequence[Sample], branch: str, views: ViewSpec, spec: BatchSpec, chain: ChainSpec, seed: int, start: int
) -> Iterator[Batch]:
    """Endless batches for one branch ("whole" or "crops"); batch k depends on (seed, k) alone, so a resumed run agrees.

    Raises ValueError when one of the three groups (forged, real AI, genuine) is empty.
    """
    forged = [s for s in samples if s.pair is not None]
    real_ai = [s for s in samples if s.pair is None and s.forged]
    genuine = [s for s in samples if s.pair is None and not s.forged]
    groups = {"forged": forged, "genuine": genuine} | ({"real AI": real_ai} if spec.real_ai else {})
    empty = [name for name, group in groups.items() if not group]
    if empty:
        raise ValueError(f"no {' and no '.join(empty)} pictures in the training split of the manifest")
    odds = {id(group): _odds(group, spec) for group in (forged, real_ai, genuine)}
    step = start
    while True:
        rng = np.random.default_rng([seed, step])
        parts = []
        for group, count in ((forged, spec.pairs), (real_ai, spec.real_ai), (genuine, spec.genuine)):
            for index in rng.choice(len(group), count, p=odds[id(group)]) if count else ():
                drawn = Chain(chain, int(rng.integers(2**31)))
                parts += _prepare(group[index], drawn, branch, views, spec, rng)
        yield Batch(*(np.stack(column) for column in zip(*parts, strict=True)))
        step += 1


def _odds(group: Sequence[Sample], spec: BatchSpec) -> np.ndarray:
    if not group:
        return np.zeros(0)
    sources = Counter(sample.source for sample in group)
    families = Counter(_family(sample) for sample in group)
    odds = np.array(
        [
            sources[s.source] ** (spec.source_power - 1)
            * families[_family(s)] ** -0.5
            * spec.kind_weights.get(s.kind, 1.0)
            for s in group
        ]
    )
    return odds / odds.sum()


def _family(sample: Sample) -> str:
    return sample.recipe.split(".")[0]


def _prepare(
    sample: Sample, chain: Chain, branch: str, views: ViewSpec, spec: BatchSpec, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One or two pictures (a forgery brings its source) as (view, target, weight)."""
    crop_seed = int(rng.integers(2**31))
    rgb, mask = chain(_pixels(sample.path), _mask(sample.mask))
    parts = _views(rgb, mask, *sample.targets(), branch, views, spec, crop_seed)
    if sample.pair is not None:
        source, _ = chain(_pixels(sample.pair), None)
        clean = np.zeros(6, np.float32), np.ones(6, np.float32)
        parts += _views(source, None, *clean, branch, views, spec, crop_seed)
    return parts


def _views(
    rgb: np.ndarray,
    mask: np.ndarray | None,
    target: np.ndarray,
    weight: np.ndarray,
    branch: str,
    views: ViewSpec,
    spec: BatchSpec,
    seed: int,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    whole = whole_view(rgb, views.whole_size)
    if branch == "whole":
        return [(whole, target, weight)]
    rng = np.random.default_rng(seed)
    boxes = choose_boxes(whole, *rgb.shape[:2], ViewSpec(views.whole_size, views.crop_size, 8))
    parts = []
    for k in range(spec.crops_per_picture):
        box = boxes[rng.integers(len(boxes))] if k % 2 == 0 else _anywhere(rgb, views.crop_size, rng)
        cover = 1.0 if mask is None else float(mask[box.y : box.y + box.h, box.x : box.x + box.w].mean())
        if not target.any() or cover >= _FORGED_COVER:
            here, known = target, weight
        elif cover < _GENUINE_COVER:
            here, known = np.zeros_like(target), weight
        else:
            here, known = target, np.zeros_like(weight)
        parts.append((native_crop(rgb, box, views.crop_size), here, known))
    return parts


def _anywhere(rgb: np.ndarray, size: int, rng: np.random.Generator) -> Box:
    height, width = rgb.shape[:2]
    y, x = int(rng.integers(max(height - size, 0) + 1)), int(rng.integers(max(width - size, 0) + 1))
    return Box(x, y, min(size, width), min(size, height))


@lru_cache(maxsize=4000)
def _payload(path: Path) -> bytes:
    return path.read_bytes()


def _pixels(path: Path) -> np.ndarray:
    return decode(_payload(path)).rgb


def _mask(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    grey = cv2.imdecode(np.frombuffer(_payload(path), np.uint8), cv2.IMREAD_GRAYSCALE)
    return grey.astype(np.float32) / 255
