"""A picture that was let through unscreened: what is noted of it, also if it cannot be screened afterwards either."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from zhentu.decide.policy import Policy, unscreenable_decision
from zhentu.errors import ZhentuError
from zhentu.ids import new_id
from zhentu.record.job_store import JobTask
from zhentu.types import Evidence, EvidenceKind, Fact, Record, Trust

_NOTE = "deferred in "


def deferral_note(record_id: str) -> str:
    """What a job notes of a picture that was let through in a record."""
    return f"{_NOTE}{record_id}"


def screened_late(note: str) -> Evidence:
    """Evidence of a screening that was promised. note: as `deferral_note` wrote it."""
    facts = ((Fact.RECORD, note.removeprefix(_NOTE)),) if note.startswith(_NOTE) else ()
    return Evidence(EvidenceKind.FILE, "screened_late", note, Trust.MEASURED, facts=facts)


def unscreenable_record(task: JobTask, error: ZhentuError, policy: Policy) -> Record:
    """The record that takes the place of the screening that was promised. Its picture was never decoded."""
    request = task.request
    payload = request.payload or b""
    return Record(
        record_id=new_id(),
        created_at=datetime.now(UTC),
        path=request.name,
        picture_sha256=hashlib.sha256(payload).hexdigest(),
        picture_format="",
        width=0,
        height=0,
        byte_count=len(payload),
        notes=("never decoded",),
        listing=replace(request.listing, tenant=task.tenant),
        verdict=None,
        evidence=(
            screened_late(request.note),
            Evidence(
                EvidenceKind.FILE,
                "screening_impossible",
                f"{error.code}: {error}"[:300],
                Trust.MEASURED,
                facts=((Fact.CODE, error.code),),
            ),
        ),
        decision=unscreenable_decision(policy),
        latency_ms=0.0,
    )
