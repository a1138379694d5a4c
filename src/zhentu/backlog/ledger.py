"""The ledger of one job, in one SQLite file: what is to be done, what is done, and which Parquet parts hold it.

Exactness: a row is done when it is in the ledger (in one transaction with the counts), and every few thousand rows
move into a Parquet part: the part appears atomically, then one transaction notes it and drops the rows. If killed
between the two, the part is overwritten. So at any moment each picture is in exactly one place.
"""

from __future__ import annotations

import heapq
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from zhentu.backlog.items import Item, Numbered, shard_of
from zhentu.backlog.outputs import PART_NAME
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.sources import Found
from zhentu.errors import StoreError
from zhentu.intake.skipped import Skipped, SkipReason

PART_ROWS = 5_000
_PART = re.compile(rf"\.?{PART_NAME}\d{{6,}}\.parquet(\.writing)?")  # others' files are named otherwise, e.g. Spark's
OnEntry = Callable[[int, int], None]
_PAGE = 1_000  # items in memory at once
_TABLES = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS found (source INTEGER, sort_by BLOB, path BLOB, listing_id TEXT, extras TEXT);
CREATE TABLE IF NOT EXISTS items (
  seq INTEGER PRIMARY KEY, path BLOB NOT NULL, listing_id TEXT NOT NULL, extras TEXT NOT NULL,
  done INTEGER NOT NULL DEFAULT 0, UNIQUE (path, listing_id));
CREATE TABLE IF NOT EXISTS skipped (
  source INTEGER NOT NULL, path BLOB NOT NULL, line INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS items_to_do ON items (seq) WHERE done = 0;
CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS parts (
  number INTEGER PRIMARY KEY, rows INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS breakdown (
  kind TEXT, name TEXT, action TEXT, count INTEGER NOT NULL, PRIMARY KEY (kind, name, action)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` (from 1) of `count`; every machine finds the same parts without talking to others."""

    index: int = 1
    count: int = 1


@dataclass(frozen=True, slots=True)
class Breakdown:
    """How many pictures of one seller or goods category need each action; "error" counts unreadable ones."""

    name: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All pictures."""
        return sum(self.counts.values())


class Ledger:
    """The ledger of the job whose progress is in `folder`. One process at a time writes it: see scan_job.py.

    parts: folder of the Parquet parts.  looking: read-only, while another process may write.
    Raises StoreError if the file cannot be used.
    """

    def __init__(self, folder: Path, parts: Path, looking: bool = False) -> None:
        self._parts = parts
        parts.mkdir(parents=True, exist_ok=True)
        try:
            self._sql = sqlite3.connect(folder / "ledger.db", isolation_level=None)
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=FULL")  # a reported row is on disk
            self._sql.executescript(_TABLES)
        except sqlite3.Error as error:
            raise StoreError(f"{folder / 'ledger.db'}: {error}; start the scan afresh with --no-resume") from error
        if not looking:
            self._drop_strays()

    def list_items(
        self, found: Iterable[Found | Skipped], shard: Shard, limit: int | None, on_entry: OnEntry | None = None
    ) -> None:
        """Store what is to be done, sorted and each item once, and what was skipped. Called again, it adds new entries.

        on_entry: called for every entry with the numbers found and skipped so far.
        """
        sql = self._sql
        sql.execute("BEGIN")
        try:
            sql.execute("DELETE FROM found")
            sql.execute("DELETE FROM skipped")
            taken = passed = 0
            for each in _of_shard(found, shard):
                if isinstance(each, Skipped):
                    passed += 1
                    sql.execute("INSERT INTO skipped VALUES (?, ?, ?, ?, ?)", _skipped_row(each))
                else:
                    taken += 1
                    sql.execute("INSERT INTO found VALUES (?, ?, ?, ?, ?)", _found_row(each))
                if on_entry:
                    on_entry(taken, passed)
            self._take_found(taken)
            if limit is not None:
                sql.execute("DELETE FROM items WHERE seq > ?", (limit,))
            self._note("listed", "yes")
        except BaseException:
            sql.execute("ROLLBACK")
            raise
        sql.execute("COMMIT")

    def _take_found(self, taken: int) -> None:
        inserted = self._sql.execute(
            "INSERT OR IGNORE INTO items (path, listing_id, extras) "
            "SELECT path, listing_id, extras FROM found ORDER BY source, sort_by, rowid"
        ).rowcount
        if inserted != taken:  # duplicates, or entries of an earlier listing; only then is the sort needed
            self._sql.execute(
                "INSERT INTO skipped SELECT source, path, 0, ?, listing_id FROM (SELECT *, row_number() OVER "
                "(PARTITION BY path, listing_id ORDER BY source, sort_by, rowid) AS place FROM found) WHERE place > 1",
                (SkipReason.DUPLICATE.value,),
            )
        self._sql.execute("DELETE FROM found")

    def skipped(self) -> Iterator[Skipped]:
        """What the listing left out, in order."""
        with closing(
            self._sql.execute("SELECT path, reason, detail, line, source FROM skipped ORDER BY rowid")
        ) as rows:
            for path, reason, detail, line, source in rows:
                yield Skipped(os.fsdecode(path), SkipReason(reason), detail, line, source)

    def skip_counts(self) -> dict[SkipReason, int]:
        """How much was skipped for each reason, most first."""
        query = "SELECT reason, count(*) FROM skipped GROUP BY reason ORDER BY count(*) DESC, reason"
        return {SkipReason(reason): count for reason, count in self._sql.execute(query)}

    @property
    def listed(self) -> bool:
        """Whether the listing was finished."""
        return self.note("listed") == "yes"

    @property
    def total(self) -> int:
        """Pictures listed."""
        return self._count("SELECT count(*) FROM items")

    @property
    def left(self) -> int:
        """Pictures still to be done."""
        return self._count("SELECT count(*) FROM items WHERE done = 0")

    def to_do(self) -> Iterator[Numbered]:
        """What is still to be done, in order; rows may be added meanwhile."""
        last = 0
        while True:
            page = self._sql.execute(
                "SELECT seq, path, listing_id, extras FROM items WHERE done = 0 AND seq > ? ORDER BY seq LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            for seq, path, listing_id, extras in page:
                yield Numbered(seq, Item.from_extras(os.fsdecode(path), listing_id, extras))
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    def sample(self, count: int) -> list[Numbered]:
        """`count` items spread evenly over the listing."""
        total = self.total
        seqs = sorted({1 + index * total // count for index in range(min(count, total))})
        marks = ",".join("?" * len(seqs))
        rows = self._sql.execute(f"SELECT seq, path, listing_id, extras FROM items WHERE seq IN ({marks})", seqs)  # noqa: S608
        return [Numbered(seq, Item.from_extras(os.fsdecode(path), *rest)) for seq, path, *rest in rows]

    def add(self, rows: Sequence[tuple[int, ScanRow]]) -> None:
        """Keep finished rows, which are on disk when this returns; rows of pictures already done are ignored."""
        sql = self._sql
        sql.execute("BEGIN IMMEDIATE")
        for seq, row in rows:
            if not sql.execute("UPDATE items SET done = 1 WHERE seq = ? AND done = 0", (seq,)).rowcount:
                continue
            sql.execute("INSERT INTO rows VALUES (?, ?)", (seq, row.to_json()))
            for kind, name in (("seller", row.seller_id), ("goods", row.goods)):
                sql.execute(
                    "INSERT INTO breakdown VALUES (?, ?, ?, 1) "
                    "ON CONFLICT (kind, name, action) DO UPDATE SET count = count + 1",
                    (kind, name, row.action or "error"),
                )
        sql.execute("COMMIT")
        if self._count("SELECT count(*) FROM rows") >= PART_ROWS:
            self.close_part()

    def close_part(self) -> None:
        """Move the rows that are in no part yet into the next one."""
        waiting = self._waiting()
        if not waiting:
            return
        from zhentu.backlog.parquet import write_part

        number = self._count("SELECT coalesce(max(number), 0) + 1 FROM parts")
        write_part(waiting, self._part(number))
        self._sql.execute("BEGIN IMMEDIATE")
        self._sql.execute(
            "INSERT INTO parts VALUES (?, ?, ?, ?)", (number, len(waiting), waiting[0][0], waiting[-1][0])
        )
        self._sql.execute("DELETE FROM rows")
        self._sql.execute("COMMIT")

    def rows(self) -> Iterator[tuple[int, ScanRow]]:
        """Every finished row in the order of the listing; only overlapping parts are open at the same time."""
        ahead = self._sql.execute("SELECT first_seq, number FROM parts ORDER BY first_seq").fetchall()
        open_rows: list[tuple[int, int, ScanRow, Iterator[tuple[int, ScanRow]]]] = []
        waiting = self._waiting()
        if waiting:
            ahead = sorted([*ahead, (waiting[0][0], 0)])
        for first, number in [*ahead, (None, 0)]:
            while open_rows and (first is None or open_rows[0][0] < first):
                seq, tie, row, rest = heapq.heappop(open_rows)
                yield seq, row
                if follows := next(rest, None):
                    heapq.heappush(open_rows, (follows[0], tie, follows[1], rest))
            if first is not None:
                rest = self._read_part(number) if number else iter(waiting)
                seq, row = next(rest)
                heapq.heappush(open_rows, (seq, number, row, rest))

    def breakdown(self, kind: str, most: int = 200) -> tuple[Breakdown, ...]:
        """Sellers ("seller") or goods categories ("goods"), those with the most pictures that need an action first."""
        names = self._sql.execute(
            "SELECT name FROM breakdown WHERE kind = ? GROUP BY name ORDER BY "
            "sum(CASE WHEN action NOT IN ('allow', 'error') THEN count ELSE 0 END) DESC, sum(count) DESC LIMIT ?",
            (kind, most),
        ).fetchall()
        query = "SELECT action, count FROM breakdown WHERE kind = ? AND name = ?"
        return tuple(Breakdown(name, dict(self._sql.execute(query, (kind, name)).fetchall())) for (name,) in names)

    def note(self, name: str) -> str:
        """A note of the job, "" if there is none."""
        found = self._sql.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def _note(self, name: str, value: str) -> None:
        self._sql.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def _waiting(self) -> list[tuple[int, ScanRow]]:
        with closing(self._sql.execute("SELECT seq, row FROM rows ORDER BY seq")) as rows:
            return [(seq, ScanRow.from_json(row)) for seq, row in rows]

    def _count(self, query: str) -> int:
        return int(self._sql.execute(query).fetchone()[0])

    def _read_part(self, number: int) -> Iterator[tuple[int, ScanRow]]:
        from zhentu.backlog.parquet import read_part

        return read_part(self._part(number))

    def _part(self, number: int) -> Path:
        return self._parts / f"{PART_NAME}{number:06d}.parquet"

    def _drop_strays(self) -> None:
        """Remove parts that were never noted: they come from a process killed in between or from an older job."""
        noted = {self._part(number).name for (number,) in self._sql.execute("SELECT number FROM parts")}
        for path in self._parts.glob(f"*{PART_NAME}*.parquet*"):
            if path.name not in noted and _PART.fullmatch(path.name):
                path.unlink()


def _of_shard(found: Iterable[Found | Skipped], shard: Shard) -> Iterator[Found | Skipped]:
    for each in found:
        path = each.path if isinstance(each, Skipped) else each.item.path
        if shard.count == 1 or shard_of(path, shard.count) == shard.index - 1:
            yield each


def _found_row(found: Found) -> tuple[int, bytes, bytes, str, str]:
    item = found.item
    return found.source, os.fsencode(found.sort_by), os.fsencode(item.path), item.listing.listing_id, item.extras()


def _skipped_row(skipped: Skipped) -> tuple[int, bytes, int, str, str]:
    detail = skipped.detail.encode("utf-8", "backslashreplace").decode()[:500]
    return skipped.source, os.fsencode(skipped.path), skipped.line, skipped.reason.value, detail
