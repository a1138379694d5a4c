"""Banks and their entries in the database; every change is audited in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, Select, func, insert, or_, select, update

from zhentu.banks.entries import Bank, Entry, NewEntry
from zhentu.banks.hashing import COLOUR_BYTES, HASH_BYTES
from zhentu.banks.schema import bank_entries, bank_revision, banks, prints
from zhentu.banks.snapshot import Columns
from zhentu.errors import UsageError
from zhentu.record import audit
from zhentu.record.database import Database, aware, now
from zhentu.record.known import known_verdicts, stored_fingerprint
from zhentu.types import BankKind, Fingerprint

_CHUNK = 500  # entries per statement
_PAGE = 50_000  # rows per fetch


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Changes that a snapshot must apply. gone: entries removed.  columns.bank counts places in `names`."""

    revision: int
    banks: dict[str, Bank]
    names: tuple[str, ...]
    columns: Columns
    gone: frozenset[int]


class BankStore:
    """The tables of the banks; safe to use from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def put_bank(self, bank: Bank, by: str) -> None:
        """Make a bank, or change its settings. Raises UsageError if that would change its kind."""
        columns = {
            "kind": bank.kind.value,
            "threshold": bank.threshold,
            "colour_limit": bank.colour_limit,
            "enabled_ratio": bank.enabled_ratio,
            "brand": bank.brand,
            "owners": "\n".join(bank.owners),
            "note": bank.note,
        }
        with self.database.begin() as connection:
            _next_revision(connection)
            kind = connection.execute(select(banks.c.kind).where(banks.c.name == bank.name)).scalar()
            if kind is None:
                connection.execute(insert(banks).values(name=bank.name, **columns))
            elif kind != bank.kind.value:
                raise UsageError(f"bank {bank.name!r} is of kind {kind}; make another bank for {bank.kind.value}")
            else:
                connection.execute(update(banks).where(banks.c.name == bank.name).values(**columns))
            audit.append(connection, by, "bank.put", f"bank:{bank.name}", columns)

    def banks(self) -> dict[str, Bank]:
        """All banks by name."""
        with self.database.begin() as connection:
            return _all_banks(connection)

    def bank(self, name: str) -> Bank:
        """The bank of that name. Raises UsageError."""
        found = self.banks()
        if name not in found:
            listed = ", ".join(sorted(found)) or "none; make one with `zhentu bank create`"
            raise UsageError(f"no bank {name!r}; there are: {listed}")
        return found[name]

    def add(self, bank: str, entries: Sequence[NewEntry], by: str) -> tuple[int, ...]:
        """Add entries; those the bank already holds are skipped. Returns the ids added, in order.

        All or none. Raises UsageError for an unknown bank.
        """
        with self.database.begin() as connection:
            return add_entries(connection, bank, entries, by)

    def remove(self, entry_id: int, by: str) -> None:
        """Deactivate an entry; its row stays. Raises UsageError if there is none in force."""
        with self.database.begin() as connection:
            remove_entry(connection, entry_id, by)

    def entry(self, entry_id: int) -> Entry:
        """One entry, even a removed one. Raises UsageError."""
        with self.database.begin() as connection:
            row = connection.execute(select(bank_entries).where(bank_entries.c.entry_id == entry_id)).one_or_none()
        if row is None:
            raise UsageError(f"no bank entry {entry_id}")
        return _entry(row)

    def entries(self, bank: str, after: int = 0, limit: int = 100) -> tuple[Entry, ...]:
        """Entries of a bank that are not removed, by id."""
        with self.database.begin() as connection:
            return tuple(_entry(row) for row in connection.execute(_in_force(bank, after).limit(limit)))

    def every_entry(self, bank: str) -> Iterator[Entry]:
        """All entries of a bank that are not removed, page by page."""
        after = 0
        while page := self.entries(bank, after, _CHUNK):
            yield from page
            after = page[-1].entry_id

    def revision(self) -> int:
        """Grows with every change: cheap to ask."""
        with self.database.begin() as connection:
            return int(connection.execute(select(bank_revision.c.revision)).scalar_one())

    def changes(self, since: int, names: tuple[str, ...] = ()) -> Changes:
        """What changed after a revision, everything if it is -1. names: of the snapshot, whose order is kept."""
        with self.database.begin() as connection:
            revision = int(connection.execute(select(bank_revision.c.revision)).scalar_one())
            found = _all_banks(connection)
            names = (*names, *(name for name in found if name not in names))
            query = select(
                bank_entries.c.entry_id,
                bank_entries.c.bank,
                bank_entries.c.sha256,
                bank_entries.c.pdq,
                bank_entries.c.colour,
                bank_entries.c.expires_at,
                bank_entries.c.removed_at,
            ).where(bank_entries.c.revision > since, bank_entries.c.revision <= revision)
            if since < 0:
                query = query.where(bank_entries.c.removed_at.is_(None))
            gone: set[int] = set()
            parts = [Columns.empty()]
            places = {name: place for place, name in enumerate(names)}
            for page in connection.execution_options(yield_per=_PAGE).execute(query).partitions():
                gone |= {row.entry_id for row in page if row.removed_at is not None}
                parts.append(_columns([row for row in page if row.removed_at is None], places))
        return Changes(revision, found, names, Columns.stacked(parts), frozenset(gone))

    def remember(self, fingerprints: Sequence[Fingerprint]) -> None:
        """Keep fingerprints of pictures seen, for dry runs and near-duplicate groups; known ones stay as they are."""
        rows = [
            {"sha256": each.sha256, "pdq": each.pdq, "quality": each.quality, "colour": each.colour, "seen_at": now()}
            for each in fingerprints
        ]
        if not rows:
            return
        with self.database.begin() as connection:
            connection.execute(self.database.insert_missing(prints), rows)

    def fingerprint_of(self, sha256: str) -> Fingerprint | None:
        """The fingerprint of a picture seen before."""
        with self.database.begin() as connection:
            row = connection.execute(select(prints).where(prints.c.sha256 == sha256)).one_or_none()
        return None if row is None else Fingerprint(row.sha256, row.pdq, row.quality, row.colour)

    def fingerprints_seen(self) -> Iterator[list[Fingerprint]]:
        """Every fingerprint kept, page by page: of pictures looked up, newest first, then of pictures scanned."""
        asked = select(prints).order_by(prints.c.seen_at.desc())
        sha256 = known_verdicts.c.picture_sha256
        scanned = (  # one a picture, though several models may have scored it
            select(
                sha256, func.min(known_verdicts.c.pdq).label("pdq"), func.min(known_verdicts.c.colour).label("colour")
            )
            .where(~select(prints.c.sha256).where(prints.c.sha256 == sha256).exists())
            .group_by(sha256)
        )
        with self.database.begin() as connection:
            paged = connection.execution_options(yield_per=_PAGE)
            for page in paged.execute(asked).partitions():
                yield [Fingerprint(row.sha256, row.pdq, row.quality, row.colour) for row in page]
            for page in paged.execute(scanned).partitions():
                yield [stored_fingerprint(row.picture_sha256, row.pdq, row.colour) for row in page]

    def counts(self) -> dict[str, int]:
        """Entries in force, by bank: neither removed nor expired."""
        table = bank_entries.c
        lasting = or_(table.expires_at.is_(None), table.expires_at > now())
        query = select(table.bank, func.count()).where(table.removed_at.is_(None), lasting)
        with self.database.begin() as connection:
            return {name: int(count) for name, count in connection.execute(query.group_by(bank_entries.c.bank))}


def add_entries(connection: Connection, bank: str, entries: Sequence[NewEntry], by: str) -> tuple[int, ...]:
    """`BankStore.add` in the caller's transaction. Raises UsageError if there is no such bank."""
    revision = _next_revision(connection)
    if connection.execute(select(banks.c.name).where(banks.c.name == bank)).scalar() is None:
        listed = ", ".join(_all_banks(connection)) or "none; make one with `zhentu bank create`"
        raise UsageError(f"no bank {bank!r}; there are: {listed}")
    moment, added = now(), list[int]()
    for start in range(0, len(entries), _CHUNK):
        fresh = _not_held(connection, bank, entries[start : start + _CHUNK])
        if fresh:
            rows = [_row(bank, each, by, moment, revision) for each in fresh]
            statement = insert(bank_entries).returning(bank_entries.c.entry_id, sort_by_parameter_order=True)
            added += connection.execute(statement, rows).scalars().all()
    facts = {"bank": bank, "added": len(added), "offered": len(entries), "first_ids": added[:20]}
    audit.append(connection, by, "bank.add", f"bank:{bank}", facts)
    return tuple(added)


def remove_entry(connection: Connection, entry_id: int, by: str) -> None:
    """`BankStore.remove` in the caller's transaction. Raises UsageError if no such entry is in force."""
    revision = _next_revision(connection)
    gone = connection.execute(
        update(bank_entries)
        .where(bank_entries.c.entry_id == entry_id, bank_entries.c.removed_at.is_(None))
        .values(removed_at=now(), removed_by=by, revision=revision)
        .returning(bank_entries.c.bank)
    ).scalar()
    if gone is None:
        raise UsageError(f"no bank entry {entry_id} in force")
    audit.append(connection, by, "bank.remove", f"bank:{gone}", {"entry_id": entry_id})


def _next_revision(connection: Connection) -> int:
    moved = update(bank_revision).values(revision=bank_revision.c.revision + 1).returning(bank_revision.c.revision)
    return int(connection.execute(moved).scalar_one())


def _all_banks(connection: Connection) -> dict[str, Bank]:
    return {
        row.name: Bank(
            row.name,
            BankKind(row.kind),
            row.threshold,
            row.colour_limit,
            row.enabled_ratio,
            row.brand,
            tuple(filter(None, row.owners.split("\n"))),
            row.note,
        )
        for row in connection.execute(select(banks).order_by(banks.c.name))
    }


def _in_force(bank: str, after: int) -> Select[Any]:
    table = bank_entries.c
    query = select(bank_entries).where(table.bank == bank, table.entry_id > after, table.removed_at.is_(None))
    return query.order_by(table.entry_id)


def _not_held(connection: Connection, bank: str, entries: Sequence[NewEntry]) -> list[NewEntry]:
    """Those the bank does not hold: by sha256 where there is one, else by PDQ.

    An expired entry matches nothing, so a renewed one is added beside it; what has expired itself renews nothing.
    """
    table, moment = bank_entries.c, now()
    held: set[bytes] = set()
    in_force: set[bytes] = set()
    for column, keys in (
        (table.sha256, [bytes.fromhex(each.sha256) for each in entries if each.sha256]),
        (table.pdq, [each.pdq for each in entries if not each.sha256]),
    ):
        query = select(column, table.expires_at).where(table.bank == bank, table.removed_at.is_(None), column.in_(keys))
        for key, expires_at in connection.execute(query):
            held.add(key)
            if expires_at is None or aware(expires_at) > moment:
                in_force.add(key)
    fresh = []
    for each in entries:
        key = bytes.fromhex(each.sha256) or each.pdq
        expired = each.expires_at is not None and each.expires_at <= moment
        if key not in (held if expired else in_force):
            held.add(key)
            in_force.add(key)
            fresh.append(each)
    return fresh


def _row(bank: str, entry: NewEntry, by: str, moment: datetime, revision: int) -> dict[str, object]:
    return {
        "bank": bank,
        "sha256": bytes.fromhex(entry.sha256) or None,
        "pdq": entry.pdq or None,
        "quality": entry.quality,
        "colour": entry.colour or None,
        "source": entry.source,
        "seller_id": entry.seller_id,
        "note": entry.note,
        "expires_at": entry.expires_at,
        "created_at": moment,
        "created_by": by,
        "removed_by": "",
        "revision": revision,
    }


def _entry(row: Row[Any]) -> Entry:
    expires = None if row.expires_at is None else aware(row.expires_at)
    removed = None if row.removed_at is None else aware(row.removed_at)
    new = NewEntry(
        (row.sha256 or b"").hex(),
        row.pdq or b"",
        row.quality,
        row.colour or b"",
        row.source,
        row.seller_id,
        row.note,
        expires,
    )
    return Entry(row.entry_id, row.bank, new, aware(row.created_at), row.created_by, removed)


def _columns(rows: Sequence[Any], places: dict[str, int]) -> Columns:
    def hashes(name: str, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        found = [getattr(row, name) for row in rows]
        joined = b"".join(each or bytes(width) for each in found)
        return np.frombuffer(joined, np.uint8).reshape(-1, width), np.array([each is not None for each in found], bool)

    sha256, has_sha256 = hashes("sha256", HASH_BYTES)
    pdq, has_pdq = hashes("pdq", HASH_BYTES)
    colour, has_colour = hashes("colour", COLOUR_BYTES)
    return Columns(
        np.array([row.entry_id for row in rows], np.int64),
        np.array([places[row.bank] for row in rows], np.int16),
        sha256,
        pdq,
        colour,
        has_sha256,
        has_pdq,
        has_colour,
        np.array([np.inf if row.expires_at is None else aware(row.expires_at).timestamp() for row in rows]),
    )
