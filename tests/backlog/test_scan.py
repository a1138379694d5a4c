from __future__ import annotations

import csv
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from conftest import encoded, photo
from hostile import write_hostile

from zhentu.backlog.rows import COLUMNS, ScanRow
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.bootstrap.stores import build_store
from zhentu.decide.policy_file import default_policy_path
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import UsageError
from zhentu.settings import Settings

CONTRACT = [
    *("path", "sha256", "width", "height", "action"),
    *("material_mismatch", "exaggerated_effect", "scene_distortion", "cutout_artifact", "ai_generated", "forged"),
    *("error", "model", "latency_ms"),
]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(12):
        (folder / f"{seed:02d}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG"))
    (folder / "broken.jpg").write_bytes(b"nothing")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_columns_begin_with_the_contract() -> None:
    assert list(COLUMNS[: len(CONTRACT)]) == CONTRACT


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_picture_has_one_row_in_every_format(
    suffix: str, pictures: Path, settings: Settings, tmp_path: Path
) -> None:
    output = tmp_path / f"rows{suffix}"
    summary = run_scan(ScanJob((str(pictures),), output), settings)
    if suffix == ".csv":
        paths = [row["path"] for row in rows_of(output)]
    elif suffix == ".jsonl":
        paths = [ScanRow.from_json(line).path for line in output.read_text().splitlines()]
    else:
        paths = pq.read_table(output).column("path").to_pylist()
    assert paths == sorted(str(path) for path in pictures.iterdir())
    assert summary.pictures == 13


def test_an_unreadable_picture_keeps_its_row_with_empty_scores(
    pictures: Path, settings: Settings, tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"
    run_scan(ScanJob((str(pictures),), output), settings)
    broken = next(row for row in rows_of(output) if row["path"].endswith("broken.jpg"))
    assert broken["error"] == "unsupported_format"
    assert broken["forged"] == broken["action"] == ""


def test_scores_are_probabilities_and_records_are_kept(pictures: Path, settings: Settings, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    run_scan(ScanJob((str(pictures),), output), settings)
    good = [row for row in rows_of(output) if not row["error"]]
    assert all(0 <= float(row["forged"]) <= 1 for row in good)
    store = build_store(settings)
    assert all(store.get(row["record_id"]).picture_sha256 == row["sha256"] for row in good)
    store.close()


def test_an_interrupted_scan_goes_on_and_each_picture_is_there_once(
    pictures: Path, settings: Settings, tmp_path: Path
) -> None:
    output, seen = tmp_path / "rows.csv", 0

    def stop_at_five(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scan(ScanJob((str(pictures),), output), settings, stop_at_five)
    assert not output.exists()
    summary = run_scan(ScanJob((str(pictures),), output), settings)
    assert summary.resumed == 5
    assert [row["path"] for row in rows_of(output)] == sorted(str(path) for path in pictures.iterdir())


def test_a_job_begun_with_another_policy_is_not_continued(pictures: Path, settings: Settings, tmp_path: Path) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scan(ScanJob((str(pictures),), tmp_path / "rows.csv"), settings, stop)
    other = tmp_path / "policy.yaml"
    other.write_text(default_policy_path().read_text(encoding="utf-8") + "\n# another\n", encoding="utf-8")
    summary = run_scan(ScanJob((str(pictures),), tmp_path / "rows.csv"), settings.changed({"policy_path": other}))
    assert summary.resumed == 0
    assert summary.pictures == 13


def test_a_source_without_pictures_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures found"):
        run_scan(ScanJob((str(tmp_path / "*.jpg"),)), settings)


def test_an_unknown_suffix_is_refused_before_any_work(pictures: Path, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.jsonl, \.parquet"):
        run_scan(ScanJob((str(pictures),), tmp_path / "rows.xlsx"), settings)


def test_globs_and_files_are_taken_once(pictures: Path, settings: Settings) -> None:
    job = ScanJob((str(pictures / "0*.jpg"), str(pictures / "00.jpg")), store=False)
    assert run_scan(job, settings).pictures == 10


def test_hostile_files_each_have_a_row_and_memory_stays_small(tmp_path: Path) -> None:
    folder, output = tmp_path / "hostile", tmp_path / "rows.csv"
    folder.mkdir()
    files = write_hostile(folder)
    options = ["--output", str(output), "--no-store", "--workers", "2"]
    command = [sys.executable, "-m", "zhentu", "scan", str(folder), *options]  # with the model that is shipped
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as scan:
        peak = peak_memory(psutil.Process(scan.pid))
    assert scan.returncode == 0
    rows = {row["path"]: row["error"] for row in rows_of(output)}
    assert len(rows) == len(files) >= 25
    wrong = {file.path.name: rows[str(file.path)] for file in files if rows[str(file.path)] not in file.codes}
    assert wrong == {}
    # Where the processor has no 8-bit products the floating-point model serves, which is 200 MB larger a process.
    assert peak < (2**30 if has_8bit_products() else 1.5 * 2**30)


def peak_memory(process: psutil.Process) -> int:
    """Bytes of a process and its children together, at their most, until it ends; shared pages count once (PSS)."""
    peak = 0
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        total = 0
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_full_info().pss
        peak = max(peak, total)
        time.sleep(0.02)
    return peak
