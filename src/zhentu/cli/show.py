"""How a scan shows itself: a live bar on a terminal, a table, one line of totals."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from zhentu.backlog.estimate import Estimate
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanProgress, ScanSummary
from zhentu.cli.terminal import console, styled

COLOURS = {"allow": "green", "label": "cyan", "review": "yellow", "block": "red", "error": "red"}
_WINDOW_S = 30.0  # the rate shown is that of so many seconds


class Rate:
    """Pictures a second lately, and how long the rest takes at that rate; resumed rows do not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._seen, self._done = clock, deque([(clock(), 0)]), 0

    def count(self) -> None:
        """One picture more."""
        self._done += 1
        now = self._clock()
        if now - self._seen[-1][0] > 0.5:
            self._seen.append((now, self._done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Pictures a second."""
        began, before = self._seen[0]
        return (self._done - before) / max(self._clock() - began, 1e-3)

    def left(self, pictures: int) -> str:
        """Time for so many pictures more, in words."""
        return duration(pictures / self.per_second) if self.per_second > 0 else "?"


def duration(seconds: float) -> str:
    """A length of time in the two largest units that fit."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for (large, length), (small, part) in pairwise(units):
        if seconds >= length:
            return f"{int(seconds // length)} {large} {int(seconds % length // part)} {small}"
    return f"{seconds:.0f} s"


@contextlib.contextmanager
def live_bar(console: Console) -> Iterator[Callable[[ScanProgress], None]]:
    """A bar with rate, time left and counts per action on a terminal, nothing in a pipe."""
    if not console.is_terminal:
        yield lambda progress: None
        return
    rate, counts = Rate(), Counter[str]()
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("scan", total=None, words="")

        def advance(progress: ScanProgress) -> None:
            counts[progress.row.action or "error"] += 1
            if not progress.resumed:
                rate.count()
            shown = " ".join(f"[{COLOURS[name]}]{counts[name]} {name}[/]" for name in COLOURS if counts[name])
            words = f"{rate.per_second:.1f}/s, {rate.left(progress.total - progress.done)} left  {shown}"
            bar.update(task, completed=progress.done, total=progress.total, words=words)

        yield advance


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


def print_totals(summary: ScanSummary, console: Console) -> None:
    """One line of what was found, and how the job is called."""
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
