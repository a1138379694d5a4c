"""Benchmark a bank of a million hashes: build time, memory, lookup times, and exactness against brute force.

    python scripts/bench_bank.py --entries 1000000 --lookups 2000 --checked 500

Half the lookups are random hashes, half are copies of an entry with 0 to 45 bits flipped. As in the gate, lookups go
through `Banks.match`: PDQ, colour and sha256. Times are per lookup on one thread, in wall-clock and processor time.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from zhentu.banks.bank import Banks
from zhentu.banks.entries import Bank
from zhentu.banks.index import distances
from zhentu.banks.schema import bank_entries
from zhentu.banks.store import BankStore
from zhentu.record.database import Database, now
from zhentu.types import BankKind, Fingerprint

_CHUNK = 20_000


def fill(database: Database, hashes: np.ndarray, colours: np.ndarray) -> None:
    """Write entries as an import does, but without checking for duplicates."""
    for start in range(0, len(hashes), _CHUNK):
        rows = [
            {
                "bank": "bench",
                "sha256": bytes(hashes[place])[::-1],
                "pdq": bytes(hashes[place]),
                "quality": 100,
                "colour": bytes(colours[place]),
                "source": "bench",
                "seller_id": "",
                "note": "",
                "created_at": now(),
                "created_by": "bench",
                "removed_by": "",
                "revision": 1,
            }
            for place in range(start, min(start + _CHUNK, len(hashes)))
        ]
        with database.begin() as connection:
            connection.execute(insert(bank_entries), rows)


def queries(rng: np.random.Generator, hashes: np.ndarray, colours: np.ndarray, count: int) -> list[Fingerprint]:
    """Fingerprints to look up: half of them random, half of them near copies of entries."""
    found = []
    for number in range(count):
        place = int(rng.integers(len(hashes)))
        pdq = rng.integers(0, 256, 32, dtype=np.uint8)
        if number % 2:
            bits = np.unpackbits(hashes[place])
            bits[rng.choice(256, int(rng.integers(0, 46)), replace=False)] ^= 1
            pdq = np.packbits(bits)
        found.append(Fingerprint(bytes(rng.bytes(32)).hex(), pdq.tobytes(), 100, bytes(colours[place])))
    return found


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--lookups", type=int, default=2000)
    parser.add_argument("--checked", type=int, default=500)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (arguments.entries, 32), dtype=np.uint8)
    colours = rng.integers(0, 256, (arguments.entries, 48), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bank.db'}", auto_migrate=True)
        store = BankStore(database)
        store.put_bank(Bank("bench", BankKind.KNOWN_BAD), "bench")
        fill(database, hashes, colours)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        banks = Banks(store)
        loaded_s = time.perf_counter() - began
        peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        asked = queries(rng, hashes, colours, arguments.lookups)
        wall, processor, hits = [], [], 0
        for each in asked:
            began, spent = time.perf_counter(), time.thread_time()
            hits += bool(banks.match(each))
            wall.append(time.perf_counter() - began)
            processor.append(time.thread_time() - spent)
        began = time.perf_counter()
        index_built = type(banks._snapshot._index)(hashes)
        index_s = time.perf_counter() - began
        wrong = 0
        words = hashes.view(np.uint64)
        for each in asked[: arguments.checked]:
            places, near = index_built.within(each.pdq)
            every = distances(words, np.frombuffer(each.pdq, np.uint8))
            expected = {int(place): int(every[place]) for place in np.flatnonzero(every <= 31)}
            wrong += dict(zip(places.tolist(), near.tolist(), strict=True)) != expected
        database.close()
    milliseconds = {
        name: {f"p{rank:g}": round(float(np.percentile(times, rank)) * 1e3, 3) for rank in (50, 95, 99, 99.9)}
        for name, times in (("wall_ms", wall), ("processor_ms", processor))
    }
    print(
        json.dumps(
            {
                "entries": arguments.entries,
                "index_build_s": round(index_s, 2),
                "load_from_sqlite_s": round(loaded_s, 2),
                "held_mib": round(banks.state().byte_count / 2**20, 1),
                "peak_mib_while_loading": round(peak_mib, 1),
                **milliseconds,
                "lookups": len(asked),
                "lookups_with_a_hit": hits,
                "checked_against_brute_force": min(arguments.checked, len(asked)),
                "wrong": wrong,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
