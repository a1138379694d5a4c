"""`zhentu apply`: from the decisions of a backlog job to actions, shadow first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Table

from zhentu.cli.scan import find_job
from zhentu.cli.terminal import console
from zhentu.errors import UsageError
from zhentu.filenames import name_to_text
from zhentu.settings import load_settings
from zhentu.types import AiState

_NAMED = 20  # actions named one by one

if TYPE_CHECKING:
    from zhentu.backlog.apply import ApplyReport
    from zhentu.intake.decode import DecodeLimits
    from zhentu.record.applied import Applied, AppliedState, Kind
    from zhentu.settings import Settings


def apply(  # long: its options
    job: Annotated[str, typer.Argument(help="The job, see `zhentu jobs`.")],
    enforce: Annotated[
        bool, typer.Option("--enforce", help="Do it; without this option it is only planned and shown.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back everything that was done.")] = False,
    target: Annotated[
        str, typer.Option(help="Folder or fsspec URL of labelled copies; default: beside each picture.")
    ] = "",
    webhook: Annotated[
        str,
        typer.Option(
            help="Report every action to this URL, through the signed outbox; default: setting `webhook.url`."
        ),
    ] = "",
) -> None:
    """Turn a job's decisions into labelled copies, a take-down list, a review list and messages.

    Example: zhentu apply 20261124-204500-ab12cd --enforce
    """
    from zhentu.backlog.apply import Applier, ApplySpec
    from zhentu.backlog.finding import access_of
    from zhentu.backlog.reading import Reader
    from zhentu.backlog.scan_job import JobLock
    from zhentu.bootstrap.screener import limits_of
    from zhentu.bootstrap.stores import build_store
    from zhentu.record.applied import AppliedState, AppliedTable
    from zhentu.record.written import WrittenFiles

    if enforce and undo:
        raise UsageError("--enforce and --undo are opposites; give one of them")
    if undo and (target or webhook):
        raise UsageError("--undo takes back what was done where it was done; leave --target and --webhook out")
    settings = load_settings()
    place = find_job(job, settings)
    place.check_folder()
    limits = limits_of(settings)
    access = access_of(place.job, settings).also([target])
    reader = Reader(limits, attempts=place.job.attempts, access=access)
    told = _checked_url(webhook or settings.webhook.url or "")
    spec = ApplySpec(
        name_to_text(target),
        told,
        _labelling(settings, limits),
        other_webhook=bool(webhook),
        written=WrittenFiles(settings.data_dir),
    )
    with (
        closing(build_store(settings, patient=True)) as store,
        closing(JobLock(place)),
        closing(place.ledger(looking=True)) as ledger,
    ):
        table = AppliedTable(store.database)
        applier = Applier(place, ledger, table, reader, spec)
        if enforce:
            _check_labels(table.counts(place.job_id), settings)
        report = applier.enforce() if enforce else applier.undo() if undo else applier.plan()
        failed = list(table.each(place.job_id, (AppliedState.FAILED,)))
        kept = [each for each in table.each(place.job_id, (AppliedState.DONE,)) if each.detail] if undo else []
    planned = not (enforce or undo)
    _show(report, place.job_id, planned)
    if planned:
        _warn_of_labels(report.counts, settings)
    if failed:
        _say(failed, "failed")
    if kept:
        _say(kept, "left alone")
    if failed or kept:
        raise typer.Exit(1)


def _checked_url(url: str) -> str:
    """Raises UsageError for a webhook that no message could ever reach."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"--webhook {url}: is no URL: {error}") from error
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise UsageError(f"--webhook {url}: must begin with https:// or http:// and name a host")
    return url


def _labelling(settings: Settings, limits: DecodeLimits) -> Callable[[bytes, AiState], bytes]:
    """What makes a labelled copy; the settings it needs are read when the first is made."""
    from zhentu.bootstrap.labels import label_spec
    from zhentu.mark.label import label_picture

    return lambda payload, state: label_picture(payload, state, label_spec(settings), limits).payload


def _say(actions: Sequence[Applied], what: str) -> None:
    for action in actions[:_NAMED]:
        line = f"{what}: {action.kind.value} {action.path}: {action.detail}"
        console(stderr=True).print(line, soft_wrap=True, markup=False)
    if len(actions) > _NAMED:
        console(stderr=True).print(f"... and {len(actions) - _NAMED} more {what}", soft_wrap=True)


def _warn_of_labels(counts: Mapping[tuple[Kind, AppliedState], int], settings: Settings) -> None:
    """Say already of a plan what would stop it."""
    try:
        _check_labels(counts, settings)
    except UsageError as error:
        console(stderr=True).print(f"before that: {error}", soft_wrap=True, markup=False)


def _check_labels(counts: Mapping[tuple[Kind, AppliedState], int], settings: Settings) -> None:
    """Raises UsageError when copies are to be labelled and no label could be written: once, not once a picture."""
    from zhentu.bootstrap.labels import label_spec
    from zhentu.record.applied import AppliedState, Kind

    open_states = (AppliedState.PLANNED, AppliedState.FAILED, AppliedState.UNDONE)
    if any(counts.get((Kind.LABEL, state)) for state in open_states):
        label_spec(settings)


def _show(report: ApplyReport, job_id: str, planned: bool) -> None:
    from zhentu.record.applied import AppliedState, Kind

    named = {
        Kind.LABEL: "labelled copies",
        Kind.TAKE_DOWN: "pictures to take down",
        Kind.REVIEW: "pictures to review",
        Kind.MESSAGE: "messages to the platform",
    }
    out = console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("what", *(state.value for state in AppliedState)):
        table.add_column(name, justify="left" if name == "what" else "right")
    for kind, words in named.items():
        counts = [report.counts.get((kind, state), 0) for state in AppliedState]
        if any(counts):
            table.add_row(words, *map(str, counts))
    if table.row_count:
        out.print(table)
    else:
        out.print("no picture of this job needs an action")
    if report.in_shadow:
        out.print(f"{report.in_shadow} of them are held back: the policy was in shadow mode when it decided")
    for path in report.lists:
        out.print(f"list: {path}", soft_wrap=True)
    pictures = sum(count for (kind, _), count in report.counts.items() if kind is not Kind.MESSAGE)
    if planned and pictures and report.in_shadow >= pictures:
        out.print("to act on them, set the policy's `mode: enforce`, scan again and apply that job")
    elif planned and pictures:
        out.print(f"nothing has been done yet; do it with: zhentu apply {job_id} --enforce", soft_wrap=True)
