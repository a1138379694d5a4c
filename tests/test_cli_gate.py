"""The commands around the gate: keys, models in force, records, spool, webhooks."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import encoded, photo
from typer.testing import CliRunner

from zhentu.bootstrap.screener import build_screener
from zhentu.cli.app import app
from zhentu.cli.serve import _Plain
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.errors import ConfigError, UsageError
from zhentu.gate.server import bound_sockets
from zhentu.record.database import Database
from zhentu.record.keys import KeyStore
from zhentu.record.outbox import Outbox, new_message
from zhentu.record.spool import Spool
from zhentu.record.store import RecordStore, RecordWrite
from zhentu.settings import load_settings
from zhentu.types import OUTPUTS, Inquiry, Listing, MessageState

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: ModelEntry) -> Database:
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("ZHENTU_STORE_URL", f"sqlite:///{tmp_path}/records.db")
    monkeypatch.setenv("ZHENTU_STORE_PICTURES", str(tmp_path / "pictures"))
    monkeypatch.setenv("COLUMNS", "200")
    return Database(f"sqlite:///{tmp_path}/records.db")


def screened(seller: str, seed: int = 1):
    payload = encoded(photo(seed=seed), "JPEG")
    return build_screener(load_settings()).screen(Inquiry.of(payload, listing=Listing(seller_id=seller))).record


def test_a_key_is_created_listed_and_revoked(database: Database) -> None:
    made = run(app, ["keys", "create", "shop", "--role", "review", "--rate", "5"])
    token = made.stdout.strip().splitlines()[-1]
    key = KeyStore(database).verify(token)
    assert (key.name, key.role.value, key.rate_per_s) == ("shop", "review", 5.0)
    listed = run(app, ["keys", "list"]).stdout
    assert key.key_id in listed
    assert token not in listed
    assert run(app, ["keys", "revoke", key.key_id]).exit_code == 0
    assert KeyStore(database).verify(token) is None


def test_a_key_of_a_tenant_needs_a_gate_of_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run(app, ["keys", "create", "shop", "--tenant", "shop-a"])
    assert isinstance(refused.exception, UsageError)
    assert KeyStore(database).list() == ()
    monkeypatch.setenv("ZHENTU_GATE_SINGLE_TENANT", "false")
    made = run(app, ["keys", "create", "shop", "--tenant", "shop-a"])
    assert KeyStore(database).verify(made.stdout.strip().splitlines()[-1]).tenant == "shop-a"
    assert "shop-a" in run(app, ["keys", "list"]).stdout


def test_a_chosen_model_is_in_force_for_scans_lists_and_checks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "models" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"].append(manifest["models"][0] | {"version": "2"})
    path.write_text(json.dumps(manifest))
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "JPEG"))

    def active() -> list[str]:
        return [line.split()[1] for line in run(app, ["model", "list"]).stdout.splitlines() if "active" in line]

    assert active() == ["tiny@1"]
    monkeypatch.setenv("ZHENTU_MODELS_ACTIVE", "tiny@2")
    assert active() == ["tiny@2"]
    monkeypatch.delenv("ZHENTU_MODELS_ACTIVE")
    run(app, ["model", "use", "tiny@2"])
    assert active() == ["tiny@2"]
    assert "tiny@2: sha256" in run(app, ["model", "verify"]).stdout
    assert "tiny@2" in run(app, ["policy", "check"]).stdout
    doctor = run(app, ["doctor"]).stdout
    assert "tiny@1" not in doctor
    assert json.loads(run(app, ["scan", str(tmp_path / "a.jpg"), "--format", "jsonl"]).stdout)["model"] == "tiny@2"
    alone = run(app, ["scan", str(tmp_path / "a.jpg"), "--format", "jsonl", "--no-store"]).stdout
    assert json.loads(alone)["model"] == "tiny@2", "one rule for every command, whether it keeps records or not"


def test_a_model_is_used_and_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "models" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"].append(manifest["models"][0] | {"version": "2"})
    path.write_text(json.dumps(manifest))
    assert "tiny@2 is in force" in run(app, ["model", "use", "tiny@2"]).stdout
    assert "its gates use tiny@2" in run(app, ["doctor"]).stdout
    assert run(app, ["model", "use", "tiny@9"]).exit_code != 0
    assert "the model of the settings is in force again" in run(app, ["model", "rollback"]).stdout


def test_records_of_a_seller_are_deleted_with_their_pictures(database: Database, tmp_path: Path) -> None:
    store = RecordStore(database)
    for number, seller in enumerate(("S1", "S2")):
        record = screened(seller, number)
        store.append(record)
        kept = tmp_path / "pictures" / record.picture_sha256[:2] / record.picture_sha256
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(b"x")
    assert "1 records would be deleted" in run(app, ["records", "prune", "--seller", "S1", "--dry-run"]).stdout
    assert "1 records were deleted" in run(app, ["records", "prune", "--seller", "S1"]).stdout
    assert sum(store.counts_by_action().values()) == 1
    assert len([each for each in (tmp_path / "pictures").rglob("*") if each.is_file()]) == 1


def test_old_records_are_pruned_by_age(database: Database) -> None:
    store = RecordStore(database)
    store.append(replace(screened("S1"), created_at=datetime.now(UTC) - timedelta(days=90)))
    assert "0 records" in run(app, ["records", "prune", "--older-than-days", "100"]).stdout
    assert "1 records were deleted" in run(app, ["records", "prune", "--older-than-days", "30"]).stdout


@pytest.mark.parametrize(
    "options",
    [[], ["--seller", ""], ["--seller", "S", "--older-than-days", "3"], ["--tenant", "a", "--older-than-days", "3"]],
)
def test_a_prune_that_says_not_what_is_refused(options: list[str]) -> None:
    assert run(app, ["records", "prune", *options]).exit_code != 0


def test_the_spool_is_replayed(database: Database) -> None:
    spool = Spool(load_settings().spool_dir)
    record = screened("S1")
    spool.put(RecordWrite(record))
    spool._file.close()  # its process has died
    assert "1 decisions" in run(app, ["spool", "replay"]).stdout
    assert RecordStore(database).get(record.record_id) == record


def test_dead_messages_are_listed_and_replayed(database: Database) -> None:
    box = Outbox(database)
    box.put([new_message("picture.screened", "https://a.example/hook?token=secret", "{}")])
    box.failed(replace(box.list()[0], attempts=99), "answered 500")
    listed = run(app, ["webhooks", "list", "--state", "dead"]).stdout
    assert "answered 500" in listed
    assert "secret" not in listed
    assert "1 messages" in run(app, ["webhooks", "replay"]).stdout
    assert box.list()[0].state is MessageState.PENDING


def test_migrate_says_what_it_did() -> None:
    assert "up to date" in run(app, ["store", "migrate"]).stdout


def test_doctor_shows_drift() -> None:
    shown = run(app, ["doctor"]).stdout
    assert "drift" in shown
    assert "zhentu model reference" in shown


def rows_of(path: Path, count: int, model: str = "tiny@1") -> Path:
    scores = ((number % 10) / 10 + 0.05 for number in range(count))
    lines = [
        ",".join([f"{number}.jpg", model, *[f"{score:.2f}"] * len(OUTPUTS)]) for number, score in enumerate(scores)
    ]
    broken = ",".join(["broken.jpg", "", *[""] * len(OUTPUTS)])
    path.write_text("\n".join([",".join(["path", "model", *OUTPUTS]), *lines, broken]) + "\n")
    return path


def test_a_scan_becomes_the_reference_of_drift(tmp_path: Path) -> None:
    done = run(app, ["model", "reference", str(rows_of(tmp_path / "rows.csv", 300))])
    assert done.exit_code == 0
    assert "300 pictures are now the reference of tiny@1" in done.stdout
    entry = Manifest.load(tmp_path / "models").active_entry
    assert set(entry.reference) == set(OUTPUTS)
    assert entry.reference["forged"] == pytest.approx((0.1,) * 10)
    assert "0 scores of tiny@1, 200 are needed" in run(app, ["doctor"]).stdout


def test_a_reference_of_too_few_or_mixed_rows_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    before = (tmp_path / "models" / "manifest.json").read_bytes()
    few, mixed = rows_of(tmp_path / "few.csv", 40), rows_of(tmp_path / "mixed.csv", 300)
    mixed.write_text(mixed.read_text().replace("tiny@1", "tiny@0", 1))
    for rows, words in ((few, "40 pictures have scores"), (mixed, "rows of several models, tiny@0, tiny@1")):
        refused = run(app, ["model", "reference", str(rows)])
        assert refused.exit_code != 0
        assert words in str(refused.exception)
    assert (tmp_path / "models" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--open", "--on-error", "block", "--host", "0.0.0.0"], 2, "anybody"),  # noqa: S104 - refused
        (["--open"], 2, "on_error"),
        (["--open", "--on-error", "block", "--port", "0"], 3, "manifest.json"),
    ],
)
def test_a_gate_that_cannot_start_says_why_in_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], code: int, named: str
) -> None:
    if code == 3:
        monkeypatch.setenv("ZHENTU_MODELS_DIR", str(tmp_path / "nowhere"))
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", "serve", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, named in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named_before_anything_is_printed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [
            sys.executable,
            "-c",
            "from zhentu.cli import main; main()",
            "serve",
            "--open",
            "--on-error",
            "block",
        ]
        done = subprocess.run([*command, "--port", port], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "Errno" in done.stderr, "token" in done.stderr) == (2, False, False), done.stderr
    assert f"{port} on 127.0.0.1 is used by another program" in done.stderr
    assert "--port" in done.stderr


def test_sockets_are_bound_on_every_address_of_a_name_or_told_why_not() -> None:
    bound = bound_sockets("localhost", 0)
    assert len({each.getsockname()[1] for each in bound}) == 1
    for each in bound:
        each.close()
    with pytest.raises(ConfigError, match=r"gate\.host: cannot listen on 192\.0\.2\.1"):
        bound_sockets("192.0.2.1", 0)
    with pytest.raises(ConfigError, match=r"gate\.host: cannot listen on no-such-host\.invalid"):
        bound_sockets("no-such-host.invalid", 0)


def test_a_requests_line_is_json_with_time_and_level() -> None:
    record = logging.LogRecord("zhentu.gate", logging.INFO, "", 0, "told", (), None)
    plain = _Plain("%(asctime)s %(levelname)s %(message)s").format(record)
    assert plain.endswith(" INFO told")
    record.fields = {"event": "request", "status": 200, "record": "a\x9b\u202eb", "path": "zt_ab_secret"}
    line = json.loads(_Plain().format(record))
    assert (line["level"], line["event"], line["status"]) == ("INFO", "request", 200)
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert (line["record"], line["path"]) == ("a\\x9b\\u202eb", "zt_ab_...")
