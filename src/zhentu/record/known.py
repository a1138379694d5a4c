"""Pictures that were scored before: the same bytes are scored once per model, across every scan of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Index, Row, Select, String, Table, bindparam, select

from zhentu.digest import digest_of
from zhentu.record.codec import decode_record
from zhentu.record.database import Database
from zhentu.record.schema import metadata, records
from zhentu.record.store import row_of
from zhentu.types import LEAST_QUALITY, Fingerprint, Listing, Record

known_verdicts = Table(
    "known_verdicts",
    metadata,
    Column("picture_sha256", String(64), primary_key=True),
    Column("model_sha256", String(64), primary_key=True),
    Column("record_id", String(36), nullable=False),
    Column("pdq", String(64), nullable=False),
    Column("colour", String(96), nullable=False),
    Index("known_verdicts_by_look", "pdq"),
)
known_decisions = Table(
    "known_decisions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("record_id", String(36), nullable=False),
)
# Built once: a scan runs them for every picture, and building them costs as much as running them.
_VERDICT = (
    select(records.c.body, known_verdicts.c.pdq, known_verdicts.c.colour)
    .join(records, records.c.record_id == known_verdicts.c.record_id)
    .where(
        known_verdicts.c.picture_sha256 == bindparam("sha256"),
        known_verdicts.c.model_sha256.in_(bindparam("models", expanding=True)),
    )
    .order_by(known_verdicts.c.record_id.desc())
    .limit(1)
)
_DECISION = (
    select(records.c.body)
    .join(known_decisions, records.c.record_id == known_decisions.c.record_id)
    .where(known_decisions.c.digest == bindparam("digest"))
)


@dataclass(frozen=True, slots=True)
class KnownVerdict:
    """A picture's newest accepted verdict: the record that holds it, and the fingerprint measured with it."""

    record: Record
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class ScannedRecord:
    """A record to keep, and what lets it be found again.

    decision_digest: see `decision_digest`.  fingerprint: set if the verdict is new, None if it is an earlier one.
    """

    record: Record
    decision_digest: str
    fingerprint: Fingerprint | None = None


def decision_digest(sha256: str, rules: str, path: str, listing: Listing, references: Iterable[str] = ()) -> str:
    """One sha256, in hex, of everything a decision depends on; the same digest means the same decision.

    rules: `Screener.digest` with the model that scored the picture.
    """
    facts = {"picture": sha256, "rules": rules, "path": path, "listing": listing, "references": list(references)}
    return digest_of(facts)


class KnownStore:
    """Verdicts and decisions by content; safe to use from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def verdict(self, sha256: str, models: Collection[str]) -> KnownVerdict | None:
        """The newest verdict on these bytes by one of `models` (sha256 of their files), or None."""
        asked = {"sha256": sha256, "models": list(models)}
        found = self.database.patiently(lambda: self._first(_VERDICT, asked))
        return (
            None
            if found is None
            else KnownVerdict(decode_record(found.body), stored_fingerprint(sha256, found.pdq, found.colour))
        )

    def decision(self, digest: str) -> Record | None:
        """The record of exactly this decision, or None if it was never made."""
        found = self.database.patiently(lambda: self._first(_DECISION, {"digest": digest}))
        return None if found is None else decode_record(found.body)

    def _first(self, query: Select[Any], asked: Mapping[str, object]) -> Row[Any] | None:
        with self.database.begin() as connection:
            return connection.execute(query, asked).one_or_none()

    def keep(self, screened: Iterable[ScannedRecord]) -> None:
        """Write records, and what finds them again, in one transaction: all or none. Writing them twice is harmless."""
        batch = list(screened)
        if not batch:
            return
        verdicts = [
            {
                "picture_sha256": each.record.picture_sha256,
                "model_sha256": each.record.verdict.model.sha256,
                "record_id": each.record.record_id,
                "pdq": each.fingerprint.pdq.hex() if each.fingerprint.usable else "",
                "colour": each.fingerprint.colour.hex(),
            }
            for each in batch
            if each.fingerprint is not None and each.record.verdict is not None
        ]
        decisions = [{"digest": each.decision_digest, "record_id": each.record.record_id} for each in batch]
        # Another scan of the same store may have been faster; its answer is just as good.
        with self.database.begin() as connection:
            connection.execute(self.database.insert_missing(records), [row_of(each.record) for each in batch])
            if verdicts:
                connection.execute(self.database.insert_missing(known_verdicts), verdicts)
            connection.execute(self.database.insert_missing(known_decisions), decisions)


def stored_fingerprint(sha256: str, pdq: str, colour: str) -> Fingerprint:
    """A stored fingerprint; of its quality, only whether it sufficed is stored."""
    return Fingerprint(sha256, bytes.fromhex(pdq), LEAST_QUALITY if pdq else 0, bytes.fromhex(colour))
