"""Which pictures are judged together: a source, its siblings and its duplicates are never on both sides of a fold.

A figure predicts performance on strangers only if the heads have not seen the judged sources. Sources of one owner or
one brand share pictures and habits (`configs/siblings.yaml`); pictures that look the same share more (PDQ).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zhentu.errors import UsageError
from zhentu.yaml_text import read_yaml
from zhentu_training.dataset import Sample

_SHARED = 3  # duplicates that make two families one; a single one may be chance


def load_siblings(path: Path) -> dict[str, str]:
    """Source -> the name of its family, from a file of families, each a list of sources; none where there is no file.

    An installed package has no file: it names the sources of the project's own set.
    """
    if not path.is_file():
        return {}
    families = read_yaml(path.read_text(encoding="utf-8")) or {}
    return {source: family for family, sources in families.items() for source in sources}


def packed_folds(shards: Path) -> dict[str, int]:
    """The fold of each picture that `zhentu_training.carry` packed, by its path. Raises UsageError if there is none."""
    found: dict[str, int] = {}
    for path in sorted(shards.glob("shard-*.npz")):
        with np.load(path) as shard:
            found |= dict(zip(map(str, shard["name"]), map(int, shard["fold"]), strict=True))
    if not found:
        raise UsageError(f"{shards}: holds no shards; name the folder that zhentu_training.carry wrote")
    return found


def groups_of(
    samples: Sequence[Sample], siblings: Mapping[str, str], duplicates: Sequence[tuple[int, int]] = ()
) -> np.ndarray:
    """A number for each sample; equal numbers stay together.

    duplicates: pairs of places in `samples` that look the same; families that share three or more are one.
    """
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parents.setdefault(name, name)) != name:
            parents[name] = parents[above]
            name = above
        return name

    families = [siblings.get(sample.source, sample.source) for sample in samples]
    shared = Counter(tuple(sorted((families[one], families[other]))) for one, other in duplicates)
    for (one, other), count in shared.items():
        if count >= _SHARED:
            parents[root(one)] = root(other)
    roots = [root(family) for family in families]
    names = {name: k for k, name in enumerate(sorted(set(roots)))}
    return np.array([names[name] for name in roots])


def folds_of(groups: np.ndarray, strata: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold of each picture, 0 to count - 1: groups whole, each stratum (a label) spread as evenly as they allow.

    The largest groups are placed first, each where it leaves the fullest stratum least full; the seed breaks ties.
    """
    rng = np.random.default_rng(seed)
    kinds = np.unique(strata)
    totals = np.array([(strata == kind).sum() for kind in kinds], float)
    sizes = {
        g: np.array([((groups == g) & (strata == kind)).sum() for kind in kinds]) / totals for g in np.unique(groups)
    }
    ties = dict(zip(sizes, rng.permutation(len(sizes)), strict=True))
    filled, fold = np.zeros((count, len(kinds))), {}
    for group in sorted(sizes, key=lambda g: (-sizes[g].max(), ties[g])):
        costs = ((filled + sizes[group]) ** 2).sum(1) - (filled**2).sum(1)
        fold[group] = int(np.argmin(costs))
        filled[fold[group]] += sizes[group]
    return np.array([fold[group] for group in groups])
