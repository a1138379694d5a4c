"""What a fit needs of every picture at once: its words, its tokens' means and its class tokens, not its pixels.

A sight is 2.5 MB, its gist 30 KB: of ten thousand pictures the gists fit into memory, and sights are read when a pair
of them is measured.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zhentu.detect.look import weight_of
from zhentu.errors import UsageError
from zhentu_training.compare.sights import TAUGHT, Sight, Subject, load

_UNITS_OPEN = 4  # units of about eight sights, 20 MB each


@dataclass(frozen=True, slots=True, eq=False)
class Gist:
    """A sight without its canvas and places.

    mean: float32 (blocks, D), mean patch token of the whole canvas, raw.  summary: float32 (2 * blocks, D), raw: the
    goods' mean token of each block, then the class tokens.  whole: float32 (D,), the last class token of the whole
    picture; empty outside the judged split.  file, row: where the sight is kept.
    """

    subject: Subject
    mean: np.ndarray
    summary: np.ndarray
    whole: np.ndarray
    file: Path
    row: int

    @staticmethod
    def of(sight: Sight, file: Path = Path(), row: int = 0) -> Gist:
        """The gist of a sight kept as the `row`-th of `file`."""
        tokens = sight.tokens.astype(np.float32)
        summary = np.concatenate([weight_of(sight.canvas) @ tokens, sight.classes])
        return Gist(sight.subject, tokens.mean(1), summary, sight.whole[-1:].ravel(), file, row)

    @property
    def classes(self) -> np.ndarray:
        """Class tokens, raw: float32 (blocks, D)."""
        return self.summary[len(self.mean) :]


class Sights:
    """Sights by the index of their gists, read from disk when asked for; the last few units stay open."""

    def __init__(self, gists: Sequence[Gist]) -> None:
        self._gists = gists
        self._unit = lru_cache(_UNITS_OPEN)(load)

    def __getitem__(self, index: int) -> Sight:
        """The sight of one gist."""
        gist = self._gists[index]
        return self._unit(gist.file)[gist.row]


def gists_of(run: Path) -> list[Gist]:
    """Gists of all sights of a run, in the order of their files. Raises UsageError if there are none."""
    files = sorted((run / "sights").glob("*[0-9].npz"))
    if not files:
        raise UsageError(f"{run / 'sights'}: holds no sights; run zhentu_training.compare.sights first")
    return [
        Gist.of(sight, file, row)
        for file in tqdm(files, desc="gists", mininterval=10)
        for row, sight in enumerate(load(file))
    ]


def mark_of(file: Path) -> str:
    """What a file of sights holds, by the checksums that stand in it already: another content is another mark."""
    with zipfile.ZipFile(file) as stored:
        sums = [each.CRC for each in stored.infolist()]
    return hashlib.sha256(repr(sums).encode()).hexdigest()[:16]


def centres(gists: Sequence[Gist]) -> tuple[np.ndarray, np.ndarray]:
    """Mean patch token (blocks, D) and mean class token (blocks, D) of the sights that fit.

    Without the products that were added only to fit: adding more of them leaves what was measured as it is.
    """
    taught = [gist for gist in gists if gist.subject.split != "judge" and gist.subject.source != TAUGHT]
    return np.mean([gist.mean for gist in taught], 0), np.mean([gist.classes for gist in taught], 0)
