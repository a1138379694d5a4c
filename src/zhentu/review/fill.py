"""From records to the queue: what the policy sends to review, second opinions, and a sample of what passed.

Records are pulled, not pushed: the gate and the scanner only write records, and a queue that is filled late loses
nothing. A record enters once per kind, however often and by however many processes it is read.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from zhentu.banks.entries import COLOUR_LIMIT
from zhentu.banks.hashing import MATCH_DISTANCE, colour_distance
from zhentu.banks.index import distances
from zhentu.banks.store import BankStore
from zhentu.errors import RecordUnreadable, ZhentuError
from zhentu.ids import new_id
from zhentu.record.codec import decode_record
from zhentu.record.database import Database, aware, now
from zhentu.record.schema import job_pictures, records, shadow_verdicts
from zhentu.review.items import ItemKind
from zhentu.review.schema import review_cursor, review_decisions, review_items
from zhentu.sampling import Purpose, place_of
from zhentu.types import CATEGORIES, Action, Basis, Category, EvidenceKind, Fingerprint, Record

_log = logging.getLogger(__name__)
_LOOK_BACK = timedelta(minutes=5)  # records may become visible slightly out of order
_BATCH = 200
_KNOWN = 50_000  # queued pictures among which near-duplicates are sought
_MARGIN = 0.25  # a score this far from a threshold is no longer uncertain
_BASE = {ItemKind.APPEAL: 4.0, ItemKind.SECOND: 0.5, ItemKind.SAMPLE: 0.25}

FingerprintOf = Callable[[Record], Fingerprint | None]


@dataclass(frozen=True, slots=True)
class FillSettings:
    """What is reviewed besides what the policy asks for. Both are shares 0..1, stable per picture.

    sample_ratio: of pictures that passed.  second_ratio: of decided items, by somebody else.
    """

    sample_ratio: float = 0.0
    second_ratio: float = 0.05


class Filler:
    """Fills the queue. fingerprint_of: of a record's picture, None if its bytes are not available."""

    def __init__(self, database: Database, fingerprint_of: FingerprintOf, settings: FillSettings | None = None) -> None:
        self.database, self._print_of, self.settings = database, fingerprint_of, settings or FillSettings()
        self._banks = BankStore(database)
        self._filling = threading.Lock()
        self._unreadable: set[str] = set()

    def fill(self, steps: int = 1_000_000) -> int:
        """Take in new records, at most 200 per step; returns how many items were made. Raises StoreError.

        Returns at once if another thread is already filling.
        """
        if not self._filling.acquire(blocking=False):
            return 0
        try:
            made = 0
            for _ in range(steps):
                count, more = self._step()
                made += count
                if not more:
                    break
            return made + self._second_opinions()
        finally:
            self._filling.release()

    def _step(self) -> tuple[int, bool]:
        with self.database.begin() as connection:
            until = aware(connection.execute(select(review_cursor.c.looked_until)).scalar_one())
            query = select(records.c.record_id, records.c.body, records.c.created_at).where(
                records.c.created_at > until - _LOOK_BACK
            )
            known = select(review_items.c.record_id).where(review_items.c.record_id == records.c.record_id)
            if self.settings.sample_ratio <= 0:
                query = query.where(records.c.action.in_([Action.REVIEW.value, Action.BLOCK.value]))
            query = query.where(~known.exists()).order_by(records.c.created_at).limit(_BATCH)
            rows = connection.execute(query).all()
        found = [record for row in rows if (record := self._readable(row.record_id, row.body)) is not None]
        wanted = [(record, kind) for record in found if (kind := self._kind(record)) is not None]
        made = self._insert(wanted) if wanted else 0
        if rows:
            # Records that need no review stay behind the cursor, so that they are not read again.
            newest = aware(rows[-1].created_at)
            reached = newest if made else newest + _LOOK_BACK
            with self.database.begin() as connection:
                connection.execute(
                    update(review_cursor).where(review_cursor.c.looked_until < reached).values(looked_until=reached)
                )
        return made, len(rows) == _BATCH

    def _readable(self, record_id: str, body: str) -> Record | None:
        """The record, None if it cannot be read: it stays in the store, and the others continue."""
        try:
            return decode_record(body)
        except RecordUnreadable as error:
            if record_id not in self._unreadable:
                self._unreadable.add(record_id)
                _log.error("record %s cannot be read and is not put into the queue: %s", record_id, error)
            return None

    def _kind(self, record: Record) -> ItemKind | None:
        if record.decision.action in (Action.REVIEW, Action.BLOCK):
            return ItemKind.SCREENING
        drawn = place_of(record.picture_sha256, Purpose.REVIEW) < self.settings.sample_ratio
        return ItemKind.SAMPLE if drawn else None

    def _insert(self, wanted: Sequence[tuple[Record, ItemKind]]) -> int:
        prints = [self._safe_fingerprint(record) for record, _ in wanted]
        with self.database.begin() as connection:
            # One filler at a time, so that simultaneous near-duplicates come into one group.
            connection.execute(update(review_cursor).values(one=review_cursor.c.one))
            neighbours = _Neighbours(connection)
            jobs, shadows = _jobs(connection, wanted), _shadows(connection, wanted)
            rows = []
            for (record, kind), fingerprint in zip(wanted, prints, strict=True):
                group, novelty = neighbours.place(record.tenant, record.picture_sha256, fingerprint)
                other = shadows.get(record.record_id)
                row = item_row(record, kind, fingerprint, group, novelty, jobs.get(record.record_id, ""), other)
                rows.append(row)
            return _insert_once(self.database, connection, rows)

    def _safe_fingerprint(self, record: Record) -> Fingerprint | None:
        known = self._banks.fingerprint_of(record.picture_sha256)
        if known is not None:
            return known
        try:
            return self._print_of(record)
        except ZhentuError:  # the picture is gone or broken; the item is still worth reviewing
            return None

    def _second_opinions(self) -> int:
        """Decided items that a second reviewer sees, too: agreement cannot be measured otherwise."""
        if self.settings.second_ratio <= 0:
            return 0
        item = review_items.alias("second")
        have = select(item.c.item_id).where(item.c.record_id == review_items.c.record_id, item.c.kind == "second")
        query = (
            select(review_items, review_decisions.c.reviewer)
            .join(review_decisions, review_decisions.c.item_id == review_items.c.item_id)
            .where(
                review_items.c.kind.in_(["screening", "sample"]), review_items.c.decided_at > now() - timedelta(days=2)
            )
            .where(review_decisions.c.undone_at.is_(None), ~have.exists())
        )
        with self.database.begin() as connection:
            rows = [
                dict(row._mapping)
                for row in connection.execute(query)
                if place_of(row.picture_sha256, Purpose.SECOND_OPINION) < self.settings.second_ratio
            ]
            for row in rows:
                reviewer = row.pop("reviewer")
                row |= {"item_id": new_id(), "kind": "second", "priority": _BASE[ItemKind.SECOND], "decided_at": None}
                row |= {"leased_by": "", "leased_until": None, "not_by": f"\n{reviewer}\n", "created_at": now()}
            return _insert_once(self.database, connection, rows) if rows else 0


def item_row(  # noqa: PLR0913 - the columns of an item
    record: Record,
    kind: ItemKind,
    fingerprint: Fingerprint | None,
    group_id: str,
    novelty: float,
    job_id: str = "",
    other_forged: float | None = None,
    not_by: Sequence[str] = (),
    due_at: datetime | None = None,
) -> dict[str, object]:
    """The columns of a new item. other_forged: another model's `forged`."""
    verdict, decision = record.verdict, record.decision
    score = verdict.scores.forged if verdict else 0.0
    base = _BASE.get(kind, 1.0 + (decision.action is Action.BLOCK))
    usable = fingerprint is not None and fingerprint.usable
    return {
        "item_id": new_id(),
        "record_id": record.record_id,
        "kind": kind.value,
        "picture_sha256": record.picture_sha256,
        "priority": base + score,
        "score": score,
        "category": standing_out(record).value,
        "uncertainty": _uncertainty(record),
        "novelty": novelty,
        "disagreement": 0.0 if other_forged is None else abs(score - other_forged),
        "goods": record.listing.goods,
        "seller_id": record.listing.seller_id,
        "listing_id": record.listing.listing_id,
        "job_id": job_id,
        "model": str(verdict.model) if verdict else "",
        "policy_version": decision.policy_version,
        "pdq": fingerprint.pdq if usable and fingerprint else None,
        "colour": fingerprint.colour if usable and fingerprint else None,
        "group_id": group_id,
        "created_at": now(),
        "due_at": due_at,
        "leased_by": "",
        "leased_until": None,
        "not_by": "".join(f"\n{name}" for name in not_by) + ("\n" if not_by else ""),
        "decided_at": None,
        "tenant": record.tenant,
    }


def standing_out(record: Record) -> Category:
    """The category a reviewer should look for: the furthest above its threshold, else the highest."""
    named = [reason for reason in record.decision.reasons if reason.category is not None]
    passed = [reason for reason in named if reason.score is not None and reason.threshold is not None]
    if passed:
        named = [max(passed, key=lambda reason: (reason.score or 0.0) - (reason.threshold or 0.0))]
    if named:
        return named[0].category or Category.AI_GENERATED
    return max(CATEGORIES, key=record.verdict.scores.of) if record.verdict else Category.AI_GENERATED


def _uncertainty(record: Record) -> float:
    """1 on a threshold, 0 at 0.25 or further from every one; without thresholds, the distance to one half."""
    if record.verdict is None:
        return 1.0
    scores = record.verdict.scores
    compared = [
        each.score for each in record.evidence if each.kind is EvidenceKind.REFERENCE and each.score is not None
    ]
    margins = []
    for threshold in record.decision.thresholds:
        alone = threshold.basis is Basis.PICTURE_ALONE
        held = [scores.of(threshold.category)] if alone else compared
        margins += [abs(score - threshold.value) for score in held]
    return 1.0 - min(min(margins, default=abs(scores.forged - 0.5)), _MARGIN) / _MARGIN


class _Neighbours:
    """Near-duplicate groups of queued pictures, each within one tenant; grows with what is placed."""

    def __init__(self, connection: Connection) -> None:
        columns = review_items.c
        query = select(columns.pdq, columns.colour, columns.group_id, columns.tenant).where(columns.pdq.is_not(None))
        rows = connection.execute(query.order_by(columns.created_at.desc()).limit(_KNOWN)).all()
        self._hashes = [row.pdq for row in rows]
        self._colours = [row.colour for row in rows]
        self._groups = [row.group_id for row in rows]
        self._tenants = [row.tenant for row in rows]
        same = select(columns.picture_sha256, columns.group_id, columns.tenant).limit(_KNOWN)
        self._by_sha = {(row.tenant, row.picture_sha256): row.group_id for row in connection.execute(same)}

    def place(self, tenant: str, sha256: str, fingerprint: Fingerprint | None) -> tuple[str, float]:
        """The group a picture belongs to, a new one if none fits, and how novel it is across all tenants."""
        group, novelty = self._by_sha.get((tenant, sha256)), 1.0
        if fingerprint is not None and fingerprint.usable:
            if self._hashes:
                words = np.frombuffer(b"".join(self._hashes), np.uint8).reshape(-1, 32).view(np.uint64)
                near = distances(words, np.frombuffer(fingerprint.pdq, np.uint8))
                novelty = min(float(near.min()) / 128, 1.0)  # 128 bits: what unrelated pictures differ by
                for place in np.argsort(near, kind="stable")[:50]:
                    if group is None and near[place] <= MATCH_DISTANCE and self._tenants[place] == tenant:
                        agrees = colour_distance(self._colours[place], fingerprint.colour) <= COLOUR_LIMIT
                        group = self._groups[place] if agrees else None
            group = group or new_id()
            self._hashes.append(fingerprint.pdq)
            self._colours.append(fingerprint.colour)
            self._groups.append(group)
            self._tenants.append(tenant)
        group = group or new_id()
        self._by_sha[tenant, sha256] = group
        return group, novelty


def _insert_once(database: Database, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    dialect = sqlite if database.dialect == "sqlite" else postgresql
    statement = dialect.insert(review_items).on_conflict_do_nothing(index_elements=["record_id", "kind"])
    return len(connection.execute(statement.returning(review_items.c.item_id), rows).all())


def _jobs(connection: Connection, wanted: Sequence[tuple[Record, ItemKind]]) -> dict[str, str]:
    columns = job_pictures.c
    ids = [record.record_id for record, _ in wanted]
    query = select(columns.record_id, columns.job_id).where(columns.record_id.in_(ids))
    return {row.record_id: row.job_id for row in connection.execute(query)}


def _shadows(connection: Connection, wanted: Sequence[tuple[Record, ItemKind]]) -> dict[str, float]:
    columns = shadow_verdicts.c
    ids = [record.record_id for record, _ in wanted]
    query = select(columns.record_id, columns.scores).where(columns.record_id.in_(ids))
    return {row.record_id: float(json.loads(row.scores).get("forged", 0.0)) for row in connection.execute(query)}
