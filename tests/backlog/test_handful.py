"""A handful of pictures that are known already costs no workers, no model and no library for what it does not write."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import encoded, photo

from zhentu.backlog import scan
from zhentu.backlog.handful import FEW, is_handful
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(encoded(photo((300, 200), seed), "JPEG"))
    return folder


def rows(path: Path) -> list[tuple[str, str, str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [(row["path"], row["action"], row["error"], row["known"]) for row in csv.DictReader(stream)]


def test_only_what_is_new_is_given_to_workers(
    folder: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ScanJob((str(folder),), tmp_path / "rows.csv")
    given: list[str] = []
    chunks = scan._chunks

    def watched(items, size):  # type: ignore[no-untyped-def]
        for chunk in chunks(items, size):
            given.extend(Path(each.item.path).name for each in chunk)
            yield chunk

    monkeypatch.setattr(scan, "_chunks", watched)
    run_scan(job, settings)
    assert given == ["0.jpg", "1.jpg", "2.jpg"]
    first = rows(tmp_path / "rows.csv")
    given.clear()
    run_scan(job, settings)
    again = rows(tmp_path / "rows.csv")
    assert given == []
    assert [row[:3] for row in again] == [row[:3] for row in first]
    assert {row[3] for row in again} == {"True"}
    (folder / "new.jpg").write_bytes(encoded(photo((300, 200), 9), "JPEG"))
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    summary = run_scan(job, settings)
    assert given == ["new.jpg"], "what cannot be read needs no worker either"
    assert (summary.pictures, summary.known, dict(summary.by_error)) == (5, 3, {"picture_not_found": 1})


def test_a_known_picture_starts_no_process_and_imports_nothing_it_does_not_need(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    run_scan(ScanJob((str(folder),), tmp_path / "rows.csv"), settings)
    seen = """
import subprocess, sys
from multiprocessing import forkserver
from zhentu.cli.app import app
app(sys.argv[1:], standalone_mode=False)
started = forkserver._forkserver._forkserver_pid
heavy = [name for name in ("pandas", "pyarrow", "fsspec", "scipy") if name in sys.modules]
print("started", started, "imported", heavy, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", seen, "scan", str(folder), "--output", str(tmp_path / "rows.csv")],
        env=os.environ | {"ZHENTU_MODELS_DIR": str(settings.models.dir), "ZHENTU_STORE_URL": settings.store_url},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "3 known already" in done.stderr
    assert "started None imported []" in done.stderr


def test_a_handful_is_told_by_counting_no_further_than_it_takes(tmp_path: Path) -> None:
    for number in range(FEW):
        (tmp_path / f"{number}.jpg").touch()
    assert is_handful([str(tmp_path)])
    assert not is_handful([str(tmp_path), str(tmp_path / "0.jpg")])
    (tmp_path / "deep").mkdir()
    assert not is_handful([str(tmp_path)])
    assert is_handful([str(tmp_path / "deep"), str(tmp_path / "0.jpg")])
    assert not any(is_handful([source]) for source in ("s3://shop/", f"{tmp_path}/*.jpg", "sql:SELECT path FROM p"))
