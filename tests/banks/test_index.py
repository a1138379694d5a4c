from __future__ import annotations

import numpy as np
import pytest

from zhentu.banks.index import HashIndex


def hashes(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(one: np.ndarray, bits: int, seed: int = 2) -> bytes:
    changed = np.unpackbits(one)
    changed[np.random.default_rng(seed).choice(256, bits, replace=False)] ^= 1
    return np.packbits(changed).tobytes()


def brute(all_hashes: np.ndarray, query: bytes, distance: int) -> dict[int, int]:
    near = np.unpackbits(all_hashes ^ np.frombuffer(query, np.uint8), axis=1).sum(axis=1)
    return {int(place): int(near[place]) for place in np.flatnonzero(near <= distance)}


@pytest.mark.parametrize("distance", [0, 7, 15, 16, 31])
def test_lookups_are_exact_at_every_threshold(distance):
    rng, held = np.random.default_rng(3), hashes(3000)
    held[1::50] = held[0]  # copies, and near copies spread evenly over all chunks: the hardest case
    held[2::50] = [np.frombuffer(flipped(held[0], int(rng.integers(0, 40)), seed), np.uint8) for seed in range(60)]
    index = HashIndex(held)
    for bits in range(0, 40, 3):
        query = flipped(held[0], bits)
        places, near = index.within(query, distance)
        assert dict(zip(places.tolist(), near.tolist(), strict=True)) == brute(held, query, distance)
        assert near.tolist() == sorted(near.tolist())


def test_two_bits_in_fifteen_chunks_and_one_in_the_last_are_found():
    held = hashes(1)
    bits = np.unpackbits(held[0]).reshape(16, 16)
    bits[:15, :2] ^= 1
    bits[15, 0] ^= 1
    places, near = HashIndex(held).within(np.packbits(bits).tobytes(), 31)
    assert (places.tolist(), near.tolist()) == ([0], [31])


def test_an_empty_index_finds_nothing():
    assert len(HashIndex(np.zeros((0, 32), np.uint8)).within(bytes(32), 31)[0]) == 0


def test_more_than_the_buckets_promise_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.31"):
        HashIndex(hashes(1)).within(bytes(32), 32)
