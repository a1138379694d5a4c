"""Rows and skipped together are everything that is there, whatever it is called."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward
import pytest
from conftest import encoded, photo
from servers import object_store

from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanJob, ScanSummary, run_scan
from zhentu.backlog.sources import Finding, Found, find_items
from zhentu.intake.find import Taking
from zhentu.intake.skipped import Skipped
from zhentu.settings import Settings


def scanned(job: ScanJob, settings: Settings) -> tuple[ScanSummary, list[ScanRow], dict[str, str]]:
    """The summary, the rows, and what skipped.csv says of each path."""
    rows: list[ScanRow] = []
    summary = run_scan(job, settings, lambda progress: rows.append(progress.row))
    assert job.output is not None
    with (job.output / "skipped.csv").open(encoding="utf-8-sig", newline="") as stream:
        skipped = {row["path"]: row["reason"] for row in csv.DictReader(stream)}
    return summary, rows, skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in awkward.files().items():
        path = tmp_path / "shop" / name
        if name == "a.jpg/inside.jpg":
            path.parent.mkdir(parents=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "shop"


def test_a_folder_has_a_row_or_a_reason_for_all_that_find_sees(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    (folder / "loop").symlink_to("..")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "dir.jpg").mkdir()
    (folder / "dir.jpg" / "nosuffix").write_bytes(awkward.PICTURE)
    (folder / "gone.jpg").symlink_to("nowhere")
    summary, rows, skipped = scanned(ScanJob((str(folder),), tmp_path / "out", store=False), settings)
    found = subprocess.run(["find", folder, "!", "-type", "d", "-print0"], capture_output=True, check=True).stdout
    everything = sorted(os.fsdecode(path) for path in found.split(b"\0") if path)
    assert sorted([*(row.path for row in rows), *skipped]) == everything
    assert len(rows) + sum(summary.skipped.values()) == len(everything) >= 60
    by_name = {os.path.relpath(path, folder): reason for path, reason in skipped.items()}
    assert by_name == awkward.PASSED | {"loop": "symlink_loop", "pipe.jpg": "special_file"}
    assert [Path(row.path).name for row in rows if row.error] == ["gone.jpg"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'zhentu[s3]'")
    with (
        pytest.MonkeyPatch.context() as patched,
        object_store(patched, "shop", {f"cat/{key}": content for key, content in awkward.objects().items()}),
    ):
        yield "s3://shop/cat/"


def listed(source: str, **taking: bool) -> tuple[list[str], dict[str, str]]:
    """Paths taken, and reasons of those that are not."""
    found = list(find_items([source], Finding(taking=Taking(**taking))))
    reasons = {each.path: each.reason.value for each in found if isinstance(each, Skipped)}
    return sorted(each.item.path for each in found if isinstance(each, Found)), reasons


def test_a_bucket_has_a_row_or_a_reason_for_every_object(bucket: str, settings: Settings, tmp_path: Path) -> None:
    summary, rows, skipped = scanned(ScanJob((bucket,), tmp_path / "out", store=False), settings)
    keys = {f"{bucket}{key}" for key in awkward.objects()}
    assert {row.path for row in rows} | skipped.keys() == keys
    assert len(rows) + sum(summary.skipped.values()) == len(keys)
    assert {path.removeprefix(bucket): reason for path, reason in skipped.items()} == awkward.PASSED | awkward.MARKERS
    assert {row.path: row.error for row in rows if row.error} == {}


@pytest.mark.parametrize("source", ["s3://shop/cat", "s3://shop"])
def test_a_prefix_is_a_folder_with_or_without_its_slash(source: str, bucket: str) -> None:
    assert listed(source) == listed(bucket)


def test_nobody_looks_inside_where_that_is_not_wanted(bucket: str) -> None:
    paths, reasons = listed(bucket, look_inside=False)
    assert len(paths) + len(reasons) == len(awkward.objects())
    assert reasons[f"{bucket}nosuffix"] == reasons[f"{bucket}notes.txt"] == "unknown_suffix"


@pytest.mark.parametrize("key", ["[1].jpg", "nosuffix", "double//slash.jpg", "q?x=1.jpg", "star*.jpg", "gone.jpg"])
def test_a_key_named_outright_is_always_tried(key: str, bucket: str) -> None:
    assert listed(f"{bucket}{key}") == ([f"{bucket}{key}"], {})


def test_a_glob_over_a_bucket_takes_keys_as_they_are(bucket: str) -> None:
    paths, _ = listed(f"{bucket}cdn.*")
    assert paths == sorted(f"{bucket}{key}" for key in awkward.KEPT if key.startswith("cdn."))


@pytest.mark.cluster
def test_a_cluster_gives_the_same_rows(bucket: str, settings: Settings, tmp_path: Path) -> None:
    ray: Any = pytest.importorskip("ray", reason="Ray is not installed: pip install 'zhentu[cluster]'")
    job = ScanJob((bucket,), tmp_path / "local", store=False)
    _, local, local_skipped = scanned(job, settings)
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=90 * 2**20, log_to_driver=False)
    try:
        _, spread, spread_skipped = scanned(replace(job, output=tmp_path / "ray", engine="ray"), settings)
    finally:
        ray.shutdown()
    assert sorted((row.path, row.sha256, row.error) for row in local) == sorted(
        (row.path, row.sha256, row.error) for row in spread
    )
    assert local_skipped == spread_skipped


def test_rows_come_back_as_they_were_named(folder: Path, settings: Settings, tmp_path: Path) -> None:
    _, rows, _ = scanned(ScanJob((str(folder),), tmp_path / "out", store=False), settings)
    (folder / "more.jpg").write_bytes(encoded(photo(seed=3), "JPEG"))
    again = ScanJob((str(tmp_path / "out" / "rows.csv"),), tmp_path / "again", store=False)
    _, back, skipped = scanned(again, settings)
    assert [row.path for row in back] == [row.path for row in rows]
    assert skipped == {}


def test_a_sheets_lone_surrogates_are_bad_rows_and_bytes_of_names_are_not(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    lines = [
        '{"path": "a.jpg", "title": "\\ud800"}',
        '{"path": "a\\ud800.jpg"}',
        '{"path": "a.jpg", "declared_attributes": {"material": "\\ud800"}}',
        '{"path": "a.jpg", "declared_attributes": {"\\ud800": "silk"}}',
        '{"path": "a.jpg", "references": ["b\\ud800.jpg"]}',
        '{"path": "a.jpg", "references": ["caf\\udce9.jpg"]}',  # a name in Latin-1, as PEP 383 has it
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = list(find_items((str(tmp_path / "m.jsonl"),), Finding()))
    skipped = [each for each in found if isinstance(each, Skipped)]
    assert [each.line for each in skipped] == [1, 2, 3, 4, 5]
    assert all(word in each.detail for each, word in zip(skipped, ("title", "path"), strict=False))
    summary = run_scan(ScanJob((str(tmp_path / "m.jsonl"),), tmp_path / "out", store=False), settings)
    assert (summary.pictures, summary.skipped[skipped[0].reason]) == (1, 5)
