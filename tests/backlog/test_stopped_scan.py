"""A scan in a process of its own, stopped in every way, and gone on with."""

from __future__ import annotations

import csv
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import encoded, photo
from served import until

from zhentu.bootstrap.stores import build_store
from zhentu.record.scan_jobs import JobState, JobTable
from zhentu.settings import Settings

PICTURES = 400
SLOWLY = ("--source-rate", "10")  # forty seconds at least: it is stopped before it ends, however late we are


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Many names of one picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "0000.jpg").write_bytes(encoded(photo((640, 480)), "JPEG"))
    for number in range(1, PICTURES):
        (folder / f"{number:04d}.jpg").hardlink_to(folder / "0000.jpg")
    return folder


def start(folder: Path, settings: Settings, *options: str) -> subprocess.Popen[str]:
    environment = os.environ | {"ZHENTU_MODELS_DIR": str(settings.models.dir), "ZHENTU_STORE_URL": settings.store_url}
    # A shell that runs tests in the background lets its children ignore SIGINT; a user's scan does not.
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [
        sys.executable,
        "-c",
        f"{begin}; from zhentu.cli import main; main()",
        "scan",
        str(folder),
        "--format",
        "csv",
    ]
    return subprocess.Popen(
        [*command, "--output", str(folder.parent / "rows.csv"), "--workers", "2", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows_done(folder: Path, settings: Settings) -> int:
    for path in settings.jobs_folder.glob("*/ledger.db"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as ledger:
            return int(ledger.execute("SELECT count(*) FROM items WHERE done = 1").fetchone()[0])
    return 0


def wait_for_rows(folder: Path, process: subprocess.Popen[str], settings: Settings) -> None:
    until(lambda: process.poll() is not None or rows_done(folder, settings) > 0)


def group_is_gone(process: subprocess.Popen[str]) -> bool:
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def job_state(settings: Settings) -> JobState:
    with closing(build_store(settings)) as store:
        return JobTable(store.database).newest(1)[0].state


def test_every_command_ends_when_it_is_told_to(folder: Path, settings: Settings, tmp_path: Path) -> None:
    """SIGTERM, to the whole group as service managers send it, in the middle of the work."""
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", "mark", str(folder), "--state", "is"]
    process = subprocess.Popen(
        [*command, "--propagator", "P"],
        env=os.environ | {"ZHENTU_MODELS_DIR": str(settings.models.dir)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or any((tmp_path / "labelled").glob("*.jpg")))
    os.killpg(process.pid, signal.SIGTERM)
    _, told = process.communicate(timeout=240)
    assert (process.returncode, told.strip()) == (143, "zhentu: terminated")


def check_complete(folder: Path, settings: Settings) -> None:
    with (folder.parent / "rows.csv").open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == sorted(str(path) for path in folder.iterdir())
    store = build_store(settings)
    assert all(store.get(row["record_id"]).path == row["path"] for row in rows)
    store.close()


def said_nothing_of_python(words: str) -> bool:
    return not any(each in words for each in ("resource_tracker", "leaked", "Traceback", "Warning"))


ENDS = [
    (signal.SIGINT, 130, "interrupted; run the same command again"),
    (signal.SIGTERM, 143, "terminated; run the same command again"),
    (signal.SIGHUP, 129, "hung up; run the same command again"),
    (signal.SIGKILL, -9, ""),
]


@pytest.mark.parametrize(("sent", "status", "words"), ENDS, ids=[each[0].name for each in ENDS])
def test_a_stopped_scan_goes_on_with_every_picture_once(
    sent: signal.Signals, status: int, words: str, folder: Path, settings: Settings
) -> None:
    stopped = start(folder, settings, *SLOWLY)
    wait_for_rows(folder, stopped, settings)
    stopped.send_signal(sent)
    _, told = stopped.communicate(timeout=240)
    assert stopped.returncode == status
    assert words in told
    if sent is not signal.SIGKILL:  # of a killed scan Python's tracker, which nobody can tell of it, cleans up aloud
        assert said_nothing_of_python(told)
        assert job_state(settings) is JobState.STOPPED
    until(lambda: group_is_gone(stopped))
    assert not (folder.parent / "rows.csv").exists()
    second = start(folder, settings)
    _, said = second.communicate(timeout=240)
    assert second.returncode == 0
    assert "taken over from before" in said
    check_complete(folder, settings)
