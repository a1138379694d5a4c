"""`zhentu scan` and `zhentu demo`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanJob, ScanProgress, ScanSummary, run_scan
from zhentu.settings import load_settings
from zhentu.types import Action

_COLOURS = {"allow": "green", "label": "cyan", "review": "yellow", "block": "red"}
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


def scan(
    sources: Annotated[list[str], typer.Argument(help="Files, folders (searched recursively) or globs.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write one row a picture: .csv, .jsonl or .parquet.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None,
    form: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TABLE,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 = one per core.")] = 0,
    goods: Annotated[str, typer.Option(help="Goods category of these pictures, e.g. apparel.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Scan so many pictures at most.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted scan of the same output.")] = True,
    store: Annotated[bool, typer.Option(help="Keep a record of every decision.")] = True,
    fail_on: Annotated[list[FailOn] | None, typer.Option(help="Exit with 1 when this occurs; may be repeated.")] = None,
) -> None:
    """Scan pictures: one row each, whatever happens to it.

    Example: zhentu scan pictures/ --output rows.csv --report report.html
    """
    job = ScanJob(tuple(sources), output, workers, resume, goods, store, limit)
    summary = _scan_and_show(job, form, report)
    if _failed(summary, fail_on or []):
        raise typer.Exit(1)


def demo(
    folder: Annotated[Path, typer.Option(help="Where the rows and the report go.")] = Path("zhentu-demo"),
) -> None:
    """Scan the sample pictures shipped with zhentu and write a report.

    Example: zhentu demo
    """
    from zhentu.detect.models import samples_folder

    job = ScanJob((str(samples_folder()),), folder / "rows.csv", resume=False, store=False)
    report = folder / "report.html"
    _scan_and_show(job, Format.TABLE, report)
    Console().print(f"\nOpen the report: [bold]{report.resolve()}[/bold]", soft_wrap=True)


def _scan_and_show(job: ScanJob, form: Format, report: Path | None) -> ScanSummary:
    settings = load_settings()
    errors = Console(stderr=True)
    shown: list[ScanRow] = []
    try:
        with _progress(errors) as advance, _printer(form) as print_row:

            def on_row(progress: ScanProgress) -> None:
                advance(progress)
                print_row(progress.row)
                if len(shown) < _TABLE_ROWS:
                    shown.append(progress.row)

            summary = run_scan(job, settings, on_row)
    except KeyboardInterrupt:
        kept = f"; run the same command again to go on ({job.output})" if job.output else ""
        errors.print(f"interrupted{kept}")
        raise typer.Exit(130) from None
    if form is Format.TABLE:
        _print_table(shown, summary)
    if report is not None:
        from zhentu.bootstrap import build_screener
        from zhentu.report.page import write_report

        write_report(summary, build_screener(settings), report)
        errors.print(f"report: {report}", soft_wrap=True)
    _print_totals(summary, errors)
    return summary


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Callable[[ScanProgress], None]]:
    """A bar on a terminal, nothing in a pipe."""
    if not console.is_terminal:
        yield lambda progress: None
        return
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("scan", total=None)
        yield lambda progress: bar.update(task, completed=progress.done, total=progress.total)


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


def _print_table(rows: list[ScanRow], summary: ScanSummary) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("picture", overflow="fold")
    for name in ("action", "forged", "material", "effect", "scene", "cutout", "ai"):
        table.add_column(name, justify="left" if name == "action" else "right")
    for row in rows:
        if row.error:
            table.add_row(Path(row.path).name, f"[red]{row.error}[/red]", *[""] * 6)
            continue
        scores = (row.forged, row.material_mismatch, row.exaggerated_effect, row.scene_distortion)
        cells = ["" if s is None else f"{s:.2f}" for s in (*scores, row.cutout_artifact, row.ai_generated)]
        table.add_row(Path(row.path).name, f"[{_COLOURS[row.action]}]{row.action}[/]", *cells)
    Console().print(table)
    if summary.pictures > len(rows):
        Console().print(f"... and {summary.pictures - len(rows)} more; --output writes all rows")


def _print_totals(summary: ScanSummary, console: Console) -> None:
    counts = ", ".join(f"{count} {action}" for action, count in summary.by_action.items())
    failed = sum(summary.by_error.values())
    resumed = f", {summary.resumed} taken over from before" if summary.resumed else ""
    console.print(
        f"{summary.pictures} pictures{resumed}: {counts}, {failed} not readable; "
        f"{summary.pictures_per_second:.1f} pictures/s; {summary.model}, "
        f"policy {summary.policy_version} ({summary.mode})",
        soft_wrap=True,
    )


def _failed(summary: ScanSummary, fail_on: list[FailOn]) -> bool:
    blocked = summary.by_action[Action.BLOCK.value]
    reviewed = blocked + summary.by_action[Action.REVIEW.value]
    seen = {FailOn.BLOCK: blocked, FailOn.REVIEW: reviewed, FailOn.ERROR: sum(summary.by_error.values())}
    return any(seen[kind] for kind in fail_on)
