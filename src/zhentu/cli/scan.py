"""`zhentu scan`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhentu.backlog.handful import is_handful
from zhentu.cli.terminal import console
from zhentu.errors import UsageError
from zhentu.filenames import text_to_name
from zhentu.settings import Settings, load_settings
from zhentu.stopping import STOPS, status_of, words_of
from zhentu.types import Action

if TYPE_CHECKING:
    from zhentu.backlog.rows import ScanRow
    from zhentu.backlog.scan import ScanJob, ScanProgress, ScanSummary, Shard
    from zhentu.backlog.scan_job import JobPlace

_INCOMPLETE = 4  # exit code of a scan that could not list a part of its sources
_TABLE_ROWS = 200  # a longer table on a terminal helps nobody; the output file has all rows


_OF_THE_LISTING = (
    *("goods", "limit", "shard", "no_resume", "store", "rescan_below", "exclude", "look_inside", "encoding"),
    *("delimiter", "allow_scheme"),
)
"""Options of a job that stay as they were when it is resumed."""


class Format(StrEnum):
    """What is written to standard output."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


class FailOn(StrEnum):
    """What makes the exit code 1. `skipped`: anything skipped that may hide a picture."""

    BLOCK = "block"
    REVIEW = "review"
    ERROR = "error"
    SKIPPED = "skipped"


class Engine(StrEnum):
    """Where pictures are screened."""

    LOCAL = "local"
    RAY = "ray"


def scan(  # long: its options
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders (searched recursively), globs, manifests (.csv, .jsonl, .parquet), "
            "fsspec URLs (s3://, https://, ...), or 'sql:SELECT path, listing_id FROM ...'."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="One row per picture: .csv, .jsonl or .parquet; or a folder for all three."
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report, and its tables.")] = None,
    form: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TABLE,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 = one per core.")] = 0,
    goods: Annotated[str, typer.Option(help="Goods category if the source gives none, e.g. apparel.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Scan at most this many pictures.")] = None,
    shard: Annotated[str, typer.Option(help="Only part i of n of the source, e.g. 3/8; for several machines.")] = "1/1",
    resume: Annotated[str, typer.Option(help="Finish this job (see `zhentu jobs`); takes no sources.")] = "",
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Start afresh, ignoring an interrupted scan.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that no scan wrote.")] = False,
    store: Annotated[bool, typer.Option(help="Keep a record of every decision, and score known bytes once.")] = True,
    fail_on: Annotated[list[FailOn] | None, typer.Option(help="Exit with 1 if this occurs; may be repeated.")] = None,
    engine: Annotated[Engine, typer.Option(help="This machine, or a Ray cluster.")] = Engine.LOCAL,
    ray_address: Annotated[str, typer.Option(help="The cluster: auto, host:port or ray://host:port.")] = "auto",
    database: Annotated[
        str, typer.Option(help="SQLAlchemy URL for 'sql:' sources.", envvar="ZHENTU_SCAN_DATABASE")
    ] = "",
    rescan_below: Annotated[
        str, typer.Option(metavar="VERSION", help="Reuse scores of this model from this version on.")
    ] = "",
    source_rate: Annotated[float, typer.Option(min=0, help="Reads from the source a second; 0 = no limit.")] = 0.0,
    attempts: Annotated[int, typer.Option(min=1, help="How often a failing read is tried.")] = 5,
    max_load: Annotated[
        float, typer.Option(min=0, help="Pause while the load average is above this; 0 = never.")
    ] = 0.0,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Serve Prometheus metrics here.")] = 0,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Leave out paths or names that match; may be repeated.")
    ] = None,
    look_inside: Annotated[
        bool, typer.Option(help="Read the first bytes of objects without a known suffix, one read each.")
    ] = True,
    encoding: Annotated[str, typer.Option(help="Encoding of CSV manifests, e.g. gb18030; guessed by default.")] = "",
    delimiter: Annotated[str, typer.Option(help="Delimiter of CSV manifests; guessed by default.")] = "",
    allow_scheme: Annotated[
        list[str] | None, typer.Option(help="More URL schemes that manifests may use, e.g. file.")
    ] = None,
    json_progress: Annotated[
        bool, typer.Option("--json-progress", help="Progress as JSON lines on standard error, for a supervisor.")
    ] = False,
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
        if given := _given(context, _OF_THE_LISTING):
            raise UsageError(f"--resume takes no {', '.join(given)}: the job has its own; scan anew instead")
        place = find_job(resume, settings)
        job = replace(place.job, **pace)
    elif sources:
        job = ScanJob(
            tuple(sources),
            output,
            resume=not no_resume,
            overwrite=overwrite,
            goods=goods,
            store=store,
            limit=limit,
            shard=_shard(shard),
            rescan_below=rescan_below,
            exclude=tuple(exclude or ()),
            look_inside=look_inside,
            encoding=encoding,
            delimiter=_delimiter(delimiter),
            schemes=tuple(each.lower().removesuffix("://") for each in allow_scheme or ()),
            **pace,
        )
    else:
        raise UsageError("name what to scan, e.g. `zhentu scan pictures/`, or a job with --resume")
    from zhentu.bootstrap.stores import with_chosen_model

    settings = with_chosen_model(settings, required=job.store)
    if dry_run:
        from zhentu.backlog.estimate import estimate
        from zhentu.cli.show import print_estimate

        print_estimate(estimate(job, settings), core_hour_price, console())
        return
    shown = _Shown(form, report, overwrite, metrics_port, json_progress, tuple(fail_on or ()))
    if code := _scan_and_show(job, shown, settings, place):
        raise typer.Exit(code)


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
        return JobPlace.load(Path(text_to_name(JobTable(store.database).get(name).folder)))


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a scan shows, and what makes it fail."""

    form: Format = Format.TABLE
    report: Path | None = None
    overwrite: bool = False
    metrics_port: int = 0
    json_progress: bool = False
    fail_on: tuple[FailOn, ...] = ()


def _scan_and_show(job: ScanJob, shown: _Shown, settings: Settings, place: JobPlace | None = None) -> int:
    """The exit code."""
    if job.engine == "local" and not (job.store and is_handful(job.sources)):
        from zhentu.backlog.engine_local import prepare_workers

        prepare_workers()  # first of all: what they need is imported while this process does the same

    _check_outputs(job, shown.report, shown.overwrite)
    from zhentu.backlog.scan import resume_scan, run_scan
    from zhentu.cli.progress import MachineProgress, for_people
    from zhentu.cli.show import print_table, print_totals

    errors = console(stderr=True)
    machine = MachineProgress(sys.stderr) if shown.json_progress else None
    rows: list[ScanRow] = []
    try:
        with (
            contextlib.nullcontext(machine.watch) if machine else for_people(errors) as watch,
            _printer(shown.form) as print_row,
            _metrics(shown.metrics_port) as measure,
        ):

            def on_row(progress: ScanProgress) -> None:
                if watch.on_row:
                    watch.on_row(progress)
                measure(progress)
                print_row(progress.row)
                if len(rows) < _TABLE_ROWS:
                    rows.append(progress.row)

            told = replace(watch, on_row=on_row)
            summary = resume_scan(place, job, settings, watch=told) if place else run_scan(job, settings, watch=told)
    except STOPS as stop:
        kept = f"; run the same command again to continue ({job.output})" if job.output else ""
        errors.print(f"{words_of(stop)}{kept}", soft_wrap=True)
        raise typer.Exit(status_of(stop)) from None
    if shown.form is Format.TABLE and not machine:
        print_table(rows, summary)
    if shown.report is not None:
        _report(summary, shown.report, job, settings)
    code = _exit_code(summary, shown.fail_on)
    if machine:
        machine.done(summary, code)
    else:
        if shown.report is not None:
            errors.print(f"report: {shown.report}", soft_wrap=True)
        print_totals(summary, errors, job.output)
    return code


def _check_outputs(job: ScanJob, report: Path | None, overwrite: bool) -> None:
    """Raises UsageError now, not after a night's work, if the report cannot be written or would overwrite something."""
    if report is None:
        return
    from zhentu.backlog.outputs import check_apart, check_folder, output_files
    from zhentu.report.sections import check_page, table_paths

    check_page(report, overwrite)
    check_apart([*(output_files(job.output) if job.output else ()), report, *table_paths(report)], job.sources)
    check_folder(report.parent)


def _report(summary: ScanSummary, path: Path, job: ScanJob, settings: Settings) -> None:
    from zhentu.backlog.finding import reader_of
    from zhentu.bootstrap.screener import build_screener
    from zhentu.report.page import write_report

    write_report(summary, build_screener(settings), path, reader_of(job, settings).read)


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


def _given(context: typer.Context, names: Collection[str]) -> list[str]:
    """Those of these options that stand on the command line."""
    return [each.opts[0] for each in context.command.params if each.name in names and _named(context, str(each.name))]


def _named(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _shard(text: str) -> Shard:
    from zhentu.backlog.ledger import Shard

    index, _, count = text.partition("/")
    if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Shard(int(index), int(count))
    raise UsageError(f"--shard {text}: write it as i/n with i from 1 to n, e.g. 3/8")


def _delimiter(text: str) -> str:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(delimiter) > 1:
        raise UsageError(f"--delimiter {text}: give one character, or tab")
    return delimiter


def _exit_code(summary: ScanSummary, fail_on: tuple[FailOn, ...]) -> int:
    """1 if something that --fail-on names occurred, 4 if a part of the sources could not be listed, 0 otherwise."""
    blocked = summary.by_action[Action.BLOCK.value]
    reviewed = blocked + summary.by_action[Action.REVIEW.value]
    seen = {
        FailOn.BLOCK: blocked,
        FailOn.REVIEW: reviewed,
        FailOn.ERROR: sum(summary.by_error.values()),
        FailOn.SKIPPED: sum(count for reason, count in summary.skipped.items() if reason.may_hide_pictures),
    }
    if any(seen[kind] for kind in fail_on):
        return 1
    return _INCOMPLETE if any(reason.incomplete for reason in summary.skipped) else 0
