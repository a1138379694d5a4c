"""The second night: what zhentu wrote on the first is told from pictures, by place and content, never by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import bright, encoded, photo
from typer.testing import CliRunner

from zhentu.cli.app import app
from zhentu.errors import UsageError
from zhentu.record.written import Written, WrittenFiles
from zhentu.settings import load_settings

run = CliRunner().invoke


@pytest.fixture
def night(tmp_path: Path, where_bright_is_labelled: None) -> Path:
    """A folder of two pictures, both to be labelled; the command is called from the folder above it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(2):
        (folder / f"{seed}.jpg").write_bytes(encoded(bright(photo((300, 200), seed)), "JPEG"))
    return folder


def scanned(*sources: str) -> tuple[list[str], dict[str, str]]:
    """Names of rows, and what was skipped with its reason; then the job is applied."""
    done = run(app, ["scan", *sources, "-o", "rows.csv"])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("rows.csv").read_text(encoding="utf-8-sig").splitlines()))
    skipped = {}
    if Path("rows.skipped.csv").exists():
        lines = csv.DictReader(Path("rows.skipped.csv").read_text(encoding="utf-8-sig").splitlines())
        skipped = {Path(line["path"]).name: f"{line['reason']}: {line['detail']}" for line in lines}
    return sorted(Path(row["path"]).name for row in rows), skipped


def applied(target: str = "") -> int:
    (job, *_) = map(json.loads, run(app, ["jobs", "--json"]).stdout.splitlines())
    assert run(app, ["apply", job["job_id"], *(["--target", target] if target else [])]).exit_code == 0
    return run(app, ["apply", job["job_id"], "--enforce"]).exit_code


@pytest.mark.parametrize("target", ["", "pictures/copies"])
def test_the_second_night_leaves_the_copies_of_the_first_alone(target: str, night: Path) -> None:
    assert scanned("pictures") == (["0.jpg", "1.jpg"], {})
    assert applied(target) == 0
    files = set(night.rglob("*.jpg"))
    assert len(files) == 4
    names, skipped = scanned("pictures")
    assert names == ["0.jpg", "1.jpg"]
    assert len(skipped) == 2
    assert all(why == "own_output: labelled copy that zhentu wrote" for why in skipped.values())
    assert applied(target) == 0
    assert set(night.rglob("*.jpg")) == files


def test_without_its_notes_the_store_still_knows_the_copies(night: Path) -> None:
    """Copies of a release before, or of another machine."""
    scanned("pictures")
    applied()
    (load_settings().data_dir / "written.db").unlink()
    names, skipped = scanned(str(night))
    assert names == ["0.jpg", "1.jpg"]
    assert "labelled copy of pictures/0.jpg, by job" in skipped["0.labelled.jpg"]


def test_a_copy_that_was_changed_or_only_looks_like_one_is_a_picture(night: Path) -> None:
    scanned("pictures")
    applied()
    changed = night / "0.labelled.jpg"
    changed.write_bytes(encoded(photo((300, 200), 5), "JPEG"))
    (night / "other.labelled.jpg").write_bytes((night / "1.labelled.jpg").read_bytes())  # a seller's upload, say
    names, skipped = scanned("pictures")
    assert names == ["0.jpg", "0.labelled.jpg", "1.jpg", "other.labelled.jpg"]
    assert list(skipped) == ["1.labelled.jpg"]
    named, _ = scanned("pictures/1.labelled.jpg")
    assert named == ["1.labelled.jpg"], "what is named outright is always looked at"


def test_applying_never_replaces_what_somebody_else_put_there(night: Path) -> None:
    theirs = night / "0.labelled.jpg"
    theirs.write_bytes(b"my own")
    scanned("pictures/0.jpg", "pictures/1.jpg")
    assert applied() == 1
    assert theirs.read_bytes() == b"my own"
    assert (night / "1.labelled.jpg").is_file()


def test_marking_every_night_marks_each_picture_once(night: Path) -> None:
    command = ["mark", ".", "-o", "pictures/labelled", "--state", "is"]
    assert run(app, command).exit_code == 0
    before = {path: path.read_bytes() for path in Path().rglob("*.jpg")}
    again = run(app, command)
    assert again.exit_code == 0, again.output
    assert "left out, a labelled copy that zhentu wrote" in again.stderr
    assert {path: path.read_bytes() for path in Path().rglob("*.jpg")} == before


def test_marking_replaces_its_own_copies_and_nobody_elses(night: Path) -> None:
    command = ["mark", "pictures/0.jpg", "-o", "out", "--state", "is"]
    copy = Path("out/0.jpg")
    copy.parent.mkdir()
    copy.write_bytes(b"my own")
    refused = run(app, command)
    assert (refused.exit_code, copy.read_bytes()) == (1, b"my own")
    assert "--overwrite" in refused.stderr
    assert run(app, [*command, "--overwrite"]).exit_code == 0
    first = copy.read_bytes()
    assert run(app, [*command[:-1], "possibly"]).exit_code == 0, "its own copy, with another label"
    assert copy.read_bytes() != first


def test_heatmaps_are_no_pictures_of_a_scan_and_replace_nothing(night: Path) -> None:
    heatmap = ["inspect", "pictures/0.jpg", "--heatmap", "pictures/heat.png"]
    for _ in range(2):
        assert run(app, heatmap).exit_code == 0
    names, skipped = scanned("pictures")
    assert names == ["0.jpg", "1.jpg"]
    assert skipped == {"heat.png": "own_output: heatmap that zhentu wrote"}
    Path("pictures/heat.png").write_bytes(b"my own")
    assert isinstance(run(app, heatmap).exception, UsageError)
    itself = run(app, ["inspect", "pictures/0.jpg", "--heatmap", "pictures/0.jpg"])
    assert "is the source" in str(itself.exception)


@pytest.mark.parametrize(
    "command",
    [
        ["scan", "pictures", "-o", "FILE.csv"],
        ["scan", "pictures", "-o", "FILE.jsonl"],
        ["scan", "pictures", "-o", "FILE.parquet"],
        ["scan", "pictures", "--report", "FILE.html"],
        ["audit", "export", "--output", "FILE.jsonl"],
        ["compare", "pictures/0.jpg", "-r", "pictures/1.jpg", "--heatmap", "FILE.png"],
        ["bank", "export", "bad", "--output", "FILE.csv"],
        ["review", "export", "FILE"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_no_command_replaces_a_file_of_somebody_else(command: list[str], night: Path) -> None:
    run(app, ["bank", "create", "bad", "--kind", "known_bad"])
    (name,) = [each for each in command if each.startswith("FILE")]
    theirs = Path(name) / "manifest.csv" if name == "FILE" else Path(name)
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_bytes(b"my own\n")
    done = run(app, command)
    assert "--overwrite" in str(done.exception), done.output
    assert theirs.read_bytes() == b"my own\n"


def test_a_scan_replaces_its_own_rows_and_clears_no_folder_of_others(night: Path) -> None:
    for _ in range(2):
        assert run(app, ["scan", "pictures", "-o", "out", "--report", "r.html"]).exit_code == 0
    spark = Path("lake/parts/part-00000-c000.snappy.parquet")
    spark.parent.mkdir(parents=True)
    spark.write_bytes(b"PAR1 of somebody else")
    refused = run(app, ["scan", "pictures", "-o", "lake"])
    assert "is no output of a scan" in str(refused.exception)
    assert run(app, ["scan", "pictures", "-o", "lake", "--overwrite"]).exit_code == 0
    assert spark.exists(), "not even then"


def test_a_note_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    written = WrittenFiles(tmp_path / "file")
    written.keep(tmp_path / "a", b"1", Written.EXPORT)
    assert (written.what(tmp_path / "a"), (tmp_path / "a").read_bytes()) == ("", b"1")
