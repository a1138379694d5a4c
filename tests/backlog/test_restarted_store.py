"""A PostgreSQL that is restarted in the middle of a scan: the scan waits, loses nothing and keeps nothing twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import encoded, photo
from postgres import Postgres, binaries
from sqlalchemy import func, select

from zhentu.backlog.outputs import read_columns
from zhentu.backlog.scan import ScanJob, ScanProgress, run_scan
from zhentu.bootstrap.stores import build_store
from zhentu.errors import StoreError
from zhentu.record.database import Database
from zhentu.record.known import known_decisions, known_verdicts
from zhentu.record.scan_jobs import JobState, JobTable
from zhentu.record.schema import records
from zhentu.settings import Settings

PICTURES = 160
AT = 70  # rows counted when the server goes: more than a batch, most is to come


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of this test's own, so that others do not see it go."""
    if binaries() is None:
        pytest.skip("PostgreSQL 15+ is not installed")
    server = Postgres(durable=True)
    yield server
    server.close()


@pytest.fixture
def stored(server: Postgres, settings: Settings) -> Settings:
    """A migrated store on it."""
    return settings.changed({"store.url": server.new_database(), "store.auto_migrate": True})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of which each tenth repeats another's bytes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    payload = encoded(photo((96, 64)), "JPEG")
    for number in range(PICTURES):
        (folder / f"{number:04d}.jpg").write_bytes(payload + b"%d" % (number if number % 10 else 0))
    return folder


def check_complete(folder: Path, output: Path, settings: Settings) -> None:
    """Every picture has one row, every row its one record, all bytes were scored once."""
    rows = read_columns(output, ("path", "sha256", "record_id", "error"))
    assert [row["path"] for row in rows] == sorted(map(str, folder.iterdir()))
    assert Counter(row["error"] for row in rows) == {"": PICTURES}
    with closing(build_store(settings)) as store, store.database.begin() as connection:
        kept = {row.record_id: row.path for row in connection.execute(select(records.c.record_id, records.c.path))}
        verdicts = connection.execute(select(func.count()).select_from(known_verdicts)).scalar_one()
        decisions = connection.execute(select(func.count()).select_from(known_decisions)).scalar_one()
        (job,) = JobTable(store.database).newest()
    assert kept == {row["record_id"]: row["path"] for row in rows}
    assert verdicts == len({row["sha256"] for row in rows})
    assert decisions == PICTURES
    assert (job.state, job.done) == (JobState.DONE, PICTURES)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_scan_rides_out_a_restart(
    mode: str, server: Postgres, stored: Settings, folder: Path, tmp_path: Path
) -> None:
    def restart() -> None:
        server.stop(mode)
        time.sleep(1.5)
        server.start()

    restarting = threading.Thread(target=restart)

    def on_row(progress: ScanProgress) -> None:
        if progress.done == AT:
            restarting.start()
            while not server.is_down():
                time.sleep(0.02)

    run_scan(ScanJob((str(folder),), tmp_path / "rows.csv"), stored, on_row)
    restarting.join()
    check_complete(folder, tmp_path / "rows.csv", stored)


def test_a_server_that_stays_away_stops_the_scan_and_the_next_one_finishes(
    server: Postgres, stored: Settings, folder: Path, tmp_path: Path
) -> None:
    job = ScanJob((str(folder),), tmp_path / "rows.csv")
    began = time.monotonic()

    def on_row(progress: ScanProgress) -> None:
        if progress.done == AT:
            server.stop()

    with pytest.raises(StoreError, match="failed"):
        run_scan(job, stored.changed({"store.patience_s": 1.0}), on_row)
    assert time.monotonic() - began < 60
    server.start()
    resumed = run_scan(job, stored).resumed
    assert resumed > AT - 64, "at most a batch is repeated"
    check_complete(folder, tmp_path / "rows.csv", stored)


def test_only_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    calls: list[bool] = []

    def fails(passing: bool) -> None:
        calls.append(passing)
        raise StoreError("gone", passing)

    patient = Database(f"sqlite:///{tmp_path}/a.db", patience_s=0.5)
    for passing in (False, True):
        with pytest.raises(StoreError):
            patient.patiently(lambda passing=passing: fails(passing))
    assert calls.count(False) == 1
    assert calls.count(True) > 1
    with pytest.raises(StoreError) as refused:
        Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert refused.value.passing
