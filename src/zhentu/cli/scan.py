"""`zhentu scan` and `zhentu demo`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from zhentu.errors import UsageError
from zhentu.settings import Settings, load_settings
from zhentu.types import Action

if TYPE_CHECKING:
    from zhentu.backlog.rows import ScanRow
    from zhentu.backlog.scan import ScanJob, ScanProgress, ScanSummary, Shard
    from zhentu.backlog.scan_job import JobPlace

_TABLE_ROWS = 200  # a terminal table beyond that helps nobody; the output file has all


class Format(StrEnum):
    """What goes to standard output."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


class FailOn(StrEnum):
    """What makes the exit code 1."""

    BLOCK = "block"
    REVIEW = "review"
    ERROR = "error"


class Engine(StrEnum):
    """Where pictures are screened."""

    LOCAL = "local"
    RAY = "ray"


def scan(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders (searched recursively), globs, manifests (.csv, .jsonl, .parquet), "
            "fsspec URLs (s3://, https://, ...), or 'sql:SELECT path, listing_id FROM ...'."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="One row a picture: .csv, .jsonl or .parquet; or a folder for all."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report, and its tables.")] = None,
    form: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TABLE,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 = one per core.")] = 0,
    goods: Annotated[str, typer.Option(help="Goods category where the source gives none, e.g. apparel.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Scan so many pictures at most.")] = None,
    shard: Annotated[str, typer.Option(help="Only part i of n of the source, e.g. 3/8; for several machines.")] = "1/1",
    resume: Annotated[str, typer.Option(help="Finish this job (see `zhentu jobs`); takes no sources.")] = "",
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Begin afresh, whatever was begun before.")] = False,
    store: Annotated[bool, typer.Option(help="Keep a record of every decision, and score known bytes once.")] = True,
    fail_on: Annotated[list[FailOn] | None, typer.Option(help="Exit with 1 when this occurs; may be repeated.")] = None,
    engine: Annotated[Engine, typer.Option(help="This machine, or a Ray cluster.")] = Engine.LOCAL,
    ray_address: Annotated[str, typer.Option(help="The cluster: auto, host:port or ray://host:port.")] = "auto",
    database: Annotated[
        str, typer.Option(help="SQLAlchemy URL for 'sql:' sources.", envvar="ZHENTU_SCAN_DATABASE")
    ] = "",
    rescan_below: Annotated[
        str, typer.Option(metavar="VERSION", help="Keep known scores of this model from this version on.")
    ] = "",
    source_rate: Annotated[float, typer.Option(min=0, help="Reads from the source a second; 0 = no limit.")] = 0.0,
    attempts: Annotated[int, typer.Option(min=1, help="How often a shaky read is tried.")] = 5,
    max_load: Annotated[float, typer.Option(min=0, help="Pause while the load average is above; 0 = never.")] = 0.0,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Serve Prometheus metrics here.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate time and cost from a sample.")] = False,
    core_hour_price: Annotated[float, typer.Option(min=0, help="Price of a core hour, for --dry-run.")] = 0.04,
) -> None:
    """Scan pictures: one row each, whatever happens to it.

    Example: zhentu scan pictures/ --output rows.csv --report report.html
    """
    from zhentu.backlog.scan_job import ScanJob

    settings = load_settings()
    pace: dict[str, Any] = {
        "workers": workers,
        "engine": engine.value,
        "ray_address": ray_address,
        "reads_per_second": source_rate,
        "attempts": attempts,
        "max_load": max_load,
        "database": database,
    }
    place = None
    if resume:
        if sources or output:
            raise UsageError("--resume takes neither sources nor --output: the job knows its own")
        place = find_job(resume, settings)
        job = replace(place.job, **pace)
    elif sources:
        job = ScanJob(
            tuple(sources),
            output,
            resume=not no_resume,
            goods=goods,
            store=store,
            limit=limit,
            shard=_shard(shard),
            rescan_below=rescan_below,
            **pace,
        )
    else:
        raise UsageError("name what to scan, e.g. `zhentu scan pictures/`, or a job with --resume")
    if dry_run:
        from zhentu.backlog.estimate import estimate
        from zhentu.cli.show import print_estimate

        print_estimate(estimate(job, settings), core_hour_price, Console())
        return
    summary = _scan_and_show(job, form, report, settings, place, metrics_port)
    if _failed(summary, fail_on or []):
        raise typer.Exit(1)


def demo(
    folder: Annotated[Path, typer.Option(help="Where the rows and the report go.")] = Path("zhentu-demo"),
) -> None:
    """Scan the sample pictures shipped with zhentu and write a report.

    Example: zhentu demo
    """
    from zhentu.backlog.scan_job import ScanJob
    from zhentu.detect.models import samples_folder

    job = ScanJob((str(samples_folder()),), folder / "rows.csv", resume=False, store=False)
    report = folder / "report.html"
    _scan_and_show(job, Format.TABLE, report, load_settings())
    Console().print(f"\nOpen the report: [bold]{report.resolve()}[/bold]", soft_wrap=True)


def find_job(name: str, settings: Settings) -> JobPlace:
    """A job by its identifier, the beginning of it, or its folder. Raises UsageError, RecordNotFound."""
    from zhentu.backlog.scan_job import JobPlace

    if (Path(name) / "job.json").is_file():
        return JobPlace.load(Path(name))
    if (settings.jobs_folder / name / "job.json").is_file():
        return JobPlace.load(settings.jobs_folder / name)
    from zhentu.bootstrap.stores import build_store
    from zhentu.record.scan_jobs import JobTable

    with contextlib.closing(build_store(settings)) as store:
        return JobPlace.load(Path(JobTable(store.database).get(name).folder))


def _scan_and_show(
    job: ScanJob,
    form: Format,
    report: Path | None,
    settings: Settings,
    place: JobPlace | None = None,
    metrics_port: int = 0,
) -> ScanSummary:
    from zhentu.backlog.scan import resume_scan, run_scan
    from zhentu.cli.show import live_bar, print_table, print_totals

    errors = Console(stderr=True)
    shown: list[ScanRow] = []
    try:
        with live_bar(errors) as advance, _printer(form) as print_row, _metrics(metrics_port) as measure:

            def on_row(progress: ScanProgress) -> None:
                advance(progress)
                measure(progress)
                print_row(progress.row)
                if len(shown) < _TABLE_ROWS:
                    shown.append(progress.row)

            summary = resume_scan(place, job, settings, on_row) if place else run_scan(job, settings, on_row)
    except KeyboardInterrupt:
        kept = f"; run the same command again to go on ({job.output})" if job.output else ""
        errors.print(f"interrupted{kept}")
        raise typer.Exit(130) from None
    if form is Format.TABLE:
        print_table(shown, summary)
    if report is not None:
        from zhentu.backlog.reading import Reader
        from zhentu.bootstrap.screener import build_screener
        from zhentu.report.page import write_report

        screener = build_screener(settings)
        write_report(summary, screener, report, Reader(screener.limits, job.reads_per_second, job.attempts).read)
        errors.print(f"report: {report}", soft_wrap=True)
    print_totals(summary, errors)
    return summary


@contextlib.contextmanager
def _printer(form: Format) -> Iterator[Callable[[ScanRow], None]]:
    """Rows to standard output as they come; standard output carries nothing else in csv and jsonl."""
    if form is Format.TABLE:
        yield lambda row: None
        return
    from zhentu.backlog.outputs import RowWriter

    writer = RowWriter(sys.stdout, form.value)
    yield writer.write
    sys.stdout.flush()


@contextlib.contextmanager
def _metrics(port: int) -> Iterator[Callable[[ScanProgress], None]]:
    if not port:
        yield lambda progress: None
        return
    from zhentu.backlog.metrics import ScanMetrics

    metrics = ScanMetrics()
    metrics.serve(port)
    yield metrics


def _shard(text: str) -> Shard:
    from zhentu.backlog.ledger import Shard

    index, _, count = text.partition("/")
    if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Shard(int(index), int(count))
    raise UsageError(f"--shard {text}: write it as i/n with i from 1 to n, e.g. 3/8")


def _failed(summary: ScanSummary, fail_on: list[FailOn]) -> bool:
    blocked = summary.by_action[Action.BLOCK.value]
    reviewed = blocked + summary.by_action[Action.REVIEW.value]
    seen = {FailOn.BLOCK: blocked, FailOn.REVIEW: reviewed, FailOn.ERROR: sum(summary.by_error.values())}
    return any(seen[kind] for kind in fail_on)
