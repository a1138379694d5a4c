from __future__ import annotations

import csv
import json
import re
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
from zhentu.errors import UsageError
from zhentu.intake.skipped import SkipReason

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")
run = CliRunner().invoke


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
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


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


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["in.csv", "-o", "in.csv"], "in.csv: would be overwritten"),
        (["in.csv", "-o", "pictures/../in.csv"], "is the source in.csv"),
        (["in.skipped.csv", "-o", "in.csv"], "in.skipped.csv"),
        (["out/rows.csv", "-o", "out"], "out/rows.csv"),
        (["pictures", "-o", "o.report.csv", "--report", "o.html"], "cannot hold two outputs"),
        (["o.report.csv", "--report", "o.html"], "is the source"),
        (["pictures", "-o", "o.csv", "--report", "o.csv"], "report.html"),
        (["pictures", "--report", "in.csv/o.html"], "cannot be made"),
    ],
)
def test_no_output_overwrites_a_source_or_another_output(arguments: list[str], named: str, pictures: Path) -> None:
    sheets = [Path(name) for name in ("in.csv", "in.skipped.csv", "o.report.csv", "out/rows.csv")]
    for sheet in sheets:
        sheet.parent.mkdir(exist_ok=True)
        sheet.write_text(f"path\n{pictures}/0.jpg\n", encoding="utf-8")
    done = run(app, ["scan", *arguments])
    assert isinstance(done.exception, UsageError)
    assert named in str(done.exception)
    assert {sheet.read_text(encoding="utf-8") for sheet in sheets} == {f"path\n{pictures}/0.jpg\n"}
    assert not Path("o.csv").exists(), "nothing was scanned first"


def test_rows_sheet_and_report_of_one_name_are_three_files(pictures: Path) -> None:
    sheet = Path("one.csv")
    sheet.write_text(f"path\n{pictures}/0.jpg\n", encoding="utf-8")
    assert run(app, ["scan", "one.csv", "--report", "one.html"]).exit_code == 0
    assert sheet.read_text(encoding="utf-8") == f"path\n{pictures}/0.jpg\n"
    assert run(app, ["scan", str(pictures), "-o", "rows.csv", "--report", "rows.html"]).exit_code == 0
    assert len(Path("rows.csv").read_text(encoding="utf-8-sig").splitlines()) == 4
    assert "rows.report.csv" in Path("rows.html").read_text(encoding="utf-8")


def test_what_was_skipped_is_found_where_the_scan_says(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (pictures / "more").symlink_to(tmp_path / "elsewhere")
    for output in ("rows.csv", "out"):
        told = run(app, ["scan", str(pictures), "-o", output]).stderr
        (named,) = re.findall(r"see (\S+)", told)
        assert Path(named).is_file()
        assert "nobody has checked" in told
        assert "yellow" not in told
    told = run(app, ["scan", str(pictures)]).stderr
    assert "--output ROWS.csv also writes the list" in told


@pytest.mark.parametrize("option", [["--goods", "x"], ["--limit", "3"], ["--exclude", "*.png"], ["--no-store"]])
def test_options_that_a_resumed_job_cannot_take_are_refused(option: list[str]) -> None:
    refused = run(app, ["scan", "--resume", "20261127-000000-abcdef", *option])
    assert isinstance(refused.exception, UsageError)
    assert f"--resume takes no {option[0].replace('no-', '')}" in str(refused.exception)
