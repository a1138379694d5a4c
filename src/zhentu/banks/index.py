"""Exact Hamming search among a million 256-bit hashes, in NumPy.

Multi-index hashing (Norouzi, Punjani, Fleet 2012): a hash is cut into 16 chunks of 16 bits. Two hashes that differ in
at most 31 bits agree, but for at most one bit, in at least one chunk (16 chunks with two differing bits each would be
32), so 16 x 17 buckets hold every neighbour, and only their members are compared in full.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zhentu.banks.hashing import HASH_BYTES, MATCH_DISTANCE

_CHUNKS = 16
_VALUES = 1 << 16
_FLIPS = np.concatenate([np.zeros(1, np.uint16), np.left_shift(np.uint16(1), np.arange(16, dtype=np.uint16))])


class HashIndex:
    """Immutable; built in under a second per million hashes; safe to read from several threads.

    hashes: uint8 array (n, 32).  Memory: 32 bytes per hash, 64 bytes per hash for its places in buckets, and 4 MiB.
    """

    def __init__(self, hashes: npt.NDArray[np.uint8]) -> None:
        self.hashes = np.ascontiguousarray(hashes, np.uint8).reshape(-1, HASH_BYTES)
        self._words = self.hashes.view(np.uint64)
        chunks = self.hashes.view(np.uint16)
        self._order = np.empty((_CHUNKS, len(self.hashes)), np.int32)
        self._ends = np.zeros((_CHUNKS, _VALUES + 1), np.int32)
        for chunk in range(_CHUNKS):
            values = np.ascontiguousarray(chunks[:, chunk])
            self._order[chunk] = np.argsort(values, kind="stable")  # a radix sort for 16 bits
            np.cumsum(np.bincount(values, minlength=_VALUES), out=self._ends[chunk, 1:])

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def byte_count(self) -> int:
        """Bytes of memory held."""
        return self.hashes.nbytes + self._order.nbytes + self._ends.nbytes

    def within(self, pdq: bytes, distance: int = MATCH_DISTANCE) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Places of all hashes at most `distance` bits away, nearest first, and their distances.

        Raises ValueError for a distance above 31, which the buckets do not cover.
        """
        if not 0 <= distance <= MATCH_DISTANCE:
            raise ValueError(f"distance {distance} is outside 0..{MATCH_DISTANCE}")
        query = np.frombuffer(pdq, np.uint8)
        # At most 15 differing bits leave one of 16 chunks untouched: the bucket of the chunk itself is enough.
        flips = _FLIPS if distance >= _CHUNKS else _FLIPS[:1]
        values = query.view(np.uint16)[:, None] ^ flips[None, :]
        rows = np.arange(_CHUNKS)[:, None]
        begins, ends = self._ends[rows, values].ravel(), self._ends[rows, values + np.int64(1)].ravel()
        counts = ends - begins
        total = int(counts.sum())
        starts = begins + (rows * len(self)).repeat(len(flips), axis=1).ravel()
        inside = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        candidates = self._order.ravel()[np.repeat(starts, counts) + inside]
        near = distances(self._words[candidates], query)
        kept = near <= distance
        places, first = np.unique(candidates[kept], return_index=True)
        near = near[kept][first]
        order = np.argsort(near, kind="stable")
        return places[order], near[order]


def distances(words: npt.NDArray[np.uint64], query: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Hamming distances of hashes as four words each, shape (n, 4), to one hash; 255 stands for 255 and 256."""
    counts = np.bitwise_count(words ^ query.view(np.uint64))
    return np.asarray(np.minimum(counts.sum(axis=1, dtype=np.uint16), 255), dtype=np.uint8)
