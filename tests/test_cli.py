from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import typer.main
from conftest import encoded, photo
from typer.testing import CliRunner

from zhentu.backlog.summary import ScanSummary
from zhentu.cli.app import app
from zhentu.cli.show import print_totals
from zhentu.cli.terminal import console
from zhentu.detect.models import ModelEntry
from zhentu.intake.skipped import SkipReason

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: ModelEntry) -> None:
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG"))
    return folder


def commands(command: click.Command, name: str = "zhentu") -> list[tuple[str, click.Command]]:
    found = [(name, command)]
    for child, each in getattr(command, "commands", {}).items():
        found += commands(each, f"{name} {child}")
    return found


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_every_command_has_help_and_an_example() -> None:
    for name, command in commands(typer.main.get_command(app)):
        assert command.help, name
        if not hasattr(command, "commands"):
            assert f"Example: {name}" in command.help


def test_scan_prints_a_table_and_writes_rows_and_a_report(pictures: Path, tmp_path: Path) -> None:
    done = run(app, ["scan", str(pictures), "-o", "rows.csv", "--report", "report.html"])
    assert done.exit_code == 0, done.output
    assert "3 pictures" in done.output
    assert len(list(csv.DictReader((tmp_path / "rows.csv").open(encoding="utf-8-sig")))) == 3
    assert "scan report" in (tmp_path / "report.html").read_text()


def test_standard_output_carries_nothing_but_rows(pictures: Path) -> None:
    done = process("scan", str(pictures), "--format", "jsonl")
    assert [json.loads(line)["error"] for line in done.stdout.splitlines()] == ["", "", ""]
    assert "3 pictures" in done.stderr


def test_exit_code_1_only_where_asked_for(pictures: Path) -> None:
    (pictures / "broken.jpg").write_bytes(b"x")
    assert run(app, ["scan", str(pictures)]).exit_code == 0
    assert run(app, ["scan", str(pictures), "--fail-on", "error"]).exit_code == 1


def test_usage_errors_exit_with_2_and_one_message(tmp_path: Path) -> None:
    done = process("scan", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "usage_error" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unusable_model_exits_with_3(monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(tmp_path / "nowhere"))
    done = process("scan", str(pictures))
    assert done.returncode == 3
    assert "manifest.json" in done.stderr
    assert run(app, ["doctor"]).exit_code == 3


def test_inspect_of_a_folder_says_so(pictures: Path) -> None:
    done = run(app, ["inspect", str(pictures)])
    assert "is a folder; inspect takes one file" in str(done.exception)


def test_no_markup_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    reason = next(each for each in SkipReason if each.may_hide_pictures)
    figures = {"by_action": {}, "by_category": {}, "by_error": {}, "histograms": {}, "worst": (), "unreadable": ()}
    names = {"model": "m", "policy_version": "p", "mode": "enforce", "goods": ""}
    times = {"started_at": datetime.now(UTC), "seconds": 1.0}
    summary = ScanSummary(pictures=1, resumed=0, **figures, **names, **times, skipped={reason: 1})  # type: ignore[arg-type]
    print_totals(summary, console())
    said = capsys.readouterr().out
    assert "1 of them may be pictures that nobody has checked" in said
    assert "[yellow]" not in said


def test_inspect_explains_a_file_and_its_record(pictures: Path, tmp_path: Path) -> None:
    done = run(app, ["inspect", str(pictures / "0.jpg"), "--heatmap", "heat.png"])
    assert "()" not in done.output
    assert done.exit_code == 0, done.output
    assert "cutout_artifact" in done.output
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    run(app, ["scan", str(pictures), "-o", "rows.csv"])
    row = next(csv.DictReader((tmp_path / "rows.csv").open(encoding="utf-8-sig")))
    recorded = run(app, ["inspect", row["record_id"], "--json"])
    assert json.loads(recorded.output)["picture_sha256"] == row["sha256"]


def test_an_unknown_record_is_named() -> None:
    assert process("inspect", "no-such-record").returncode == 2


def test_policy_check_reports_every_problem(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text('version: "1"\nmode: on\nthresholds: {cutout: {review: 2}}\n')
    done = process("policy", "check", "p.yaml")
    assert done.returncode == 2
    assert done.stderr.count("  - ") == 2


def test_model_list_verify_doctor_and_version() -> None:
    assert "tiny@1" in run(app, ["model", "list"]).output
    assert "golden" in run(app, ["model", "verify"]).output
    assert run(app, ["doctor"]).exit_code == 0
    assert run(app, ["--version"]).output.startswith("zhentu 0.")


def test_a_misspelt_setting_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHENTU_WORKRES", "2")
    done = process("model", "list")
    assert done.returncode == 2
    assert "ZHENTU_WORKERS" in done.stderr
