"""From decisions to actions: labelled copies, the take-down list, the review list, messages to the platform.

Shadow first: a plan is made and inspected, then enforced, and can be undone. Every step may be repeated, or stopped at
any moment: what is done is noted per picture, copies are written whole or not at all, and the same picture gives the
same copy.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from zhentu.atomic import whole_file, write_whole
from zhentu.backlog.groups import Grouper
from zhentu.backlog.ledger import Ledger
from zhentu.backlog.own import OwnOutputs
from zhentu.backlog.reading import Reader, filesystem_of, is_url
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan_job import JobPlace
from zhentu.cells import CSV_ENCODING, cells
from zhentu.errors import UsageError, ZhentuError
from zhentu.filenames import name_to_text, text_to_name
from zhentu.record.applied import Applied, AppliedState, AppliedTable, Kind
from zhentu.record.outbox import Message, new_message
from zhentu.record.written import Written, WrittenFiles
from zhentu.types import Action, AiState

_BATCH = 500
_KINDS = {Action.LABEL: Kind.LABEL, Action.REVIEW: Kind.REVIEW, Action.BLOCK: Kind.TAKE_DOWN}
_APPLIED, _UNDONE = "backlog.applied", "backlog.undone"
LabelPort = Callable[[bytes, AiState], bytes]
"""A picture's bytes and the state of its AI label -> the bytes of the labelled copy; deterministic."""


@dataclass(frozen=True, slots=True)
class ApplySpec:
    """Where things go. target: folder or fsspec prefix of labelled copies, "" = as planned, else beside each picture.

    webhook_url: who is notified, "" = nobody.  label: writes labels; None if this installation cannot.
    other_webhook: whether the URL was named for this call, so that it goes before the planned one.  written: where
    copies are noted, so that no scan takes them for pictures.
    """

    target: str = ""
    webhook_url: str = ""
    label: LabelPort | None = None
    other_webhook: bool = False
    written: WrittenFiles | None = None

    @property
    def changed(self) -> frozenset[Kind]:
        """What goes where this call says, whatever was planned."""
        named = ((Kind.LABEL, self.target), (Kind.MESSAGE, self.other_webhook))
        return frozenset(kind for kind, given in named if given)


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """Actions by kind and state; in_shadow: pictures whose decision the policy's shadow mode holds back."""

    counts: Mapping[tuple[Kind, AppliedState], int]
    in_shadow: int
    lists: tuple[Path, ...]


class Applier:
    """Applies one finished job."""

    def __init__(self, place: JobPlace, ledger: Ledger, table: AppliedTable, reader: Reader, spec: ApplySpec) -> None:
        self._place, self._ledger, self._table, self._reader, self._spec = place, ledger, table, reader, spec
        self._own = OwnOutputs(spec.written, table, reader.read)

    def plan(self) -> ApplyReport:
        """Shadow: record what would be done, and the lists that would result; nothing else happens.

        Raises UsageError while the job is not finished.
        """
        if self._ledger.left or not self._ledger.listed:
            job = self._place.job_id
            raise UsageError(f"{job} is not finished: {self._ledger.left} left; run zhentu scan --resume {job}")
        in_shadow = self._plan_rows()
        return ApplyReport(self._table.counts(self._place.job_id), in_shadow, self._write_lists())

    def enforce(self) -> ApplyReport:
        """Do what was planned, is in force and is not done yet. Raises UsageError if nothing was planned."""
        job = self._place.job_id
        if not self._table.counts(job):
            raise UsageError(
                f"{job}: nothing is planned yet; see first what it would do (zhentu apply {job}), then enforce it"
            )
        if self._spec.changed:
            self._plan_rows()
        in_shadow = 0
        states = (AppliedState.PLANNED, AppliedState.FAILED, AppliedState.UNDONE)
        for _, row, actions in self._with_rows(states):
            if row.applied != row.action:
                in_shadow += 1
                continue
            for action in actions:
                self._do(action, row)
        return ApplyReport(self._table.counts(job), in_shadow, self._write_lists())

    def undo(self) -> ApplyReport:
        """Undo everything that was done; copies that were changed since are left where they are.

        Raises UsageError if nothing was planned.
        """
        if not self._table.counts(self._place.job_id):
            raise UsageError(f"{self._place.job_id}: nothing was planned or done, so there is nothing to undo")
        for _, row, actions in self._with_rows((AppliedState.DONE,)):
            for action in actions:
                self._take_back(action, row)
        return ApplyReport(self._table.counts(self._place.job_id), 0, self._write_lists())

    def _plan_rows(self) -> int:
        """Plan every row, and move what is not done to where this call says. How many are held back in shadow."""
        self._check_done()
        in_shadow, changed = 0, self._spec.changed
        rows = self._ledger.rows()
        while batch := list(islice(rows, _BATCH)):
            in_shadow += sum(row.action != row.applied for _, row in batch if row.action)
            actions = [action for seq, row in batch for action in self._actions(seq, row)]
            self._table.plan(actions)
            self._table.redirect([action for action in actions if action.kind in changed])
        return in_shadow

    def _check_done(self) -> None:
        """Raises UsageError if something was done elsewhere than this call says: two places are no plan."""
        job, options = self._place.job_id, {Kind.LABEL: "--target", Kind.MESSAGE: "--webhook"}
        for kind in self._spec.changed:
            for action in self._table.each(job, (AppliedState.DONE,), kind):
                meant = self._copy_of(action.path) if kind is Kind.LABEL else self._spec.webhook_url
                if _whole(action.target) != _whole(meant):
                    raise UsageError(
                        f"{options[kind]} {self._spec.target if kind is Kind.LABEL else meant}: {job} was done "
                        f"elsewhere already, e.g. {action.target}; leave the option out, or undo the job first "
                        f"(zhentu apply {job} --undo)"
                    )

    def _actions(self, seq: int, row: ScanRow) -> Iterator[Applied]:
        kind = _KINDS.get(Action(row.action)) if row.action else None
        if kind is None:
            return
        job = self._place.job_id
        target = self._copy_of(row.path) if kind is Kind.LABEL else ""
        yield Applied(job, seq, kind, row.path, target, row.record_id)
        if self._spec.webhook_url:
            yield Applied(job, seq, Kind.MESSAGE, row.path, self._spec.webhook_url, row.record_id)

    def _copy_of(self, path: str) -> str:
        if not self._spec.target:
            head, dot, suffix = path.rpartition(".")
            return f"{head}.labelled.{suffix}" if dot and "/" not in suffix else f"{path}.labelled"
        inside = path.split("://", 1)[-1] if is_url(path) else _whole(path)
        safe = [part for part in PurePosixPath(inside).parts if part not in ("/", "..")]
        return "/".join([_whole(self._spec.target).rstrip("/"), *safe])

    def _with_rows(self, states: Sequence[AppliedState]) -> Iterator[tuple[int, ScanRow, list[Applied]]]:
        """Actions in these states with their rows; both come in the order of the listing."""
        actions = self._table.each(self._place.job_id, states)
        action = next(actions, None)
        for seq, row in self._ledger.rows():
            mine = []
            while action is not None and action.seq == seq:
                mine.append(action)
                action = next(actions, None)
            if mine:
                yield seq, row, mine
            if action is None:
                return

    def _do(self, action: Applied, row: ScanRow) -> None:
        sha256, message = "", None
        try:
            if action.kind is Kind.LABEL:
                sha256 = self._write_copy(action, row)
            elif action.kind is Kind.MESSAGE:
                message = _message(_APPLIED, action, row)
        except (ZhentuError, OSError) as error:
            self._table.settle(action, AppliedState.FAILED, detail=str(error))
            return
        self._table.settle(action, AppliedState.DONE, sha256, message=message)

    def _write_copy(self, action: Applied, row: ScanRow) -> str:
        if self._spec.label is None:
            raise UsageError("this installation cannot write labels; install zhentu with its label support")
        payload = self._reader.read(text_to_name(action.path))
        if hashlib.sha256(payload).hexdigest() != row.sha256:
            raise UsageError(f"{action.path}: changed since the scan; scan it again")
        labelled = self._spec.label(payload, AiState(row.ai_state or AiState.SUSPECTED))
        sha256, found = hashlib.sha256(labelled).hexdigest(), found_there(action.target)
        if found not in ("", sha256) and not self._own(text_to_name(action.target)):
            raise UsageError(
                f"{action.target}: is there already, and is not as zhentu wrote it; move it away, or name another "
                "place with --target"
            )
        if found != sha256:
            write_copy(action.target, labelled)
        if self._spec.written and not is_url(action.target):
            self._spec.written.note(Path(text_to_name(action.target)), labelled, Written.LABELLED)
        return sha256

    def _take_back(self, action: Applied, row: ScanRow) -> None:
        message = None
        try:
            if action.kind is Kind.LABEL:
                remove_if_ours(action.target, action.sha256)
            elif action.kind is Kind.MESSAGE:
                message = _message(_UNDONE, action, row)
        except (ZhentuError, OSError) as error:
            self._table.settle(action, AppliedState.DONE, action.sha256, str(error))
            return
        self._table.settle(action, AppliedState.UNDONE, message=message)

    def _write_lists(self) -> tuple[Path, ...]:
        """take_down.csv and review.csv: what is planned or done, one line per picture, near-duplicates by group."""
        lists = {Kind.TAKE_DOWN: "take_down.csv", Kind.REVIEW: "review.csv"}
        folder = self._place.parts.parent
        groups = self._group_numbers()
        written = []
        for kind, name in lists.items():
            path = folder / name
            with whole_file(path) as beside, beside.open("w", encoding=CSV_ENCODING, newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(("path", "listing_id", "seller_id", "sha256", "record_id", "reasons", "group", "state"))
                states = (AppliedState.PLANNED, AppliedState.DONE)
                for seq, row, actions in self._with_rows(states):
                    for action in actions:
                        if action.kind is kind:
                            place = (row.path, row.listing_id, row.seller_id, row.sha256, row.record_id, row.reasons)
                            writer.writerow(cells((*place, groups.get(seq, ""), action.state.value)))
            written.append(path)
        return tuple(written)

    def _group_numbers(self) -> dict[int, int]:
        grouper = Grouper()
        for seq, row in self._ledger.rows():
            grouper.add(seq, row)
        return {seq: number for number, group in enumerate(grouper.groups(), 1) for seq in group.seqs}


def _whole(place: str) -> str:
    """A place, as rows name it, whatever folder a later command is called from."""
    return place if is_url(place) else name_to_text(str(Path(text_to_name(place)).resolve()))


def _message(kind: str, action: Applied, row: ScanRow) -> Message:
    body = {
        "type": kind,
        "data": {
            "job_id": action.job_id,
            "path": row.path,
            "sha256": row.sha256,
            "listing_id": row.listing_id,
            "seller_id": row.seller_id,
            "action": row.action,
            "ai_state": row.ai_state,
            "reasons": row.reasons.split(";"),
            "record_id": row.record_id,
        },
    }
    return new_message(kind, action.target, json.dumps(body, ensure_ascii=False))


def write_copy(target: str, payload: bytes) -> None:
    """Write a file or object completely or not at all. Raises OSError."""
    if is_url(target):
        system, path = filesystem_of(target)
        system.pipe_file(path, payload)
        return
    file = Path(text_to_name(target))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, payload)


def remove_if_ours(target: str, sha256: str) -> None:
    """Remove a copy that still holds what was written; a missing one is fine. Raises UsageError if it changed."""
    found = found_there(target)
    if not found:
        return
    if found != sha256:
        raise UsageError(f"{target}: was changed after it was written and is left alone")
    system, path = _system_of(target)
    system.rm_file(path)


def found_there(target: str) -> str:
    """The sha256 of the file or object at a target, "" if there is none."""
    system, path = _system_of(target)
    if not system.exists(path):
        return ""
    # Not by the job's reader, which reads only sources of allowed schemes: the operator chose where copies go.
    with system.open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _system_of(target: str) -> tuple[AbstractFileSystem, str]:
    if not is_url(target):
        # Never by way of a URI: that would be percent-encoded, which fsspec's local files do not undo, so every path
        # with a Chinese letter, a space or "=" would look missing and its copy would stay.
        return LocalFileSystem(), str(Path(text_to_name(target)).resolve())
    return filesystem_of(target)
