"""Appeals by sellers: each goes to a reviewer who has not decided the picture before, and its outcome is sent back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from zhentu.banks.copies import copied_bits
from zhentu.banks.hashing import MATCH_DISTANCE
from zhentu.errors import NotFound, PictureError, PictureNotFound, ReviewConflict, UsageError
from zhentu.ids import new_id
from zhentu.ports import ComparerPort
from zhentu.record import audit
from zhentu.record.database import aware, now
from zhentu.record.outbox import envelope, new_message, write_messages
from zhentu.record.store import RecordStore
from zhentu.review.fill import item_row
from zhentu.review.items import ItemKind, ReviewDecision, ReviewItem, ReviewOutcome
from zhentu.review.pictures import ReviewPictures
from zhentu.review.rows import item_of
from zhentu.review.schema import appeals, review_decisions, review_items
from zhentu.types import Action, Picture, Record, seller_of

MOST_REFERENCES = 6
OPEN = "open"
_LONGEST_REASON = 4000


@dataclass(frozen=True, slots=True)
class Appeal:
    """One appeal. state: "open", "upheld" (the decision stands) or "overturned".

    comparison: the comparison with the seller's photos as a JSON object; empty if none was run.
    """

    appeal_id: str
    record_id: str
    item_id: str
    seller_id: str
    reason: str
    references: tuple[str, ...]
    comparison: str
    callback_url: str
    state: str
    created_at: datetime
    due_at: datetime
    decided_at: datetime | None
    outcome_reason: str
    tenant: str

    @property
    def seller(self) -> str:
        """The seller among those of all tenants; see `Listing.seller`."""
        return seller_of(self.tenant, self.seller_id)


class Appeals:
    """The appeals of a store. Outcomes are sent through the outbox, signed and with retries.

    comparer: returns what compares with the seller's photos, or None.  days: how long a reviewer may take.
    """

    def __init__(
        self,
        store: RecordStore,
        pictures: ReviewPictures,
        comparer: Callable[[], ComparerPort | None] = lambda: None,
        days: float = 3.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store, self._database = store, store.database
        self._pictures, self._comparer = pictures, comparer
        self._within, self._clock = timedelta(days=days), clock

    def open(
        self,
        record_id: str,
        reason: str,
        references: Sequence[bytes] = (),
        seller_id: str = "",
        callback_url: str = "",
        tenant: str | None = None,
    ) -> Appeal:
        """Accept an appeal.

        tenant: whose records may be appealed, None = everybody's; the appeal belongs to the record's.

        references: photos of the real goods, at most 6; compared with the picture if possible.
        Raises RecordNotFound, PictureError, UsageError for what cannot be accepted, and ReviewConflict for a second
        appeal: a decision can be appealed once.
        """
        _check(reason, references, callback_url)
        record = self._store.get(record_id, tenant)
        if seller_id and record.listing.seller_id and seller_id != record.listing.seller_id:
            told = f"seller_id {seller_id!r}: the picture belongs to another seller"
            raise UsageError(told).in_chinese("该图片属于其他商家，不能由您申诉。")
        self._check_stands(record)
        photos = self._photos(record, references)
        for photo in photos:
            self._pictures.keep_reference(photo)
        comparison = self._compare(record_id, photos)
        moment = self._clock()
        appeal = Appeal(
            new_id(),
            record_id,
            "",
            seller_id or record.listing.seller_id,
            reason,
            tuple(photo.sha256 for photo in photos),
            comparison,
            callback_url,
            OPEN,
            moment,
            moment + self._within,
            None,
            "",
            record.tenant,
        )
        try:
            with self._database.begin() as connection:
                return self._insert(connection, record_id, appeal)
        except IntegrityError as error:
            told = "this decision was appealed already; an appeal is decided once"
            raise ReviewConflict(told).in_chinese("该决定已申诉过，每个决定只能申诉一次。") from error

    def _check_stands(self, record: Record) -> None:
        """Raises UsageError where there is nothing to appeal."""
        if record.decision.action is Action.ALLOW:  # an overturned appeal would allow the bytes before any suspicion
            standing = (review_decisions.c.record_id == record.record_id, review_decisions.c.undone_at.is_(None))
            with self._database.begin() as connection:
                reviewed = connection.execute(select(review_decisions.c.record_id).where(*standing).limit(1)).first()
            if reviewed is None:
                told = f"record {record.record_id}: the picture was allowed; there is nothing to appeal"
                raise UsageError(told).in_chinese("该图片已放行，无需申诉。")

    def _photos(self, record: Record, references: Sequence[bytes]) -> list[Picture]:
        """The seller's photos, decoded. Raises PictureError, and UsageError for one that proves nothing."""
        for place, payload in enumerate(references, 1):
            if hashlib.sha256(payload).hexdigest() == record.picture_sha256:
                raise UsageError(
                    f"references: photo {place} is the picture itself, which proves nothing; "
                    "send photos of the real goods"
                ).in_chinese(f"第 {place} 张照片就是被申诉的图片本身，不能作为凭证。请提供商品实拍图。")
        photos = [self._pictures.decoder.decode(payload, self._pictures.limits) for payload in references]
        bits_of = self._copied_bits(record) if photos else None
        for place, photo in enumerate(photos, 1):
            bits = bits_of(photo) if bits_of else None
            if bits is not None:
                raise UsageError(
                    f"references: photo {place} is a copy of the picture ({bits} of 256 bits of its look differ, up to "
                    f"{MATCH_DISTANCE} count as the same picture), which proves nothing; send another photo of the "
                    "real goods, such as one from another side"
                ).in_chinese(
                    f"第 {place} 张照片与被申诉的图片相同（256 位图像指纹中仅 {bits} 位不同，不超过 {MATCH_DISTANCE} "
                    "位视为同一图片），不能作为凭证。请另行提供商品实拍图，例如换一个角度拍摄。"
                )
        return photos

    def _copied_bits(self, record: Record) -> Callable[[Picture], int | None] | None:
        """How near a photo is to a record's picture if it is a copy; None where the picture's bytes are not kept.

        Fingerprints alone are not asked: by them 9 of 65 photographs behind real AI edits were copies of their edit,
        and such a photograph is the proof that a seller should send.
        """
        try:
            picture = self._pictures.picture(record)
        except (PictureNotFound, PictureError):
            return None
        return lambda photo: copied_bits(picture, photo)

    def get(self, appeal_id: str, tenant: str | None = None) -> Appeal:
        """One appeal, limited to a tenant if one is given. Raises NotFound."""
        query = select(appeals).where(appeals.c.appeal_id == appeal_id)
        if tenant is not None:
            query = query.where(appeals.c.tenant == tenant)
        with self._database.begin() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"no appeal {appeal_id!r}")
        return _appeal(row)

    def for_item(self, item_id: str) -> Appeal | None:
        """The appeal that a review item belongs to."""
        with self._database.begin() as connection:
            row = connection.execute(select(appeals).where(appeals.c.item_id == item_id)).first()
        return None if row is None else _appeal(row)

    def of_record(self, record_id: str) -> tuple[Appeal, ...]:
        """Appeals against the decision of a record, oldest first."""
        query = select(appeals).where(appeals.c.record_id == record_id).order_by(appeals.c.created_at)
        with self._database.begin() as connection:
            return tuple(_appeal(row) for row in connection.execute(query))

    def list(self, state: str = "", limit: int = 100) -> tuple[Appeal, ...]:
        """Appeals in the order they are due."""
        query = select(appeals).order_by(appeals.c.due_at).limit(limit)
        if state:
            query = query.where(appeals.c.state == state)
        with self._database.begin() as connection:
            return tuple(_appeal(row) for row in connection.execute(query))

    def with_items(self, limit: int = 100) -> tuple[tuple[Appeal, ReviewItem], ...]:
        """Appeals with the item that each is reviewed in, open ones first, in the order they are due."""
        query = select(appeals).order_by(appeals.c.state != OPEN, appeals.c.due_at).limit(limit)
        with self._database.begin() as connection:
            listed = [_appeal(row) for row in connection.execute(query)]
            wanted = review_items.c.item_id.in_([each.item_id for each in listed])
            items = {row.item_id: item_of(row) for row in connection.execute(select(review_items).where(wanted))}
        return tuple((each, items[each.item_id]) for each in listed)

    def decided(self, connection: Connection, item: ReviewItem, decision: ReviewDecision) -> None:
        """Close the appeal of a decided item and queue its callback, in the deciding transaction."""
        if item.kind is ItemKind.APPEAL:
            state = "overturned" if decision.outcome is ReviewOutcome.OVERTURN else "upheld"
            self._move(connection, item, state, decision.decided_at, decision.note)

    def undone(self, connection: Connection, item: ReviewItem, _: ReviewDecision) -> None:
        """Reopen the appeal and report it: the platform may have heard of the first outcome."""
        if item.kind is ItemKind.APPEAL:
            self._move(connection, item, OPEN, None, "")

    def _insert(self, connection: Connection, record_id: str, appeal: Appeal) -> Appeal:
        standing = (review_decisions.c.record_id == record_id, review_decisions.c.undone_at.is_(None))
        first = connection.execute(select(review_decisions.c.reviewer).where(*standing)).scalars().all()
        group = connection.execute(
            select(review_items.c.group_id, review_items.c.pdq, review_items.c.colour)
            .where(review_items.c.record_id == record_id)
            .limit(1)
        ).first()
        record = self._store.get(record_id)
        group_id = group.group_id if group else new_id()
        row = item_row(record, ItemKind.APPEAL, None, group_id, 0.0, not_by=sorted(set(first)), due_at=appeal.due_at)
        if group:
            row |= {"pdq": group.pdq, "colour": group.colour}
        # An item still waiting for its first review is reviewed as the appeal; nobody decides both.
        superseded = (review_items.c.record_id == record_id, review_items.c.decided_at.is_(None))
        connection.execute(
            update(review_items).where(*superseded).values(decided_at=appeal.created_at, leased_until=None)
        )
        connection.execute(insert(review_items).values(**row))
        values = {each.name: getattr(appeal, each.name) for each in fields(Appeal) if each.name != "references"}
        values |= {"item_id": row["item_id"], "reference_sha256": "\n".join(appeal.references)}
        connection.execute(insert(appeals).values(**values))
        facts = {"record_id": record_id, "references": list(appeal.references), "reason": appeal.reason}
        actor = f"seller:{appeal.seller}"
        audit.append(connection, actor, "appeal.open", f"item:{row['item_id']}", facts, appeal.created_at)
        made = connection.execute(select(appeals).where(appeals.c.appeal_id == appeal.appeal_id)).one()
        return _appeal(made)

    def _compare(self, record_id: str, references: Sequence[Picture]) -> str:
        comparer = self._comparer()
        if comparer is None or not references:
            return ""
        try:
            found = comparer.compare(self._pictures.picture(self._store.get(record_id)), references)
        except PictureNotFound as error:
            return json.dumps({"not_run": str(error)})
        return json.dumps(
            {
                "mismatch": round(found.score, 4),
                "similarity": round(found.similarity, 4),
                "reference_sha256": found.reference_sha256,
                "model": str(found.model),
                "answer": found.answer,
                "differs": list(found.differing),
                "agreeing": found.agreeing,
                "compared": found.compared,
                "goods_found": found.goods_found,
            }
        )

    def _move(
        self, connection: Connection, item: ReviewItem, state: str, decided_at: datetime | None, reason: str
    ) -> None:
        row = connection.execute(
            update(appeals)
            .where(appeals.c.item_id == item.item_id)
            .values(state=state, decided_at=decided_at, outcome_reason=reason)
            .returning(*appeals.c)
        ).one()
        appeal = _appeal(row)
        audit.append(connection, "zhentu", "appeal.move", f"item:{item.item_id}", {"state": state, "reason": reason})
        if appeal.callback_url:
            kind = "appeal.reopened" if state == OPEN else "appeal.decided"
            owner, body = f"seller:{appeal.seller}", envelope(kind, _fields(appeal), appeal.tenant)
            message = new_message(kind, appeal.callback_url, body, owner, appeal.tenant)
            write_messages(connection, [message])


def appeal_json(appeal: Appeal) -> str:
    """What a caller gets, and a callback as its `data`: one JSON object."""
    return json.dumps(_fields(appeal), ensure_ascii=False)


def _fields(appeal: Appeal) -> dict[str, Any]:
    return {
        "appeal_id": appeal.appeal_id,
        "record_id": appeal.record_id,
        "state": appeal.state,
        "reason": appeal.reason,
        "outcome_reason": appeal.outcome_reason,
        "references": list(appeal.references),
        "comparison": json.loads(appeal.comparison) if appeal.comparison else None,
        "created_at": appeal.created_at.isoformat(),
        "due_at": appeal.due_at.isoformat(),
        "decided_at": appeal.decided_at.isoformat() if appeal.decided_at else None,
    }


def _check(reason: str, references: Sequence[bytes], callback_url: str) -> None:
    problems = []
    if not reason.strip():
        problems.append("reason: say why the decision is wrong")
    if len(reason) > _LONGEST_REASON:
        problems.append(f"reason: has {len(reason)} characters, at most {_LONGEST_REASON} are taken")
    if len(references) > MOST_REFERENCES:
        problems.append(f"references: {len(references)} photos, at most {MOST_REFERENCES} are taken")
    if callback_url and (urlsplit(callback_url).scheme not in ("http", "https") or not urlsplit(callback_url).hostname):
        problems.append(f"callback_url {callback_url[:80]!r}: must be an http or https URL")
    if problems:
        raise UsageError("appeal: " + "; ".join(problems))


def _appeal(row: Row[Any]) -> Appeal:
    return Appeal(
        row.appeal_id,
        row.record_id,
        row.item_id,
        row.seller_id,
        row.reason,
        tuple(filter(None, row.reference_sha256.split("\n"))),
        row.comparison,
        row.callback_url,
        row.state,
        aware(row.created_at),
        aware(row.due_at),
        None if row.decided_at is None else aware(row.decided_at),
        row.outcome_reason,
        row.tenant,
    )
