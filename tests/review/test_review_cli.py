from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from fakes import tiny_model
from pictures import waves
from review_fixtures import record
from sqlalchemy import text
from typer.testing import CliRunner

from zhentu.cli.app import app
from zhentu.cli.promote import _little, _share
from zhentu.cli.review import _stands_on
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.record.history import ModelHistory
from zhentu.record.store import RecordStore
from zhentu.review.compare import LEAST_APART, Judged, ModelComparison, mcnemar
from zhentu.review.items import ReviewOutcome
from zhentu.review.queue import ReviewQueue


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordStore:
    tiny_model(tmp_path / "models")
    monkeypatch.setenv("ZHENTU_STORE_URL", f"sqlite:///{tmp_path}/r.db")
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("ZHENTU_REVIEW_PICTURES", str(tmp_path))
    opened = RecordStore(f"sqlite:///{tmp_path}/r.db")
    for number in (1, 2):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), waves(64, 64, number))
        sha256 = decode(path.read_bytes(), DecodeLimits(30 << 20, 50_000_000, 20_000, 32)).sha256
        opened.append(record(number, sha256=sha256, path=path.name))
    return opened


def decide_all(store: RecordStore) -> None:
    queue = ReviewQueue(store.database)
    for item in queue.claim("ann"):
        queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD)


def test_an_export_without_a_folder_of_pictures_says_which_settings_name_one(
    store: RecordStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run("review", "fill")
    decide_all(store)
    monkeypatch.delenv("ZHENTU_REVIEW_PICTURES")
    told = run("review", "export", str(tmp_path / "out"))
    assert "2 without bytes" in told
    assert "ZHENTU_REVIEW_PICTURES" in told


def test_from_the_queue_to_a_manifest_and_a_promotion(store: RecordStore, tmp_path: Path):
    assert "2 new items" in run("review", "fill")
    decide_all(store)
    exported = run("review", "export", str(tmp_path / "out"))
    assert "2 pictures (2 single)" in exported
    assert "0 honest and 2 forged decisions stand behind it. With fewer than 300 honest ones" in exported
    assert "2 of 2 upheld" in run("review", "agreement")
    compared = run("model", "compare", "tiny@1", "tiny@1")
    assert "McNemar p = 1.0000" in compared
    assert (
        "0 honest decisions stand behind the false alarms, fewer than the 300 that could confirm the 1.00%" in compared
    )
    assert "2 forged decisions stand behind what is caught, fewer than the 97" in compared
    assert "Only 0 pictures are judged rightly by one model alone" in compared
    assert "is in force" in run("model", "promote", "tiny@1")
    assert ModelHistory(store.database).current() == "tiny@1"
    assert "is in force again" in run("model", "rollback")


def judged(model: str, forged: int, caught: int, honest: int, alarms: int) -> Judged:
    return Judged(model, forged, caught, honest, alarms, 0.9, ())


def test_what_few_decisions_cannot_tell_is_said_with_the_number_that_could():
    pair = (judged("old@1", 97, 60, 374, 0), judged("new@1", 97, 50, 374, 0))
    few = list(_little(ModelComparison(*pair, 3, 2, 1.0, 0, 0), promised=0.008))
    assert len(few) == 2
    assert (
        "374 honest decisions stand behind the false alarms, fewer than the 375 that could confirm the 0.80%" in few[0]
    )
    assert "might still be 0.8%" in few[0]
    assert "with fewer than 6" in few[1]
    pair = (judged("old@1", 97, 60, 375, 0), judged("new@1", 97, 50, 375, 0))
    assert list(_little(ModelComparison(*pair, 6, 0, 0.03, 0, 0), promised=0.008)) == []
    assert mcnemar(LEAST_APART, 0) < 0.05 < mcnemar(LEAST_APART - 1, 0)
    assert _share(50, 97) == "50 of 97 (51.5%; 95 %: 41.7% to 61.2%)"
    assert _stands_on(300, 1) == "300 honest and 1 forged decisions stand behind it"
    assert "from 0 to 1.5% (95 %, rule of three)" in _stands_on(200, 1)


def test_the_audit_verifies_exports_and_shows_damage(store: RecordStore):
    run("review", "fill")
    decide_all(store)
    said = run("audit", "verify")
    assert "unbroken" in said
    head = said.split()[-1]
    lines = [json.loads(line) for line in run("audit", "export").splitlines()]
    assert {line["act"] for line in lines} >= {"item.seen", "item.decide"}
    assert lines[-1]["sha256"] == head
    assert "unbroken" in run("audit", "verify", "--expect", head)
    with store.database.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET actor = 'eve' WHERE seq = 2"))
    assert "broken at entry 2" in run("audit", "verify", code=1)
