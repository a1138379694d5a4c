"""Steps in order, each done once: a killed run continues at the step where it stopped.

A step counts as done if its record exists, which is written last and atomically, and if the record's key matches the
step's present inputs: settings, the release, and the keys of all earlier steps.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from zhentu.atomic import write_whole
from zhentu.errors import UsageError
from zhentu_training.progress import shown_by


@dataclass(frozen=True, slots=True)
class Step:
    """do: makes the outputs and returns what there is to say of them, one line. settings: what else decides them."""

    name: str
    outputs: tuple[Path, ...]
    do: Callable[[], str]
    settings: Mapping[str, object]


def run_steps(steps: Sequence[Step], inputs: str, folder: Path) -> dict[str, str]:
    """Do what is not done yet; returns each step's message. inputs: digest of what the first step reads.

    Records and what the steps print are kept in `folder`. Raises UsageError if a step refuses, or when another run
    works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, said = hashlib.sha256(f"{version('zhentu')} {inputs}".encode()).hexdigest(), {}
    with _alone(folder), _view(len(steps)) as view:
        for step in steps:
            key = hashlib.sha256(json.dumps([key, step.name, step.settings]).encode()).hexdigest()
            record = folder / f"{step.name}.json"
            before = _record(record)
            if before.get("key") == key and all(path.exists() for path in step.outputs):
                said[step.name] = before["said"]
                view.done(f"{step.name}: done before", before["said"])
                continue
            record.unlink(missing_ok=True)  # from here on its outputs are neither the old ones nor the new
            started = time.monotonic()
            said[step.name] = _done(step, folder / f"{step.name}.log", view)
            seconds = time.monotonic() - started
            content = {"key": key, "said": said[step.name], "seconds": round(seconds, 1)}
            write_whole(record, json.dumps(content, indent=1).encode())
            view.done(f"{step.name}: {seconds:.0f} s", said[step.name])
    return said


def _done(step: Step, log: Path, view: _View) -> str:
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), shown_by(view.show):
        view.begin(step.name)
        try:
            return step.do()
        except SystemExit as refusal:  # a command's own way to refuse
            raise UsageError(f"{step.name}: {refusal.code}; what it printed is in {log}") from refusal


def _record(path: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not one of ours: then the step is not done
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{folder.parent}: another run is working in this folder; wait for it or name another"
            ) from error
        yield


class _View:
    """All steps' bar above the present one's, on a terminal; elsewhere one line a finished step."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress, self._count, self._at = progress, count, 0
        self._all = progress.add_task("steps", total=count)
        self._one = progress.add_task("", total=None)

    def begin(self, name: str) -> None:
        """A step starts."""
        self._progress.update(self._all, description=name)
        self._progress.reset(self._one, description="", total=None)

    def show(self, what: str, done: int, of: int | None) -> None:
        """As `zhentu_training.progress.Show`."""
        self._progress.update(self._one, description=what, completed=done, total=of)

    def done(self, title: str, said: str) -> None:
        """A step ended, or had been done before."""
        self._at += 1
        self._progress.console.print(f"{self._at}/{self._count} {title}", f"  {said}", sep="\n", markup=False)
        self._progress.update(self._all, completed=self._at)


@contextmanager
def _view(count: int) -> Iterator[_View]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # What steps print goes to their logs; the view alone may write to the terminal.
    with Progress(*columns, console=console, redirect_stdout=False, disable=not console.is_terminal) as progress:
        yield _View(progress, count)
