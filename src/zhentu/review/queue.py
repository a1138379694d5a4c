"""The queue: leases that no two reviewers share, decisions that happen once, undo, and whole groups at once.

Every step is one transaction whose first statement decides who came first, so it is safe across threads and processes,
on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from zhentu.banks.entries import Bank, NewEntry
from zhentu.banks.store import BankStore, add_entries, remove_entry
from zhentu.errors import NotFound, ReviewConflict, UsageError
from zhentu.ids import new_id
from zhentu.record import audit
from zhentu.record.database import Database, now
from zhentu.record.schema import records
from zhentu.review.items import (
    Filters,
    ItemKind,
    QueueCounts,
    ReviewDecision,
    ReviewItem,
    ReviewOutcome,
    SellerHistory,
)
from zhentu.review.rows import decision_of, item_of, matching, order_by, place_of
from zhentu.review.schema import appeals, review_decisions, review_items, review_skips
from zhentu.types import CATEGORIES, BankKind, seller_of

LEASE = timedelta(minutes=10)  # after this long without a heartbeat an item goes to somebody else
ALLOWED_BANK = Bank("allowed", BankKind.ALLOWED, note="decided by reviewers: honest")
_SKIPPED = timedelta(minutes=30)  # how long a skipped item is not offered again to the person who skipped it
_UNDO = timedelta(hours=1)
_MOST = 20
_LONGEST_NOTE = 2000
_table = review_items.c

OnDecided = Callable[[Connection, ReviewItem, ReviewDecision], None]


class ReviewQueue:
    """The queue over a database; safe to use from several threads and processes.

    on_decided, on_undone: called in the deciding transaction, e.g. to close an appeal.
    clock: the moment, in UTC.  lease: after this long without a heartbeat an item goes to somebody else.
    """

    def __init__(
        self,
        database: Database,
        on_decided: OnDecided | None = None,
        on_undone: OnDecided | None = None,
        clock: Callable[[], datetime] = now,
        lease: timedelta = LEASE,
    ) -> None:
        self.database, self._clock, self._lease = database, clock, lease
        self._on_decided, self._on_undone = on_decided, on_undone
        banks = BankStore(database)
        if ALLOWED_BANK.name not in banks.banks():
            banks.put_bank(ALLOWED_BANK, "zhentu")

    def claim(self, reviewer: str, filters: Filters | None = None, count: int = 2) -> tuple[ReviewItem, ...]:
        """Lease up to `count` items to a reviewer, those already leased to them first; their leases are renewed.

        Two reviewers never hold the same item. An item that was skipped, or that the reviewer may not decide because
        they decided it before, is not offered.
        """
        filters, moment = filters or Filters(), self._clock()
        count = max(1, min(count, _MOST))
        mine = and_(_table.leased_by == reviewer, _table.leased_until > moment, *matching(filters))
        claimed: list[ReviewItem] = []
        free = and_(
            or_(_table.leased_until.is_(None), _table.leased_until <= moment, _table.leased_by == reviewer),
            ~_table.not_by.contains(f"\n{reviewer}\n", autoescape=True),
            *matching(filters),
            ~select(review_skips.c.item_id)
            .where(
                review_skips.c.item_id == _table.item_id,
                review_skips.c.reviewer == reviewer,
                review_skips.c.skipped_at > moment - _SKIPPED,
            )
            .exists(),
        )
        with self.database.begin() as connection:
            for where in (mine, free):
                wanted = count - len(claimed)
                if where is free:
                    already = len(claimed)
                if wanted <= 0:
                    break
                query = select(_table.item_id).where(where).order_by(*order_by(filters.order)).limit(wanted)
                held = [item.item_id for item in claimed]
                if held:
                    query = query.where(_table.item_id.not_in(held))
                if self.database.dialect == "postgresql":
                    # Rows that others hold are skipped. A CTE, because a plain subquery may run more than once and then
                    # lease too many; SQLite, with one writer at a time, needs neither.
                    query = select(query.with_for_update(skip_locked=True).cte("picked").c.item_id)
                taken = connection.execute(
                    update(review_items)
                    .where(_table.item_id.in_(query), where)
                    .values(leased_by=reviewer, leased_until=moment + self._lease)
                    .returning(*review_items.c)
                ).all()
                found = {row.item_id: item_of(row) for row in taken}
                claimed += sorted(found.values(), key=lambda item: place_of(item, filters.order))
            for item in claimed[already:]:
                facts = {"record_id": item.record_id, "kind": item.kind.value, "model": item.model}
                audit.append(connection, reviewer, "item.seen", f"item:{item.item_id}", facts)
        return tuple(claimed)

    def renew(self, reviewer: str) -> int:
        """Heartbeat: renew a reviewer's leases; returns how many there are."""
        moment = self._clock()
        with self.database.begin() as connection:
            renewed = connection.execute(
                update(review_items)
                .where(_table.leased_by == reviewer, _table.leased_until > moment, _table.decided_at.is_(None))
                .values(leased_until=moment + self._lease)
            )
            return int(renewed.rowcount)

    def decide(
        self, item_id: str, reviewer: str, outcome: ReviewOutcome, category: str = "", note: str = ""
    ) -> ReviewDecision:
        """Decide one item that this reviewer holds. The same decision sent twice is kept once.

        category: for UPHOLD, which one it is; empty = the item's own. Overturned pictures enter the bank `allowed`.
        Raises ReviewConflict if somebody else holds or decided it, NotFound, UsageError.
        """
        _check(outcome, category, note)
        with self.database.begin() as connection:
            found = self._take(connection, [item_id], reviewer)
            if not found:
                return self._why_not(connection, item_id, reviewer, outcome)
            return self._decide(connection, found[0], reviewer, outcome, category, note, "")

    def decide_group(
        self, group_id: str, reviewer: str, outcome: ReviewOutcome, category: str = "", note: str = ""
    ) -> tuple[ReviewDecision, ...]:
        """Decide every open near-duplicate of a group at once, except those that other reviewers hold.

        Raises ReviewConflict if there is none left to decide.
        """
        _check(outcome, category, note)
        with self.database.begin() as connection:
            ids = connection.execute(
                select(_table.item_id).where(_table.group_id == group_id, _table.decided_at.is_(None))
            ).scalars()
            found = self._take(connection, list(ids), reviewer, also_free=True)
            if not found:
                raise ReviewConflict("no item of this group is left for you to decide")
            together = new_id()
            return tuple(self._decide(connection, item, reviewer, outcome, category, note, together) for item in found)

    def skip(self, item_id: str, reviewer: str) -> None:
        """Give an item back undecided; it is not offered to this reviewer again for half an hour.

        Raises ReviewConflict if the reviewer does not hold it.
        """
        moment = self._clock()
        with self.database.begin() as connection:
            given = connection.execute(
                update(review_items)
                .where(_table.item_id == item_id, _table.leased_by == reviewer, _table.decided_at.is_(None))
                .values(leased_by="", leased_until=None)
            )
            if not given.rowcount:
                raise ReviewConflict("the item is not yours to skip; go on with the next one")
            mine = (review_skips.c.item_id == item_id, review_skips.c.reviewer == reviewer)
            connection.execute(delete(review_skips).where(*mine))
            connection.execute(insert(review_skips).values(item_id=item_id, reviewer=reviewer, skipped_at=moment))
            audit.append(connection, reviewer, "item.skip", f"item:{item_id}", {})

    def close(self, item_id: str, why: str) -> None:
        """Remove an item from the queue undecided, because it can no longer be shown."""
        with self.database.begin() as connection:
            connection.execute(
                update(review_items)
                .where(_table.item_id == item_id, _table.decided_at.is_(None))
                .values(decided_at=self._clock(), leased_until=None)
            )
            audit.append(connection, "zhentu", "item.close", f"item:{item_id}", {"why": why})

    def undo(self, reviewer: str) -> tuple[ReviewDecision, ...]:
        """Take back this reviewer's last decision, with its whole group, within an hour; the items are theirs again.

        Raises ReviewConflict if there is nothing to take back.
        """
        moment = self._clock()
        mine = (review_decisions.c.reviewer == reviewer, review_decisions.c.undone_at.is_(None))
        recent = review_decisions.c.decided_at > moment - _UNDO
        latest = select(review_decisions.c.together).where(*mine, recent)
        latest = latest.order_by(review_decisions.c.decided_at.desc(), review_decisions.c.decision_id.desc()).limit(1)
        with self.database.begin() as connection:
            rows = connection.execute(
                update(review_decisions)
                .where(review_decisions.c.together == latest.scalar_subquery(), *mine)
                .values(undone_at=moment)
                .returning(*review_decisions.c)
            ).all()
            if not rows:
                raise ReviewConflict("nothing to undo: you decided nothing within the last hour")
            undone = tuple(decision_of(row) for row in rows)
            for each in undone:
                connection.execute(
                    update(review_items)
                    .where(_table.item_id == each.item_id)
                    .values(decided_at=None, leased_by=reviewer, leased_until=moment + self._lease)
                )
                if each.bank_entry_id is not None:
                    remove_entry(connection, each.bank_entry_id, reviewer)
                facts = {"decision_id": each.decision_id, "outcome": each.outcome.value}
                audit.append(connection, reviewer, "item.undo", f"item:{each.item_id}", facts)
                if self._on_undone is not None:
                    self._on_undone(connection, self._get(connection, each.item_id), each)
            return undone

    def item(self, item_id: str) -> ReviewItem:
        """One item, open or decided. Raises NotFound."""
        with self.database.begin() as connection:
            return self._get(connection, item_id)

    def group(self, group_id: str) -> tuple[ReviewItem, ...]:
        """All items of a near-duplicate group, at most 100, newest first."""
        query = select(review_items).where(_table.group_id == group_id).order_by(_table.created_at.desc()).limit(100)
        with self.database.begin() as connection:
            return tuple(item_of(row) for row in connection.execute(query))

    def decisions_for(self, record_id: str) -> tuple[ReviewDecision, ...]:
        """Decisions about a record that stand, oldest first."""
        columns = review_decisions.c
        query = select(review_decisions).where(columns.record_id == record_id, columns.undone_at.is_(None))
        with self.database.begin() as connection:
            return tuple(decision_of(row) for row in connection.execute(query.order_by(columns.decided_at)))

    def seller(self, seller_id: str, tenant: str) -> SellerHistory:
        """What is known about a tenant's seller."""
        theirs = (_table.tenant == tenant, _table.seller_id == seller_id)
        with self.database.begin() as connection:
            screened = select(func.count()).select_from(records)
            screened = screened.where(records.c.tenant == tenant, records.c.seller_id == seller_id)
            waiting = select(func.count()).select_from(review_items)
            waiting = waiting.where(*theirs, _table.decided_at.is_(None))
            outcomes = (
                select(review_decisions.c.outcome, func.count())
                .join(review_items, _table.item_id == review_decisions.c.item_id)
                .where(*theirs, review_decisions.c.undone_at.is_(None))
                .group_by(review_decisions.c.outcome)
            )
            counts = {outcome: int(count) for outcome, count in connection.execute(outcomes)}
            return SellerHistory(
                seller_id,
                int(connection.execute(screened).scalar_one()),
                counts.get(ReviewOutcome.UPHOLD.value, 0) + counts.get(ReviewOutcome.WRONG_PICTURE.value, 0),
                counts.get(ReviewOutcome.OVERTURN.value, 0),
                int(connection.execute(waiting).scalar_one()),
            )

    def counts(self, filters: Filters | None = None) -> QueueCounts:
        """How much there is to do under the filters; appeals are counted for all tenants, or for one."""
        moment = self._clock()
        with self.database.begin() as connection:

            def count(*where: ColumnElement[bool]) -> int:
                return int(
                    connection.execute(select(func.count()).select_from(review_items).where(*where)).scalar_one()
                )

            passing = tuple(matching(filters or Filters()))
            waiting = select(func.count()).select_from(appeals).where(appeals.c.state == "open")
            if filters is not None and filters.tenant:
                waiting = waiting.where(appeals.c.tenant == filters.tenant)
            return QueueCounts(
                open=count(*passing),
                leased=count(*passing, _table.leased_until > moment),
                decided=count(_table.decided_at.is_not(None)),
                appeals_open=int(connection.execute(waiting).scalar_one()),
                appeals_overdue=int(connection.execute(waiting.where(appeals.c.due_at < moment)).scalar_one()),
            )

    def _take(
        self, connection: Connection, item_ids: list[str], reviewer: str, also_free: bool = False
    ) -> list[ReviewItem]:
        """Mark items as decided if this reviewer may decide them; returns only those."""
        moment = self._clock()
        held: ColumnElement[bool] = _table.leased_by == reviewer
        if also_free:
            held = or_(held, _table.leased_until.is_(None), _table.leased_until <= moment)
        rows = connection.execute(
            update(review_items)
            .where(
                _table.item_id.in_(item_ids),
                _table.decided_at.is_(None),
                held,
                ~_table.not_by.contains(f"\n{reviewer}\n", autoescape=True),
            )
            .values(decided_at=moment, leased_until=None)
            .returning(*review_items.c)
        ).all()
        return sorted((item_of(row) for row in rows), key=lambda item: item.item_id)

    def _decide(  # noqa: PLR0913 - the columns of a decision
        self,
        connection: Connection,
        item: ReviewItem,
        reviewer: str,
        outcome: ReviewOutcome,
        category: str,
        note: str,
        together: str,
    ) -> ReviewDecision:
        decision_id = new_id()
        final = (category or item.category) if outcome is ReviewOutcome.UPHOLD else ""
        entry_id = None
        if outcome is ReviewOutcome.OVERTURN:
            entry_id = self._allow(connection, item, reviewer, decision_id, bool(together))
        decision = ReviewDecision(
            decision_id,
            item.item_id,
            item.record_id,
            reviewer,
            outcome,
            final,
            note,
            together or decision_id,
            entry_id,
            self._clock(),
            None,
        )
        columns = {each.name: getattr(decision, each.name) for each in fields(decision)} | {"outcome": outcome.value}
        connection.execute(insert(review_decisions).values(**columns))
        facts = {
            "decision_id": decision_id,
            "record_id": item.record_id,
            "outcome": outcome.value,
            "category": final,
            "note": note,
            "together": decision.together,
            "model": item.model,
            "policy_version": item.policy_version,
            "picture_sha256": item.picture_sha256,
        }
        audit.append(connection, reviewer, "item.decide", f"item:{item.item_id}", facts)
        if self._on_decided is not None:
            self._on_decided(connection, item, decision)
        return decision

    def _allow(
        self, connection: Connection, item: ReviewItem, reviewer: str, decision_id: str, with_look: bool
    ) -> int | None:
        """Let an honest picture pass from now on: its bytes, and its look if a reviewer confirmed the group."""
        row = connection.execute(select(_table.pdq, _table.colour).where(_table.item_id == item.item_id)).one()
        look = with_look and row.pdq is not None
        entry = NewEntry(
            item.picture_sha256,
            row.pdq if look else b"",
            colour=row.colour if look else b"",
            source="appeal" if item.kind is ItemKind.APPEAL else "review",
            seller_id=seller_of(item.tenant, item.seller_id),
            note=f"decision {decision_id}",
        )
        return next(iter(add_entries(connection, ALLOWED_BANK.name, [entry], reviewer)), None)

    def _why_not(self, connection: Connection, item_id: str, reviewer: str, outcome: ReviewOutcome) -> ReviewDecision:
        """The same decision if it was sent twice; otherwise raises why it cannot be taken."""
        item = self._get(connection, item_id)
        columns = review_decisions.c
        query = select(review_decisions).where(columns.item_id == item_id, columns.undone_at.is_(None))
        row = connection.execute(query).first()
        if row is not None and row.reviewer == reviewer and row.outcome == outcome.value:
            return decision_of(row)
        if row is not None:
            raise ReviewConflict("the item has already been decided; go on with the next one")
        if reviewer in item.not_by:
            raise ReviewConflict("you decided this picture before; somebody else must review it now")
        raise ReviewConflict("your lease has expired and the item went to somebody else; go on with the next one")

    def _get(self, connection: Connection, item_id: str) -> ReviewItem:
        row = connection.execute(select(review_items).where(_table.item_id == item_id)).first()
        if row is None:
            raise NotFound(f"no review item {item_id!r}")
        return item_of(row)


def _check(outcome: ReviewOutcome, category: str, note: str) -> None:
    categories = [each.value for each in CATEGORIES]
    if category and category not in categories:
        raise UsageError(f"category {category!r}: must be one of {', '.join(categories)}")
    if category and outcome is not ReviewOutcome.UPHOLD:
        raise UsageError(f"category {category!r}: only an upheld picture has one")
    if len(note) > _LONGEST_NOTE:
        raise UsageError(f"note: has {len(note)} characters, at most {_LONGEST_NOTE} are kept; shorten it")
