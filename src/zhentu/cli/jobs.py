"""`zhentu jobs`: backlog scans, their progress and their outcomes."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from zhentu.cli.terminal import console, say, say_json, styled
from zhentu.errors import UsageError
from zhentu.filenames import text_to_name
from zhentu.settings import load_settings

if TYPE_CHECKING:
    from zhentu.record.scan_jobs import JobRecord, JobTable

_STATES = {"running": "cyan", "stopped": "yellow", "failed": "red", "done": "green"}
_ACTIONS = ("allow", "label", "review", "block", "error", "known")


def jobs(
    job: Annotated[str, typer.Argument(help="Show one job and its unreadable pictures.")] = "",
    most: Annotated[int, typer.Option(min=1, help="At most this many jobs, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per job.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the named job; outputs and records stay.")] = False,
) -> None:
    """List backlog scans with state, counts and errors.

    Example: zhentu jobs
    """
    from zhentu.bootstrap.stores import build_store
    from zhentu.record.scan_jobs import JobTable

    settings = load_settings()
    with closing(build_store(settings)) as store:
        table = JobTable(store.database)
        found = [table.get(job)] if job else table.newest(most)
        found = [_seen(each) for each in found]
        if remove:
            if not job:
                raise UsageError("--remove needs the job to delete")
            _remove(found[0], table)
            return
    if as_json:
        for each in found:
            say_json(json.dumps(asdict(each), default=str, ensure_ascii=False))
        return
    out = console()
    if not found:
        out.print("no jobs yet; `zhentu scan ... --output ...` creates one")
        return
    out.print(_table(found))
    if job:
        _show(found[0], out)


def _seen(job: JobRecord) -> JobRecord:
    """A killed job cannot report it; its lock shows it, on the machine where it ran."""
    from zhentu.backlog.scan_job import is_running
    from zhentu.record.scan_jobs import JobRecord, JobState

    if (
        job.state is JobState.RUNNING
        and job.host == socket.gethostname()
        and not is_running(Path(text_to_name(job.folder)))
    ):
        return JobRecord(**{**asdict(job), "state": JobState.STOPPED})
    return job


def _table(found: list[JobRecord]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("job", "state", "done", "of them", "started", "model and sources"):
        # What people copy, and counts, are never folded: half a number is another number.
        whole = name in ("job", "state", "done", "started")
        table.add_column(name, justify="right" if name == "done" else "left", overflow="fold", no_wrap=whole)
    for job in found:
        numbers = {name: job.counts.get(name, 0) for name in _ACTIONS} | {"skipped": sum(job.skipped.values())}
        colour = _STATES[job.state.value]
        table.add_row(
            job.job_id,
            styled(job.state.value, colour),
            f"{job.done}/{job.total}",
            "\n".join(f"{count} {name}" for name, count in numbers.items() if count) or "-",
            f"{job.started_at:%m-%d %H:%M}",
            "\n".join(filter(None, (job.model, " ".join(job.sources)))),
        )
    return table


def _show(job: JobRecord, console: Console) -> None:
    from zhentu.backlog.scan_job import JobPlace
    from zhentu.record.scan_jobs import JobState

    for title, counts in (("skipped", job.skipped), ("reasons", job.reasons)):
        if counts:
            words = ", ".join(f"{count} {name}" for name, count in counts.items())
            console.print(f"\n{title}: {words}", soft_wrap=True, markup=False, highlight=False)
    if job.error:
        console.print(styled(f"\n{job.error}", "red"))
    if job.state is not JobState.DONE:
        console.print(f"\nfinish it: zhentu scan --resume {job.job_id}", soft_wrap=True)
    try:
        place = JobPlace.load(Path(text_to_name(job.folder)))
    except UsageError:
        console.print("its folder is gone or on another machine")
        return
    console.print(f"folder: {place.folder}\nparts: {place.parts}\noutput: {place.job.output}", soft_wrap=True)
    with closing(place.ledger(looking=True)) as ledger:
        shown = 0
        for _, row in ledger.rows():
            if row.error:
                console.print(f"{row.error}: {row.path}: {row.detail}", soft_wrap=True, markup=False)
                shown += 1
            if shown == 50:
                console.print("... the others are in quarantine.csv")
                break


def _remove(job: JobRecord, table: JobTable) -> None:
    from zhentu.backlog.scan_job import JobPlace
    from zhentu.record.scan_jobs import JobState

    if job.state is JobState.RUNNING:
        raise UsageError(f"{job.job_id} is running; stop it first")
    JobPlace.load(Path(text_to_name(job.folder))).remove()
    table.remove(job.job_id)
    say(f"forgotten: {job.job_id}")
