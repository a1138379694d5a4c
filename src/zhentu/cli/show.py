"""How a scan's findings are shown: a table, lines of totals, an estimate."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from zhentu.backlog.estimate import Estimate
from zhentu.backlog.outputs import skipped_path
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanSummary
from zhentu.cli.progress import COLOURS, duration
from zhentu.cli.terminal import console, styled


def print_table(rows: list[ScanRow], summary: ScanSummary) -> None:
    """The first rows on standard output."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("picture", overflow="fold")
    for name in ("action", "forged", "material", "effect", "scene", "cutout", "ai"):
        table.add_column(name, justify="left" if name == "action" else "right")
    for row in rows:
        if row.error:
            table.add_row(Path(row.path).name, styled(row.error, "red"), *[""] * 6)
            continue
        scores = (row.forged, row.material_mismatch, row.exaggerated_effect, row.scene_distortion)
        cells = ["" if s is None else f"{s:.2f}" for s in (*scores, row.cutout_artifact, row.ai_generated)]
        table.add_row(Path(row.path).name, styled(row.action, COLOURS[row.action]), *cells)
    console().print(table)
    if summary.pictures > len(rows):
        console().print(f"... and {summary.pictures - len(rows)} more; --output writes all rows")


def print_totals(summary: ScanSummary, console: Console, output: Path | None = None) -> None:
    """One line of what was found, and the job's name. output: where the rows went."""
    counts = ", ".join(f"{count} {action}" for action, count in summary.by_action.items())
    failed = sum(summary.by_error.values())
    resumed = f", {summary.resumed} taken over from before" if summary.resumed else ""
    known = f", {summary.known} known already" if summary.known else ""
    console.print(
        f"{summary.pictures} pictures{resumed}{known}: {counts}, {failed} not readable; "
        f"{summary.pictures_per_second:.1f} pictures/s; {summary.model}, "
        f"policy {summary.policy_version} ({summary.mode})",
        soft_wrap=True,
    )
    if summary.skipped:
        counts = ", ".join(f"{count} {reason.value}" for reason, count in summary.skipped.items())
        where = f"see {skipped_path(output)}" if output else "--output ROWS.csv also writes the list of them"
        console.print(f"skipped {sum(summary.skipped.values())}: {counts}; {where}", soft_wrap=True)
    if hidden := sum(count for reason, count in summary.skipped.items() if reason.may_hide_pictures):
        words = f"{hidden} of them may be pictures that nobody has checked"
        console.print(styled(words, "yellow"), soft_wrap=True)
    if summary.job_id:
        console.print(f"job {summary.job_id}", soft_wrap=True)


def print_estimate(found: Estimate, per_core_hour: float, console: Console) -> None:
    """What a dry run found."""
    table = Table(box=None, show_header=False, pad_edge=False)
    errors = found.actions.get("error", 0)
    asks = found.sampled - errors - found.actions.get("allow", 0)
    for name, value in (
        ("pictures", f"{found.pictures:,}"),
        ("sampled", f"{found.sampled}, of them {found.known} known, {errors} not readable, {asks} ask for an action"),
        ("a picture", f"{found.seconds_per_picture * 1e3:.1f} ms of one core, {found.bytes_per_picture / 1e3:.0f} kB"),
        ("to read", f"{found.pictures * found.bytes_per_picture / 1e9:,.2f} GB in {found.requests:,} requests"),
        ("time", f"{duration(found.seconds)} with {found.workers} workers, {found.core_hours:,.2f} core hours"),
        ("cost", f"{found.cost(per_core_hour):,.2f} at {per_core_hour} a core hour"),
    ):
        table.add_row(styled(name, "bold"), value)
    console.print(table)
