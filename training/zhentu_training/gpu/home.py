"""What is sent back from a lent machine, by and by: a call may return few files, and a run makes more than fit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zhentu_training.gpu.arrays import write_parts

SAID = "said.npz"  # logits of all that is done, in every call's answer: "<unit>/<array>"
_WEIGHTS = "-weights"


@dataclass(frozen=True, slots=True)
class Home:
    """Finished parts of a run. work: on the machine, between calls.  out: of this call, what is sent back.

    most_files, most_bytes: of a call; a part that no longer fits waits for the next one.
    """

    work: Path
    out: Path
    most_files: int = 8
    most_bytes: int = 62 * 2**20

    @property
    def kept(self) -> Path:
        """Where finished parts lie until the machine goes back."""
        return self.work / "home"

    def done(self, unit: str) -> bool:
        """Whether a part of the run is finished."""
        return (self.kept / f"{unit}.npz").is_file()

    def keep(
        self, unit: str, said: Mapping[str, npt.NDArray[Any]], weights: Mapping[str, npt.NDArray[Any]] | None
    ) -> None:
        """Keep a finished part; its logits last, because they say that it is finished."""
        self.kept.mkdir(parents=True, exist_ok=True)
        if weights is not None:
            write_parts(weights, self.kept / f"{unit}{_WEIGHTS}")
        np.savez_compressed(self.kept / f"{unit}.npz", allow_pickle=False, **said)

    def send(self) -> list[str]:
        """Put into `out` what all parts said and, in the order made, weights not sent yet; returns what must wait."""
        self.out.mkdir(parents=True, exist_ok=True)
        made = sorted(self.kept.glob("*.npz"), key=lambda path: (path.stat().st_mtime, path.name))
        arrays: dict[str, npt.NDArray[Any]] = {}
        for path in (each for each in made if _WEIGHTS not in each.stem):
            with np.load(path) as part:
                arrays |= {f"{path.stem}/{name}": value for name, value in part.items()}
        if arrays:
            np.savez_compressed(self.out / SAID, allow_pickle=False, **arrays)
        waiting = []
        for path in (each for each in made if _WEIGHTS in each.stem):
            marker = path.with_suffix(".sent")
            if marker.exists():
                continue
            there = [each.stat().st_size for each in self.out.iterdir()]
            if len(there) + 2 > self.most_files or sum(there) + path.stat().st_size > self.most_bytes:  # one for a log
                waiting.append(path.name)
                continue
            shutil.copyfile(path, self.out / path.name)
            marker.touch()
        return waiting


def said_in(folder: Path) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """What each part said, by its name, of all answers in a folder and below it."""
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for path in sorted(folder.rglob(SAID)):
        with np.load(path) as arrays:
            for name in arrays:
                unit, _, array = name.partition("/")
                found.setdefault(unit, {})[array] = arrays[name]
    return found


def weights_in(folder: Path, unit: str) -> dict[str, npt.NDArray[Any]]:
    """What `changes.kept_of` gave of a part, of all answers in a folder and below it; empty if none holds it."""
    found: dict[str, npt.NDArray[Any]] = {}
    for path in sorted(folder.rglob(f"{unit}{_WEIGHTS}-*.npz")):
        with np.load(path) as arrays:
            found |= dict(arrays)
    return found
