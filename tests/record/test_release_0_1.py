"""What zhentu 0.1 wrote is read: `release_0_1/` was written by its code, a comparison and a bank hit included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zhentu.errors import RecordUnreadable
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.database import Database
from zhentu.record.spool import Spool
from zhentu.record.store import Claim, RecordStore
from zhentu.types import Action, Basis, Category, ReasonKind, Threshold

FOLDER = Path(__file__).parent / "release_0_1"


def test_a_record_says_in_fields_what_it_said_in_texts() -> None:
    record = decode_record((FOLDER / "record.json").read_text())
    decision = record.decision
    assert [(reason.kind, reason.category) for reason in decision.reasons] == [
        (ReasonKind.BANK, None),
        (ReasonKind.PROVENANCE, Category.AI_GENERATED),
        (ReasonKind.SCORE, Category.MATERIAL_MISMATCH),
        (ReasonKind.SCORE, Category.CUTOUT_ARTIFACT),
        (ReasonKind.SCORE, Category.AI_GENERATED),
        (ReasonKind.COMPARISON, Category.MATERIAL_MISMATCH),
    ]
    assert Threshold(Category.CUTOUT_ARTIFACT, Action.REVIEW, 0.9) in decision.thresholds
    assert Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.5, Basis.REFERENCE) in decision.thresholds
    assert decode_record(encode_record(record)) == record


def test_its_spool_is_replayed_with_the_job_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "dead.jsonl").write_bytes((FOLDER / "spool.jsonl").read_bytes())
    database = Database(f"sqlite:///{tmp_path}/records.db")
    store = RecordStore(database)
    assert Spool(folder).replay(store) == 1
    kept = store.answered([Claim("c" * 64, "d" * 64)])
    assert kept is not None
    assert kept.decision.action is Action.REVIEW
    from zhentu.record.job_store import JobStore

    task = JobStore(database).take(30)
    assert task is not None
    assert (task.request.payload, task.request.references) == (b"\xff\xd8bytes", (b"\xff\xd8ref",))
    database.close()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"record_id": 3}', '{"decision": {"thresholds": {"a.b": 1}, "reasons": []}}']
)
def test_what_is_no_record_is_named_as_such(text: str) -> None:
    with pytest.raises(RecordUnreadable, match="cannot be read"):
        decode_record(text)


def test_a_damaged_record_of_that_release_is_named_too() -> None:
    content = json.loads((FOLDER / "record.json").read_text())
    content["decision"]["thresholds"]["comparison.revue"] = 0.5
    with pytest.raises(RecordUnreadable, match="decision"):
        decode_record(json.dumps(content))
