"""The figures of every pair, measured once and kept by unit: an added product costs its own pairs, not all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zhentu.detect.figures import IDENTITY_NAMES, NAMES, measure
from zhentu.detect.look import Look
from zhentu.detect.surface import surface_of
from zhentu_training.compare.gists import Gist, Sights, mark_of
from zhentu_training.compare.pairing import Pair
from zhentu_training.compare.sights import Sight

_LOOKS_KEPT = 400  # 3 MB each

Middle = tuple[np.ndarray, np.ndarray]


def figures_of(run: Path, gists: Sequence[Gist], pairs: Sequence[Pair], middle: Middle) -> np.ndarray:
    """Figures float32 (N, len(NAMES)) of every pair, kept in the run by the unit of the pair's first sight.

    A pair is measured again only when its figures, its two files of sights or the centres are other ones.
    middle: what `centres` says of the sights.
    """
    looked = lru_cache(_LOOKS_KEPT)(partial(_looked, Sights(gists), middle))
    measured_by = hashlib.sha256(json.dumps(NAMES).encode())
    for each in middle:
        measured_by.update(each.tobytes())
    kept = _Kept(run / "figures", measured_by.hexdigest())
    marks = {file: mark_of(file) for file in sorted({gist.file for gist in gists})}
    units: dict[Path, list[int]] = {}
    for k, pair in enumerate(pairs):
        units.setdefault(gists[pair.first].file, []).append(k)
    figures = np.zeros((len(pairs), len(NAMES)), np.float32)
    with tqdm(total=len(pairs), desc="pairs", mininterval=10) as told:
        for file, rows in units.items():
            keys = [_key(gists[pairs[k].first], gists[pairs[k].second], marks) for k in rows]
            known = kept.of(file)
            new = {key: k for key, k in zip(keys, rows, strict=True) if key not in known}
            for key, k in new.items():
                known[key] = measure(looked(pairs[k].first), looked(pairs[k].second)).figures
            if new:
                kept.keep(file, known)
            figures[rows] = [known[key] for key in keys]
            told.update(len(rows))
    return figures


@dataclass(frozen=True, slots=True)
class _Kept:
    """Figures by pair, a file for each unit. measured_by: digest of how they were measured; others count as none."""

    folder: Path
    measured_by: str

    def of(self, unit: Path) -> dict[str, np.ndarray]:
        """What is known of a unit's pairs."""
        path = self.folder / unit.name
        if not path.is_file():
            return {}
        with np.load(path) as stored:
            if str(stored["measured_by"]) != self.measured_by:
                return {}
            return dict(zip(stored["keys"].tolist(), stored["figures"], strict=True))

    def keep(self, unit: Path, known: dict[str, np.ndarray]) -> None:
        """Write them, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"{unit.stem}.tmp.npz"
        np.savez(beside, keys=list(known), figures=np.stack(list(known.values())), measured_by=self.measured_by)
        beside.replace(self.folder / unit.name)


def _key(first: Gist, second: Gist, marks: dict[Path, str]) -> str:
    """A pair by what its sights hold, wherever they stand in the run."""
    return " ".join(f"{gist.file.stem}/{gist.row}/{marks[gist.file]}" for gist in (first, second))


def _looked(sights: Sights, middle: Middle, index: int) -> Look:
    return look_of(sights[index], middle)


def look_of(sight: Sight, middle: Middle) -> Look:
    """A sight as the serving code sees it, but for its identity, which is fitted later."""

    def unit(values: np.ndarray) -> np.ndarray:
        return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-6)

    centre, class_centre = middle
    tokens = unit(sight.tokens.astype(np.float32) - centre[:, None]).astype(np.float16)
    nobody = np.zeros((len(IDENTITY_NAMES), 1), np.float32)
    classes = unit(sight.classes - class_centre)
    return Look(sight.canvas, surface_of(sight.canvas), tokens, classes, nobody, sight.found)
