"""Near-duplicates among pictures that need an action, so that a reviewer decides a group once.

Two pictures belong together when their PDQ hashes differ in at most 31 of 256 bits (the published threshold) and their
colours nowhere by more than a quarter: PDQ is blind to colour, and recoloured goods are other goods. Every member is
that close to the group's first picture, so that groups cannot drift from one picture to a quite different one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zhentu.backlog.rows import ScanRow
from zhentu.banks.hashing import COLOUR_BYTES, HASH_BYTES, MATCH_DISTANCE
from zhentu.types import Action

COLOUR_LIMIT = 0.25  # of the distance from black to white, in the worst of 16 cells
GROUPED_AT_MOST = 50_000  # pictures, the gravest first; 5 MB of hashes
_BLACK_TO_WHITE = 441.673  # in sRGB


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that look the same; the gravest comes first and represents them all. seqs: their numbers in the job."""

    rows: tuple[ScanRow, ...]
    seqs: tuple[int, ...]

    @property
    def first(self) -> ScanRow:
        """The picture that represents the group."""
        return self.rows[0]

    @property
    def size(self) -> int:
        """Pictures in it."""
        return len(self.rows)


class Grouper:
    """Collects pictures that need an action, in bounded memory, and groups them at the end."""

    def __init__(self, most: int = GROUPED_AT_MOST) -> None:
        self._most = most
        self._rows: list[tuple[int, ScanRow]] = []

    def add(self, seq: int, row: ScanRow) -> None:
        """Add a row; allowed and unreadable pictures, and those without a usable fingerprint, are left out."""
        if row.pdq and row.action not in ("", Action.ALLOW.value):
            self._rows.append((seq, row))
            if len(self._rows) >= 2 * self._most:
                self._rows = self._gravest()

    def groups(self) -> tuple[Group, ...]:
        """Groups of two or more, the largest first."""
        rows = self._gravest()
        found = [
            Group(tuple(rows[index][1] for index in members), tuple(rows[index][0] for index in members))
            for members in group_looks([row.pdq for _, row in rows], [row.colour for _, row in rows])
            if len(members) > 1
        ]
        return tuple(sorted(found, key=lambda group: -group.size))

    def _gravest(self) -> list[tuple[int, ScanRow]]:
        def gravity(each: tuple[int, ScanRow]) -> tuple[int, float, int]:
            seq, row = each
            return -Action(row.action).severity, -(row.forged or 0.0), seq

        return sorted(self._rows, key=gravity)[: self._most]


def group_looks(pdqs: Iterable[str], colours: Iterable[str]) -> list[list[int]]:
    """Indexes by group, each group led by its first member; every index is in exactly one.

    pdqs: 64 hex digits each, colours: 96. Quadratic in the worst case, by one vectorised pass for each group: 50,000
    different pictures take about a minute.
    """
    hashes = np.frombuffer(bytes.fromhex("".join(pdqs)), np.uint64).reshape(-1, HASH_BYTES // 8)
    cells = np.frombuffer(bytes.fromhex("".join(colours)), np.uint8).reshape(-1, COLOUR_BYTES)
    left = np.arange(len(hashes))
    groups = []
    while len(left):
        first = left[0]
        near = np.bitwise_count(hashes[left] ^ hashes[first]).sum(axis=1) <= MATCH_DISTANCE
        candidates = left[near]
        alike = _colour_distance(cells[candidates], cells[first]) <= COLOUR_LIMIT
        members = candidates[alike]
        groups.append([int(each) for each in members])
        left = left[~np.isin(left, members, assume_unique=True)]
    return groups


def _colour_distance(cells: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    steps = (cells.astype(np.float32) - other.astype(np.float32)).reshape(len(cells), -1, 3)
    return np.asarray(np.sqrt((steps**2).sum(axis=2)).max(axis=1) / _BLACK_TO_WHITE, dtype=np.float32)
