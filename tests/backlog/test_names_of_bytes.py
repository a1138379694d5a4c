"""A name is bytes and need not be UTF-8: such a picture has its row, and every output leads back to its file."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import bright, encoded, photo
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from zhentu.cli.app import app
from zhentu.filenames import name_to_text, text_to_name

run = CliRunner().invoke
NAMES = [b"caf\xe9.jpg", b"lit\\udce9.jpg", b"lit\\udc5c.jpg", "\u676f.jpg".encode(), b"\xc4\xa7\xff.jpg"]
BROKEN = b"bad\xe9.jpg"


@pytest.fixture
def folder(where_bright_is_labelled: None) -> Path:
    """Pictures of odd names in a folder of an odd name, seen from the folder above it."""
    folder = Path(os.fsdecode(b"d\xe9p"))
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_bytes(encoded(bright(photo((300, 200), seed)), "JPEG"))
    (folder / os.fsdecode(BROKEN)).write_bytes(b"\xff\xd8\xff")
    (folder / os.fsdecode(b"note\xe9")).write_bytes(b"no picture")
    return folder


@given(st.binary(min_size=1, max_size=12).map(os.fsdecode) | st.text("\\udc5e9\udce9", max_size=12))
def test_every_name_comes_back(name: str) -> None:
    text = name_to_text(name)
    text.encode()
    assert text_to_name(text) == name


def rows_of(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


@pytest.mark.parametrize("output", ["rows.csv", "rows.jsonl", "rows.parquet", "out"])
def test_rows_lead_back_to_the_files(output: str, folder: Path) -> None:
    done = run(app, ["scan", str(folder), "-o", output, "--report", "report.html"])
    assert done.exit_code == 0, done.output
    for path in [Path("out/rows.csv"), Path("out/rows.jsonl")] if output == "out" else [Path(output)]:
        named = {text_to_name(str(row["path"])) for row in rows_of(path)}
        assert {os.fsencode(Path(each).name) for each in named} == {*NAMES, BROKEN}
        assert all(Path(each).is_file() for each in named)
    skipped = rows_of(Path("out/skipped.csv" if output == "out" else "rows.skipped.csv"))
    assert [Path(text_to_name(str(each["path"]))).is_file() for each in skipped] == [True]
    page = Path("report.html").read_text(encoding="utf-8")
    assert "caf\\udce9.jpg" in page
    assert page.count("data:image/jpeg") >= len(NAMES), "pictures are shown, so they were found again"


def test_a_scan_of_the_rows_reads_the_same_files(folder: Path) -> None:
    run(app, ["scan", str(folder), "-o", "rows.csv"])
    assert run(app, ["scan", "rows.csv", "-o", "again.csv"]).exit_code == 0
    first, second = rows_of(Path("rows.csv")), rows_of(Path("again.csv"))
    assert [(row["path"], row["sha256"], row["error"]) for row in first] == [
        (row["path"], row["sha256"], row["error"]) for row in second
    ]


def test_labels_reach_the_files_of_rows_and_jobs(folder: Path) -> None:
    run(app, ["scan", str(folder), "-o", "rows.csv"])
    owed = [row for row in rows_of(Path("rows.csv")) if row["action"] == "label"]
    assert len(owed) == len(NAMES)
    done = run(app, ["mark", "rows.csv", "--rows", "-o", "marked"])
    assert done.exit_code == 0, done.output
    assert {os.fsencode(each.name) for each in Path("marked").rglob("*.jpg")} == set(NAMES)
    (job,) = map(json.loads, run(app, ["jobs", "--json"]).stdout.splitlines())
    assert run(app, ["apply", job["job_id"]]).exit_code == 0
    applied = run(app, ["apply", job["job_id"], "--enforce"])
    assert applied.exit_code == 0, applied.output
    copies = {os.fsencode(each.name) for each in folder.glob("*.labelled.jpg")}
    assert copies == {name.replace(b".jpg", b".labelled.jpg") for name in NAMES}
    assert run(app, ["apply", job["job_id"], "--undo"]).exit_code == 0
    assert list(folder.glob("*.labelled.jpg")) == []


def test_one_such_picture_is_explained(folder: Path) -> None:
    path = str(folder / os.fsdecode(NAMES[0]))
    said = run(app, ["inspect", path, "--json"])
    assert said.exit_code == 0, said.output
    assert text_to_name(json.loads(said.stdout)["path"]) == path
    marked = run(app, ["mark", path, "--json"])
    assert marked.exit_code == 0, marked.output
