"""Ten reviewers, each in a process of its own, clear one queue together; one is killed while it holds items.

    python scripts/check_reviewers.py --items 1000 --reviewers 10 [--store postgresql+psycopg://...]

Prints one JSON object. The exit code is 1 if an item was decided twice or never, or if the audit chain does not verify.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from zhentu.errors import ReviewConflict
from zhentu.ids import new_id
from zhentu.record import audit
from zhentu.record.database import Database
from zhentu.record.store import RecordStore
from zhentu.review.fill import Filler, FillSettings
from zhentu.review.items import ReviewOutcome
from zhentu.review.queue import ReviewQueue
from zhentu.review.schema import review_decisions, review_items
from zhentu.types import Action, Decision, Listing, Mode, ModelRef, Record, Scores, Verdict

LEASE = timedelta(seconds=3)


def record(number: int) -> Record:
    """A record that asks for review."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    scores = Scores(*(random.random() for _ in range(6)))
    decision = Decision(Action.REVIEW, Action.REVIEW, Mode.ENFORCE, (), "check", "0" * 64)
    return Record(
        new_id(),
        datetime.now(UTC),
        f"{number}.jpg",
        digest,
        "JPEG",
        100,
        100,
        1,
        (),
        Listing(str(number), f"seller-{number % 40}"),
        Verdict(scores, ModelRef("check", "1", "0" * 64)),
        (),
        decision,
        1.0,
    )


def work(url: str, name: str, slow: bool) -> None:
    """Claim and decide until the queue is empty. slow: keep the first items for good, to be killed holding them."""
    queue = ReviewQueue(Database(url), lease=LEASE)
    rng = random.Random(name)
    while True:
        items = queue.claim(name, count=2)
        if not items:
            if queue.counts().open == 0:
                return
            time.sleep(0.2)
            continue
        if slow:
            time.sleep(3600)
        for item in items:
            outcome = rng.choice(list(ReviewOutcome))
            try:
                queue.decide(item.item_id, name, outcome)
                if rng.random() < 0.05:  # the answer got lost on the way: the browser sends the decision again
                    queue.decide(item.item_id, name, outcome)
            except ReviewConflict:
                continue
        if rng.random() < 0.02:
            queue.undo(name)


def run(url: str, items: int, reviewers: int) -> dict[str, object]:
    """Fill the queue, let the reviewers clear it, kill one of them, and count."""
    database = Database(url, auto_migrate=True)
    RecordStore(database).append_many(record(number) for number in range(items))
    made = Filler(database, lambda _: None, FillSettings(second_ratio=0)).fill()
    context = multiprocessing.get_context("spawn")
    names = [f"reviewer-{number}" for number in range(reviewers)]
    began = time.perf_counter()
    workers = [context.Process(target=work, args=(url, name, name == names[0])) for name in names]
    workers[0].start()
    while not (in_hand := _held(database, names[0])):
        time.sleep(0.05)
    for worker in workers[1:]:
        worker.start()
    os.kill(workers[0].pid or 0, signal.SIGKILL)
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    with database.begin() as connection:
        query = select(review_decisions.c.item_id).where(review_decisions.c.undone_at.is_(None))
        standing = Counter(connection.execute(query).scalars())
        every = len(connection.execute(select(review_decisions.c.decision_id)).all())
    chain = audit.verify(database)
    return {
        "store": database.dialect,
        "items": made,
        "reviewers": reviewers,
        "killed_with_items_in_hand": in_hand,
        "seconds": round(took, 1),
        "decisions": every,
        "undone": every - sum(standing.values()),
        "decided_twice": sum(count > 1 for count in standing.values()),
        "lost": items - len(standing),
        "audit_entries": chain.entries,
        "audit_verifies": chain.broken_at is None,
    }


def _held(database: Database, name: str) -> int:
    with database.begin() as connection:
        query = select(review_items.c.item_id).where(review_items.c.leased_by == name)
        return len(connection.execute(query.where(review_items.c.decided_at.is_(None))).all())


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--reviewers", type=int, default=10)
    parser.add_argument("--store", default="", help="an empty database; default: SQLite in a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments.store or f"sqlite:///{Path(folder) / 'q.db'}", arguments.items, arguments.reviewers)
    print(json.dumps(found, indent=2))
    sys.exit(bool(found["decided_twice"] or found["lost"] or not found["audit_verifies"]))


if __name__ == "__main__":
    main()
