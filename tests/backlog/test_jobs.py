from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import encoded, photo
from typer.testing import CliRunner

from zhentu.backlog.estimate import estimate
from zhentu.backlog.metrics import ScanMetrics
from zhentu.backlog.scan import _calm as calm
from zhentu.backlog.scan import resume_scan, run_scan
from zhentu.backlog.scan_job import JobLock, JobPlace, ScanJob
from zhentu.cli.app import app
from zhentu.cli.progress import Rate, duration
from zhentu.errors import UsageError
from zhentu.settings import Settings

run = CliRunner().invoke


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Path:
    """Nine pictures and a broken one; the command line uses the same model and store."""
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(settings.models.dir))
    monkeypatch.setenv("ZHENTU_STORE_URL", settings.store_url)
    monkeypatch.setenv("ZHENTU_WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(9):
        (folder / f"{seed}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG"))
    (folder / "broken.jpg").write_bytes(b"nothing")
    return folder


def stopped_job(pictures: Path, settings: Settings, output: Path) -> JobPlace:
    def stop(progress: Any) -> None:
        if progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scan(ScanJob((str(pictures),), output), settings, stop)
    (place,) = settings.jobs_folder.glob("*/job.json")
    return JobPlace.load(place.parent)


def test_a_stopped_job_is_listed_finished_by_its_name_and_forgotten(
    pictures: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stopped_job(pictures, settings, tmp_path / "out")
    (pictures / "later.jpg").write_bytes(encoded(photo(seed=50), "JPEG"))
    (listed,) = [json.loads(line) for line in run(app, ["jobs", "--json"]).output.splitlines()]
    assert (listed["job_id"], listed["state"], listed["done"]) == (place.job_id, "stopped", 4)
    done = run(app, ["scan", "--resume", place.job_id[:12]])
    assert done.exit_code == 0, done.output
    assert "10 pictures, 4 taken over" in done.output  # as it was listed: what came later is another job's
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("parts", "quarantine.csv", "rows.csv", "rows.jsonl", "skipped.csv")
    ]
    monkeypatch.setenv("COLUMNS", "80")
    assert place.job_id in run(app, ["jobs"]).output, "in one piece, to be copied"
    shown = run(app, ["jobs", place.job_id])
    assert "10/10" in shown.output
    assert "9 allow" in shown.output
    assert "1 error" in shown.output
    assert "unsupported_format" in shown.output
    assert run(app, ["jobs", place.job_id, "--remove"]).exit_code == 0
    assert not place.folder.exists()
    assert "no jobs yet" in run(app, ["jobs"]).output


def test_a_job_is_not_worked_on_twice_nor_with_another_model(
    pictures: Path, settings: Settings, tmp_path: Path
) -> None:
    place = stopped_job(pictures, settings, tmp_path / "rows.csv")
    with closing(JobLock(place)), pytest.raises(UsageError, match="another process"):
        resume_scan(place, place.job, settings)
    with pytest.raises(UsageError, match="another model, comparison, policy"):
        resume_scan(place, place.job, settings.changed({"decode.max_side": 5000}))


def test_relative_paths_of_a_job_mean_the_same_pictures_or_nothing(
    pictures: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stopped_job(Path("pictures"), settings, tmp_path / "rows.csv")
    monkeypatch.chdir("/")
    with pytest.raises(UsageError, match="relative to"):
        resume_scan(place, place.job, settings)


def test_a_database_password_is_not_written_down(pictures: Path, settings: Settings, tmp_path: Path) -> None:
    secret = f"sqlite:///{tmp_path}/shop.db?password=hunter2"
    job = ScanJob((str(pictures),), tmp_path / "rows.csv", database=secret)
    summary = run_scan(job, settings)
    described = (settings.jobs_folder / summary.job_id / "job.json").read_text()
    assert "hunter2" not in described


def test_a_dry_run_estimates_and_keeps_nothing(pictures: Path, settings: Settings) -> None:
    found = estimate(ScanJob((str(pictures),), workers=4), settings, sample=5)
    assert (found.pictures, found.sampled, found.requests) == (10, 5, 10)
    assert found.seconds == pytest.approx(found.core_hours * 3600 / 4)
    assert found.cost(2.0, 1.0) == pytest.approx(found.core_hours * 2 + 0.01)
    shown = run(app, ["scan", str(pictures), "--dry-run"])
    assert "core hours" in shown.output
    assert run(app, ["jobs"]).output.startswith("no jobs yet")


def test_metrics_count_what_was_finished_in_this_run(pictures: Path, settings: Settings) -> None:
    metrics = ScanMetrics()
    run_scan(ScanJob((str(pictures),), store=False), settings, metrics)
    sample = metrics.registry.get_sample_value
    assert sample("zhentu_scan_pictures_total", {"action": "error"}) == 1
    assert (sample("zhentu_scan_total"), sample("zhentu_scan_left")) == (10, 0)


def test_a_busy_machine_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, clock = [9.0, 9.0, 1.0], [100.0]
    monkeypatch.setattr("os.getloadavg", lambda: (loads.pop(0), 0, 0))
    monkeypatch.setattr("time.sleep", lambda seconds: clock.append(clock[-1] + seconds))
    monkeypatch.setattr("time.monotonic", lambda: clock[-1])
    assert list(calm(iter(["item"]), max_load=2.0)) == ["item"]
    assert len(clock) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shard", "0/3"], "i/n"),
        (["--resume", "some"], "takes neither"),
        (["--engine", "local", "--rescan-below", "new"], "--rescan-below"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], words: str, pictures: Path) -> None:
    refused = run(app, ["scan", str(pictures), *arguments])
    assert isinstance(refused.exception, UsageError)
    assert words in str(refused.exception)


def test_the_rate_is_that_of_late_and_lengths_are_words() -> None:
    moments = iter([0.0, *[float(second) for second in range(1, 200)]])
    rate = Rate(lambda: next(moments))
    for _ in range(100):
        rate.count()
    assert rate.per_second == pytest.approx(1.0, abs=0.1)
    assert [duration(each) for each in (5, 65, 3700, 90_000)] == ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
