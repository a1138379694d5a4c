"""Write `store.sql` and `spool.jsonl` with the code of the release before 0.3 (commit f003491); see `test_release_0_2.py`.

    git worktree add --detach ../old f003491
    PYTHONPATH=../old/src:../old/tests python tests/record/release_0_2/make.py

Every table that 0.2 had gets rows, through the gate where it writes them. Nothing of today's code is imported.
"""

# ruff: noqa
# mypy: ignore-errors
from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from conftest import encoded, photo
from fakes import FakeDetector, tiny_model, verdict
from fastapi.testclient import TestClient

from zhentu.backlog.jobs import ScanJob
from zhentu.backlog.scan import run_scan
from zhentu.banks.bank import Bank
from zhentu.banks.entries import NewEntry
from zhentu.bootstrap import Screener, limits_of
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.gate.app import create_app
from zhentu.record.history import ModelHistory
from zhentu.record.jobs import JobKind, JobRequest, JobStore, new_job
from zhentu.record.keys import KeyStore
from zhentu.record.shadow import ShadowStore
from zhentu.record.spool import Spool
from zhentu.record.store import Claim, Kept, RecordStore
from zhentu.review.items import Outcome
from zhentu.settings import Settings
from zhentu.types import Action, BankKind, Role

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Compared:
    score: float = 0.93
    similarity: float = 0.9
    reference_sha256: str = "a" * 64
    model: str = "pair@1"


class Comparer:
    review_threshold = 0.5

    def compare(self, picture, references):
        return Compared()


def main(folder: Path) -> None:  # long: every table, in order
    os.environ["XDG_DATA_HOME"] = str(folder)
    entry = tiny_model(folder / "models")
    url = f"sqlite:///{folder}/records.db"
    settings = Settings(
        models_dir=folder / "models",
        store_url=url,
        workers=1,
        on_error="block",
        open=True,
        spool_dir=folder / "spool",
        picture_store=str(folder / "kept"),
        jobs_dir=folder / "jobs",
        webhook_url="http://127.0.0.1:9/hook",
        webhook_secret="whsec_" + "a2tr" * 10,
    )
    screener = Screener(
        FakeDetector(entry, 0.95), load_policy(default_policy_path()), limits_of(settings), comparer=Comparer()
    )
    made = encoded(photo((96, 64), 7), "JPEG")
    with TestClient(create_app(settings, lambda _: screener)) as client:
        desk = client.app.state.desk
        database = desk.store.database
        banks = desk.banks.store
        banks.put_bank(Bank("known", BankKind.KNOWN_BAD), "ann")
        banks.put_bank(Bank("acme", BankKind.BRAND_ORIGINAL, brand="Acme", owners=("acme-shop",)), "ann")
        banks.add("known", [NewEntry(sha256=hashlib.sha256(made).hexdigest(), source="import:old.csv")], "ann")
        banks.add("acme", [NewEntry(pdq=bytes(range(32)), quality=90, source="api", note="原图")], "ann")
        desk.banks.refresh()
        ids = []

        def screen(number: int, reference: bool = False) -> None:
            files = [("picture", ("a.jpg", encoded(photo((96, 64), number), "JPEG"), "image/jpeg"))]
            if reference:
                files.append(("reference", ("r.jpg", made, "image/jpeg")))
            listing = {
                "listing_id": f"L{number}",
                "seller_id": "shop",
                "title": "连衣裙",
                "declared_ai": str(number == 2),
            }
            answer = client.post("/v1/screen", files=files, data=listing, headers={"Idempotency-Key": f"k{number}"})
            assert answer.status_code == 200, answer.text
            ids.append(answer.json()["record_id"])

        for number in (0, 2, 3):
            screen(number)
        known = client.post("/v1/screen", files={"picture": ("k.jpg", made, "image/jpeg")})
        assert known.status_code == 200
        ids.append(known.json()["record_id"])
        ShadowStore(database).append(ids[0], verdict(0.2), Action.REVIEW, Action.ALLOW)
        desk.filler.fill()
        held = desk.queue.claim("ann", count=2)
        desk.queue.decide(held[0].item_id, "ann", Outcome.UPHOLD)
        desk.queue.decide(held[1].item_id, "ann", Outcome.OVERTURN, note="真图")
        desk.appeals.open(held[0].record_id, "it is genuine", (made,))
        screen(1, reference=True)  # after the queue was filled: 0.2 could not queue a comparison
        KeyStore(database).create("pipeline", Role.SCREEN, 5.0)
        ModelHistory(database).use("tiny@1")
        waiting = JobRequest("late.jpg", desk.store.get(ids[0]).listing, made, references=(made,))
        store = RecordStore(database)
        again = replace(desk.store.get(ids[-1]), record_id="0193a0b0-0000-7000-8000-000000000001")
        store.keep(Kept(again, (Claim("e" * 64, "f" * 64),), (), new_job(JobKind.DEFERRED, [waiting])))
        spooled = replace(desk.store.get(ids[-1]), record_id="0193a0b0-0000-7000-8000-000000000002")
        spool = Spool(folder / "by-hand")
        spool.put(Kept(spooled, (Claim("c" * 64, "d" * 64),), (), new_job(JobKind.DEFERRED, [waiting])))
        (HERE / "spool.jsonl").write_bytes(next((folder / "by-hand").glob("*.jsonl")).read_bytes())
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in (20, 21):
        (pictures / f"{number}.jpg").write_bytes(encoded(photo((96, 64), number), "JPEG"))
    run_scan(ScanJob((str(pictures),), folder / "rows.csv", workers=1), settings)
    with sqlite3.connect(folder / "records.db") as connection:
        text = "\n".join(connection.iterdump()).replace(str(folder), "/old")
    (HERE / "store.sql").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
