"""Kill one job with SIGKILL at random moments, over and over, then check every row.

    python scripts/chaos_kill.py --count 4000 --kills 20

Each kill hits the scan process or its whole process group. At the end every source picture must be in the output
exactly once, with its own sha256 and scores; the store must hold exactly one record per row; and pictures with the same
bytes must have been scored once.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from scanning import environment, scan_command, tiny_models, variations

COPIES = 0.1  # share of pictures that repeat the bytes of another


def main() -> None:
    """Kill, finish, check; exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=5.0, help="the latest moment of a kill, in seconds")
    parser.add_argument("--place", type=Path, help="a folder to keep, so that another call can go on with the same job")
    parser.add_argument("--only-kill", action="store_true", help="do not finish or check the job; needs --place")
    arguments = parser.parse_args()
    with nullcontext(arguments.place) if arguments.place else tempfile.TemporaryDirectory() as chosen:
        place = Path(chosen)
        pictures = make(place / "pictures", arguments.count)
        variables = environment(place, tiny_models(place / "models"))
        kill_again_and_again(place, variables, arguments.kills, arguments.longest, random.Random(arguments.seed))
        if arguments.only_kill:
            return
        begun = [path.parent.name for path in (place / "jobs").glob("*/job.json")]
        # Without a job every scan was killed before it began.
        last = scan_command("--resume", begun[0]) if begun else scan_to(place)
        subprocess.run(last, env=variables, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        problems = check(place, pictures)
        moments = [int(line) for line in (place / "moments").read_text().split()]
    print(json.dumps({"pictures": len(pictures), "kills": len(moments), "rows_done_at_each_kill": moments}))
    print("every picture is there exactly once" if not problems else "\n".join(problems[:20]))
    raise SystemExit(1 if problems else 0)


def kill_again_and_again(
    place: Path, variables: dict[str, str], kills: int, longest: float, rng: random.Random
) -> None:
    """Start the same command and kill it, noting how many rows were on disk each time."""
    command = scan_to(place)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(kills):
        scan = subprocess.Popen(command, env=variables, start_new_session=True, **quiet)
        time.sleep(rng.uniform(0.3, longest))
        if scan.poll() is not None:
            raise SystemExit("a scan finished before it could be killed; give a larger --count")
        (os.killpg if rng.random() < 0.5 else os.kill)(scan.pid, signal.SIGKILL)
        scan.wait()
        with (place / "moments").open("a") as stream:
            stream.write(f"{done(place)}\n")


def scan_to(place: Path) -> list[str]:
    """The command that starts the job, and resumes it."""
    return scan_command(str(place / "pictures"), "-o", str(place / "rows.csv"), "--workers", "2")


def make(folder: Path, count: int) -> dict[str, str]:
    """Write the pictures; return the sha256 of each by its path."""
    folder.mkdir(parents=True, exist_ok=True)
    payloads = variations(int(count * (1 - COPIES)))
    made = {}
    for number in range(count):
        payload = payloads[number % len(payloads)]
        path = folder / f"{number:06d}.jpg"
        path.write_bytes(payload)
        made[str(path)] = hashlib.sha256(payload).hexdigest()
    return made


def done(place: Path) -> int:
    """How many rows the job has on disk."""
    for path in (place / "jobs").glob("*/ledger.db"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as ledger:
            return int(ledger.execute("SELECT count(*) FROM items WHERE done = 1").fetchone()[0])
    return 0


def check(place: Path, pictures: dict[str, str]) -> list[str]:
    """Every problem found, in words."""
    with (place / "rows.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    problems = [
        f"{path} is there {count} times" for path, count in Counter(row["path"] for row in rows).items() if count > 1
    ]
    problems += [f"{path} is missing" for path in pictures.keys() - {row["path"] for row in rows}]
    problems += [f"{row['path']}: wrong sha256" for row in rows if row["sha256"] != pictures.get(row["path"])]
    problems += [f"{row['path']}: {row['error']}" for row in rows if row["error"]]
    scores: dict[str, str] = {}
    problems += [
        f"{row['path']}: copies differ"
        for row in rows
        if scores.setdefault(row["sha256"], row["forged"]) != row["forged"]
    ]
    with closing(sqlite3.connect(place / "records.db")) as store:
        records = dict(store.execute("SELECT record_id, path FROM records"))
        (verdicts,) = store.execute("SELECT count(*) FROM known_verdicts").fetchone()
    problems += [f"{row['path']}: no record" for row in rows if records.get(row["record_id"]) != row["path"]]
    if len(records) != len(rows):
        problems.append(f"{len(records)} records for {len(rows)} rows")
    if verdicts != len(set(pictures.values())):
        problems.append(f"{verdicts} verdicts for {len(set(pictures.values()))} different pictures")
    return problems


if __name__ == "__main__":
    main()
