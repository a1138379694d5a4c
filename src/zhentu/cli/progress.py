"""The progress of a scan: a live bar for people at a terminal, JSON lines for a supervisor."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from zhentu.backlog.scan import ScanProgress, ScanSummary, Watch
from zhentu.backlog.sheets import Sheet

COLOURS = {"allow": "green", "label": "cyan", "review": "yellow", "block": "red", "error": "red"}
_WINDOW_S = 30.0  # seconds over which the shown rate is measured
_EVERY_S = 1.0  # seconds between two lines for a supervisor
_LISTING_EVERY_S = 0.2  # seconds between two updates of the listing


class Rate:
    """The recent rate in pictures a second, and the time left at that rate; resumed rows do not count."""

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
        """Time left for this many pictures, in words."""
        return duration(pictures / self.per_second) if self.per_second > 0 else "?"


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for (large, length), (small, part) in pairwise(units):
        if seconds >= length:
            return f"{int(seconds // length)} {large} {int(seconds % length // part)} {small}"
    return f"{seconds:.0f} s"


@contextmanager
def for_people(console: Console) -> Iterator[Watch]:
    """On a terminal, a bar with rate, time left and counts per action; in a pipe, only how sheets are read."""

    def on_sheet(name: str, sheet: Sheet) -> None:
        console.print(_sheet_words(name, sheet), soft_wrap=True, markup=False, highlight=False)

    if not console.is_terminal:
        yield Watch(on_sheet=on_sheet)
        return
    rate, counts, seldom = Rate(), Counter[str](), Seldom(_LISTING_EVERY_S)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("listing", total=None, words="")

        def on_listing(found: int, skipped: int) -> None:
            if seldom.now():
                bar.update(task, completed=found, words=f"{skipped:,} skipped" if skipped else "")

        def on_row(progress: ScanProgress) -> None:
            counts[progress.row.action or "error"] += 1
            if not progress.resumed:
                rate.count()
            shown = " ".join(f"[{COLOURS[name]}]{counts[name]} {name}[/]" for name in COLOURS if counts[name])
            words = f"{rate.per_second:.1f}/s, {rate.left(progress.total - progress.done)} left  {shown}"
            bar.update(task, description="scanning", completed=progress.done, total=progress.total, words=words)

        yield Watch(on_row, on_listing, on_sheet)


class MachineProgress:
    """JSON lines, at most one a second while listing and scanning.

    {"event": "sheet" | "listing" | "scanning" | "done", ...}; `done` says what was found, skipped, and the exit code.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._seldom, self._rate, self._counts = stream, Seldom(_EVERY_S), Rate(), Counter[str]()
        self.watch = Watch(self._on_row, self._on_listing, self._on_sheet)

    def done(self, summary: ScanSummary, exit_code: int) -> None:
        """The last line."""
        self._say(
            "done",
            job=summary.job_id,
            pictures=summary.pictures,
            resumed=summary.resumed,
            known=summary.known,
            actions=dict(summary.by_action),
            reasons=dict(summary.by_reason),
            errors=dict(summary.by_error),
            skipped={reason.value: count for reason, count in summary.skipped.items()},
            seconds=round(summary.seconds, 1),
            exit_code=exit_code,
        )

    def _on_sheet(self, name: str, sheet: Sheet) -> None:
        self._say(
            "sheet",
            path=name,
            kind=sheet.kind,
            encoding=sheet.form.encoding,
            delimiter=sheet.form.delimiter,
            doubles=sheet.doubles,
        )

    def _on_listing(self, found: int, skipped: int) -> None:
        if self._seldom.now():
            self._say("listing", found=found, skipped=skipped)

    def _on_row(self, progress: ScanProgress) -> None:
        self._counts[progress.row.action or "error"] += 1
        if not progress.resumed:
            self._rate.count()
        if self._seldom.now() or progress.done == progress.total:
            rate, left = self._rate.per_second, progress.total - progress.done
            self._say(
                "scanning",
                done=progress.done,
                total=progress.total,
                per_second=round(rate, 2),
                seconds_left=round(left / rate, 1) if rate > 0 else None,
                counts=dict(self._counts),
            )

    def _say(self, event: str, **facts: Any) -> None:
        self._stream.write(json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n")
        self._stream.flush()


class Seldom:
    """True at most once per interval, the first time at once."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._last = seconds, clock, -seconds

    def now(self) -> bool:
        """Whether it is time again."""
        moment = self._clock()
        if moment - self._last < self._seconds:
            return False
        self._last = moment
        return True


def _sheet_words(name: str, sheet: Sheet) -> str:
    how = f"{name}: read as {sheet.kind}"
    if sheet.form.encoding:
        cut = f", cut at {sheet.form.delimiter!r}" if sheet.form.delimiter else ""
        how += f", {sheet.form.encoding}{cut}; --encoding and --delimiter set it"
    doubles = (
        f"\n{name}: columns {' and '.join(map(repr, names))} mean the same: {names[0]!r} is used, and where it is "
        f"empty {' or '.join(map(repr, names[1:]))}"
        for names in sheet.doubles
    )
    return how + "".join(doubles)
