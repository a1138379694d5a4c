"""All banks in memory as immutable columns, matched by many threads while the next snapshot is being made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from zhentu.banks.entries import Bank, BankState, Match, MatchKind
from zhentu.banks.hashing import COLOUR_BYTES, HASH_BYTES, colour_distance
from zhentu.banks.index import HashIndex, distances
from zhentu.types import BankKind, Fingerprint

_TAIL = 20_000  # entries searched one by one before a new index is worth building


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Entries side by side, n rows each. Absent sha256, pdq or colour are all zero, with the `has_` flag false.

    entry_id: int64.  bank: int16, place in the snapshot's bank names.  expires: float64, seconds since 1970, inf never.
    """

    entry_id: npt.NDArray[np.int64]
    bank: npt.NDArray[np.int16]
    sha256: npt.NDArray[np.uint8]
    pdq: npt.NDArray[np.uint8]
    colour: npt.NDArray[np.uint8]
    has_sha256: npt.NDArray[np.bool_]
    has_pdq: npt.NDArray[np.bool_]
    has_colour: npt.NDArray[np.bool_]
    expires: npt.NDArray[np.float64]

    @staticmethod
    def empty() -> Columns:
        """No rows."""
        none, hashes = np.zeros(0, bool), np.zeros((0, HASH_BYTES), np.uint8)
        return Columns(
            np.zeros(0, np.int64),
            np.zeros(0, np.int16),
            hashes,
            hashes,
            np.zeros((0, COLOUR_BYTES), np.uint8),
            none,
            none,
            none,
            np.zeros(0, np.float64),
        )

    def __len__(self) -> int:
        return len(self.entry_id)

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """The columns in their order."""
        return tuple(getattr(self, each.name) for each in fields(self))

    def only(self, kept: npt.NDArray[np.bool_]) -> Columns:
        """The rows where `kept` is true."""
        return Columns(*(column[kept] for column in self.arrays()))

    def plus(self, other: Columns) -> Columns:
        """These rows, then the other's."""
        return Columns.stacked([self, other])

    @staticmethod
    def stacked(parts: Sequence[Columns]) -> Columns:
        """All rows of all parts, in order."""
        columns: Iterator[tuple[Any, ...]] = zip(*(part.arrays() for part in parts), strict=True)
        return Columns(*(np.concatenate(each) for each in columns))


class Snapshot:
    """The banks as of a revision.

    Most entries are in an index; those added later are in a short tail, and those removed later are marked dead.
    """

    def __init__(self, banks: Mapping[str, Bank], names: tuple[str, ...], columns: Columns, revision: int) -> None:
        self.banks, self.names, self.revision = banks, names, revision
        self._main, self._alive, self._tail = columns, np.ones(len(columns), bool), Columns.empty()
        self._looks = np.flatnonzero(columns.has_pdq).astype(np.int32)
        self._index = HashIndex(columns.pdq if columns.has_pdq.all() else columns.pdq[self._looks])
        self._by_sha = np.argsort(_key(columns.sha256), kind="stable").astype(np.int32)
        self._sorted_sha = _key(columns.sha256)[self._by_sha]

    def updated(
        self, banks: Mapping[str, Bank], names: tuple[str, ...], changed: Columns, gone: set[int], revision: int
    ) -> Snapshot:
        """A snapshot with `changed` rows added or replaced and `gone` entry ids removed; this one is unchanged."""
        touched = np.fromiter(gone | set(changed.entry_id.tolist()), np.int64)
        tail = self._tail.only(~np.isin(self._tail.entry_id, touched)).plus(changed)
        alive = self._alive & ~np.isin(self._main.entry_id, touched)
        if len(tail) > _TAIL:
            return Snapshot(banks, names, self._main.only(alive).plus(tail), revision)
        new = object.__new__(Snapshot)
        new.banks, new.names, new.revision = banks, names, revision
        new._main, new._alive, new._tail = self._main, alive, tail
        new._index, new._looks, new._by_sha, new._sorted_sha = self._index, self._looks, self._by_sha, self._sorted_sha
        return new

    def match(self, fingerprint: Fingerprint, at: float) -> tuple[Match, ...]:
        """Every entry in force that the picture matches, surest first. at: seconds since 1970."""
        found = {match.entry_id: match for match in self._near(fingerprint, at)} if fingerprint.usable else {}
        found |= {match.entry_id: match for match in self._exact(fingerprint, at)}
        order = list(MatchKind)
        return tuple(sorted(found.values(), key=lambda each: (order.index(each.how), each.distance, each.entry_id)))

    def state(self) -> BankState:
        """What is in force."""
        banks = np.concatenate([self._main.bank[self._alive], self._tail.bank])
        counts = {name: int((banks == place).sum()) for place, name in enumerate(self.names) if name in self.banks}
        arrays = (*self._main.arrays(), *self._tail.arrays(), self._alive, self._looks, self._by_sha, self._sorted_sha)
        held = sum(array.nbytes for array in arrays) + self._index.byte_count
        if self._index.hashes is self._main.pdq:
            held -= self._main.pdq.nbytes
        return BankState(self.revision, held, counts)

    def _exact(self, fingerprint: Fingerprint, at: float) -> list[Match]:
        sought = np.frombuffer(bytes.fromhex(fingerprint.sha256), np.uint8)
        key = _key(sought[None])[0]
        first, end = (int(np.searchsorted(self._sorted_sha, key, side)) for side in ("left", "right"))
        places = self._by_sha[first:end]
        rows = [(self._main, int(place)) for place in places if self._alive[place]]
        rows += [(self._tail, int(place)) for place in np.flatnonzero(_key(self._tail.sha256) == key)]
        return [
            Match(bank, int(columns.entry_id[place]), MatchKind.EXACT, 0)
            for columns, place in rows
            if columns.has_sha256[place]
            and bytes(columns.sha256[place]) == bytes(sought)
            and (bank := self._bank(columns, place, fingerprint, at))
        ]

    def _near(self, fingerprint: Fingerprint, at: float) -> list[Match]:
        widest = max((bank.threshold for bank in self.banks.values()), default=0)
        places, bits = self._index.within(fingerprint.pdq, widest)
        rows = [(self._main, int(place), int(bit)) for place, bit in zip(self._looks[places], bits, strict=True)]
        rows = [row for row in rows if self._alive[row[1]]]
        tail = np.ascontiguousarray(self._tail.pdq).view(np.uint64)
        tail_bits = distances(tail, np.frombuffer(fingerprint.pdq, np.uint8))
        rows += [(self._tail, int(place), int(tail_bits[place])) for place in np.flatnonzero(tail_bits <= widest)]
        found = []
        for columns, place, distance in rows:
            bank = self._bank(columns, place, fingerprint, at)
            if bank is None or not columns.has_pdq[place] or distance > bank.threshold:
                continue
            how, apart = MatchKind.UNCONFIRMED, None
            if columns.has_colour[place]:
                apart = colour_distance(bytes(columns.colour[place]), fingerprint.colour)
                how = MatchKind.NEAR if apart <= bank.colour_limit else MatchKind.ALTERED
            if how is MatchKind.ALTERED and bank.kind is not BankKind.BRAND_ORIGINAL:
                continue  # the same shape in different colours is a different picture
            found.append(Match(bank, int(columns.entry_id[place]), how, distance, apart))
        return found

    def _bank(self, columns: Columns, place: int, fingerprint: Fingerprint, at: float) -> Bank | None:
        """The bank of a row, None if the row is not in force for this picture."""
        bank = self.banks.get(self.names[columns.bank[place]])
        in_force = bank is not None and columns.expires[place] > at and bank.asks(fingerprint.sha256)
        return bank if in_force else None


def _key(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each row, as a number to sort by."""
    return np.ascontiguousarray(hashes[:, :8]).view(np.uint64).ravel()
