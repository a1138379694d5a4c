"""Pictures with their features, aligned: what heads are fitted on and judged with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zhentu.errors import UsageError
from zhentu_training.dataset import Sample
from zhentu_training.features import read_features
from zhentu_training.reading import some_of


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One row a picture and road. place: of the sample in the list they were gathered from.

    whole, crops: float16 (n, blocks, 3, D).  targets, known: float32 (n, 5), see `Sample.targets`.
    """

    samples: list[Sample]
    place: np.ndarray
    road: np.ndarray
    whole: np.ndarray
    crops: np.ndarray
    targets: np.ndarray
    known: np.ndarray

    def __len__(self) -> int:
        return len(self.samples)

    def look(self, name: str) -> np.ndarray:
        """Features of a look, "whole" or "crops"."""
        return self.whole if name == "whole" else self.crops


def gather(samples: Sequence[Sample], folder: Path, roads: Sequence[str]) -> Rows:
    """Rows of those samples that were looked at, road after road. Raises UsageError if none was.

    How many were not, because a run was interrupted or a file cannot be read, goes to standard error.
    """
    names = [str(sample.path) for sample in samples]
    place = {name: k for k, name in enumerate(names)}
    looked = {road: read_features(folder, road, names) for road in roads}
    looked = {road: each for road, each in looked.items() if each.names}
    if not looked:
        raise UsageError(
            f"{folder}: holds no features of these {len(names)} pictures; run zhentu_training.features first"
        )
    for road in roads:
        there = set(looked[road].names) if road in looked else set()
        absent = [name for name in names if name not in there]
        if not there:
            print(f"{folder}: no features on the road {road}, it is left out", file=sys.stderr)
        elif absent:
            print(
                f"{folder}: {len(absent)} of {len(names)} pictures have no features on the road {road} and are left "
                f"out ({some_of(absent)}); zhentu_training.features makes them, and names what cannot be read",
                file=sys.stderr,
            )
    at = np.array([place[name] for each in looked.values() for name in each.names])
    chosen = [samples[k] for k in at]
    targets, known = (np.stack(part) for part in zip(*(sample.targets() for sample in chosen), strict=True))
    return Rows(
        chosen,
        at,
        np.array([road for road, each in looked.items() for _ in each.names]),
        np.concatenate([each.whole for each in looked.values()]),
        np.concatenate([each.crops for each in looked.values()]),
        targets,
        known,
    )
