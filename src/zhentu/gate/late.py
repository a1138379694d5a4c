"""A picture that was let through unscreened and cannot be screened afterwards either: it goes to a person."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from zhentu.decide.policy import Policy, unscreenable_decision
from zhentu.errors import ZhentuError
from zhentu.ids import new_id
from zhentu.record.job_store import JobTask
from zhentu.types import Evidence, EvidenceKind, Record, Trust


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
            Evidence(EvidenceKind.FILE, "screened_late", request.note, Trust.MEASURED),
            Evidence(EvidenceKind.FILE, "screening_impossible", f"{error.code}: {error}"[:300], Trust.MEASURED),
        ),
        decision=unscreenable_decision(policy),
        latency_ms=0.0,
    )
