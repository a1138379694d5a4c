"""Directions of the encoder's tokens that tell goods apart: linear discriminant analysis over pairs of true matches.

CLIP's mean tokens lie close together whatever is shown: 0.56 AUC between look-alikes and true matches. What differs
between two photographs of the same goods (pose, light, camera) is known from the matches; in the directions where goods
differ most beside it, the same tokens have 0.78.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold

from zhentu_training.compare.gists import Gist
from zhentu_training.compare.pairing import Pair

WIDTH = 128  # directions kept
_SEARCHED = 300  # principal directions within which they are looked for
_SHARE = 0.05  # of the goods' own variance, added to what matches differ by: there are few matches
_FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Of each summary: what is taken off it, float32 (summaries, D), and the directions, float32 (summaries, D, d)."""

    middle: np.ndarray
    directions: np.ndarray

    def of(self, summaries: np.ndarray) -> np.ndarray:
        """Summaries (N, summaries, D) in those directions, of unit length: (N, summaries, d)."""
        found = np.einsum("nsd,sde->nse", summaries - self.middle, self.directions)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-6))


def summaries_of(gists: Sequence[Gist]) -> np.ndarray:
    """The goods' mean token of each block, then the class tokens: float32 (N, 2 * blocks, D)."""
    return np.stack([gist.summary for gist in gists])


def identity_of(summaries: np.ndarray, matches: np.ndarray, weight: np.ndarray, fitted: np.ndarray) -> Identity:
    """Fit it. matches: indices (M, 2) of pairs of the same goods, weighing `weight`.  fitted: sights it may use."""
    kinds, deep = summaries.shape[1:]
    middle = summaries[fitted].mean(0)
    wide = min(_SEARCHED, len(fitted) - 1, deep)
    directions = np.zeros((kinds, deep, min(WIDTH, wide)), np.float32)
    share = (weight / weight.sum())[:, None]
    for kind in range(kinds):
        own = (summaries[:, kind] - middle[kind]).astype(np.float64)
        _, size, axes = np.linalg.svd(own[fitted], full_matrices=False)
        within_axes = own @ axes[:wide].T
        gaps = within_axes[matches[:, 0]] - within_axes[matches[:, 1]]
        variance = size[:wide] ** 2 / len(fitted)
        photograph = (gaps * share).T @ gaps / 2 + np.diag(_SHARE * variance + 1e-9)
        # Where what matches differ by is brought to the same size everywhere, goods differ along the principal axes.
        level, turn = np.linalg.eigh(photograph)
        flat = turn / np.sqrt(level)
        between = flat.T @ np.diag(variance) @ flat
        _, best = np.linalg.eigh(between)
        directions[kind] = axes[:wide].T @ flat @ best[:, ::-1][:, : directions.shape[2]]
    return Identity(middle.astype(np.float32), directions)


def alike(identity: Identity, summaries: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
    """Cosines (pairs, 2 * blocks)."""
    found = identity.of(summaries)
    return np.stack([(found[pair.first] * found[pair.second]).sum(1) for pair in pairs])


def crossed(summaries: np.ndarray, pairs: Sequence[Pair], weight: np.ndarray) -> tuple[Identity, np.ndarray]:
    """The identity fitted on all pairs that are not judged, and the cosines (pairs, 2 * blocks) of all pairs.

    Pairs that fit get the cosine of directions that never saw their group: what the heads learn from must look as it
    will on goods that nobody has seen.
    """
    groups = np.array([pair.group for pair in pairs])
    taught = np.flatnonzero([pair.split != "judge" for pair in pairs])
    same = np.array([not pair.mismatch and pair.first != pair.second for pair in pairs])
    ends = np.array([(pair.first, pair.second) for pair in pairs])

    def fit(rows: np.ndarray) -> Identity:
        use = rows[same[rows]]
        return identity_of(summaries, ends[use], weight[use], np.unique(ends[rows]))

    everything = fit(taught)
    found = alike(everything, summaries, pairs)
    for teach, ask in GroupKFold(_FOLDS).split(taught, groups=groups[taught]):
        asked = taught[ask]
        found[asked] = alike(fit(taught[teach]), summaries, [pairs[k] for k in asked])
    return everything, found.astype(np.float32)
