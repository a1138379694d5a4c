"""`zhentu mark`: write labels into pictures, or verify those they carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhentu.cli.terminal import console, say_json
from zhentu.errors import UsageError, ZhentuError
from zhentu.filenames import name_to_text, text_to_name
from zhentu.settings import Settings, load_settings
from zhentu.types import AiState, Inquiry, LabelLanguage

if TYPE_CHECKING:
    from zhentu.intake.find import Taking

_COLUMNS = ("path", "ai_state", "applied")


class State(StrEnum):
    """What the labels are to say; auto decides by the file, its uploader's declaration and the model."""

    AUTO = "auto"
    IS = "is"
    POSSIBLY = "possibly"
    SUSPECTED = "suspected"


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    target: Path
    state: AiState | None  # None: to be determined


def mark(
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders (searched recursively) or globs; with --rows, a scan's output.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the labelled pictures.")] = Path(
        "labelled"
    ),
    state: Annotated[State, typer.Option(help="What the labels say.")] = State.AUTO,
    rows: Annotated[
        bool, typer.Option("--rows", help="Label the pictures of a scan's output by its ai_state.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing; report what labels the pictures carry.")
    ] = False,
    propagator: Annotated[
        str | None, typer.Option(help="The platform's code; default: setting `label.propagator`.")
    ] = None,
    language: Annotated[LabelLanguage | None, typer.Option(help="Words of the visible label.")] = None,
    visible: Annotated[bool | None, typer.Option("--visible/--no-visible", help="Paint the visible label.")] = None,
    implicit: Annotated[bool, typer.Option("--implicit/--no-implicit", help="Write the AIGC label.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that zhentu did not write.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per picture.")] = False,
) -> None:
    """Label pictures as AI-made: visibly and in their metadata, or verify their labels.

    Pictures that need no label are left out, and so are labelled copies that zhentu wrote, unless they are named one by
    one. Marking a labelled picture again changes nothing. Exit code 1 if a picture could not be labelled, or, with
    --verify, does not conform.

    Example: zhentu mark picture.jpg --state is --propagator PLATFORM-CODE
    """
    given = {"label.propagator": propagator, "label.visible": visible, "label.language": language}
    settings = load_settings().changed({path: value for path, value in given.items() if value is not None})
    failed = _verify(sources, settings, as_json) if verify else 0
    if not verify:
        jobs = _apart(_distinct(_jobs(sources, output, state, rows, settings)))
        failed = _label(jobs, settings, implicit, as_json, overwrite)
    if failed:
        raise typer.Exit(1)


def _label(jobs: list[_Job], settings: Settings, implicit: bool, as_json: bool, overwrite: bool) -> int:
    from zhentu.bootstrap.labels import label_spec
    from zhentu.bootstrap.screener import build_screener, limits_of
    from zhentu.bootstrap.stores import with_chosen_model
    from zhentu.intake.decode import read_file
    from zhentu.mark import label_picture
    from zhentu.record.written import Written, WrittenFiles

    spec = label_spec(settings, implicit=implicit)
    limits = limits_of(settings)
    undecided = any(job.state is None for job in jobs)
    screener = build_screener(with_chosen_model(settings, required=False)) if undecided else None
    errors, failed, written = console(stderr=True), 0, WrittenFiles(settings.data_dir)
    for job in jobs:
        try:
            payload = read_file(job.path, limits)
            state = job.state
            if state is None and screener is not None:
                state = screener.screen(Inquiry.of(payload, name_to_text(str(job.path)))).record.decision.ai_state
            if state is None:
                _say({"path": str(job.path), "state": None}, f"{job.path}: no label owed", as_json)
                continue
            labelled = label_picture(payload, state, spec, limits)
            written.keep(job.target, labelled.payload, Written.LABELLED, overwrite)
        except ZhentuError as error:
            failed += 1
            errors.print(f"{job.path}: {error.code}: {error}", soft_wrap=True, markup=False, highlight=False)
            continue
        outcome = {
            "path": str(job.path),
            "target": str(job.target),
            "state": int(labelled.state),
            "changed": labelled.changed,
            "implicit": labelled.implicit.value,
            "visible": labelled.visible.value,
            "credentials": labelled.credentials.value,
            "notes": labelled.notes,
        }
        words = f"label {labelled.implicit.value}, badge {labelled.visible.value}, C2PA {labelled.credentials.value}"
        notes = "".join(f"\n  {note}" for note in labelled.notes)
        _say(outcome, f"{job.target}: {labelled.state.name.lower()}, {words}{notes}", as_json)
    return failed


def _verify(sources: list[str], settings: Settings, as_json: bool) -> int:
    from zhentu.bootstrap.screener import limits_of
    from zhentu.bootstrap.trust import read_generators, read_trust_lists
    from zhentu.intake.decode import read_file
    from zhentu.intake.find import find_pictures
    from zhentu.mark.verify import verify_labels

    limits, lists, table = limits_of(settings), read_trust_lists(settings), read_generators(settings)
    errors, failed = console(stderr=True), 0
    for path in find_pictures(sources):
        try:
            found = verify_labels(read_file(Path(path), limits), limits, lists, table)
        except ZhentuError as error:
            failed += 1
            errors.print(f"{path}: {error.code}: {error}", soft_wrap=True, markup=False, highlight=False)
            continue
        failed += not found.conforms
        credential = found.credential
        outcome = {
            "path": path,
            "conforms": found.conforms,
            "implicit": [
                dict(label.fields) | {"location": label.location, "quote": label.quote} for label in found.implicit
            ],
            "implicit_problems": found.implicit_problems,
            "explicit": found.explicit.lines if found.explicit else None,
            "explicit_problems": found.explicit_problems,
            "c2pa": credential.state.value if credential else None,
            "c2pa_answers": credential.answers if credential else None,
            "c2pa_problems": credential.problems if credential else [],
        }
        problems = [
            *(f"AIGC label: {problem}" for problem in found.implicit_problems),
            *(f"visible label: {problem}" for problem in found.explicit_problems),
            *(f"C2PA: {problem}" for problem in (credential.problems if credential else ())),
        ]
        signed = f", C2PA {credential.state.value} ({credential.answers})" if credential else ""
        verdict = "conforms" if found.conforms else "does not conform"
        _say(outcome, f"{path}: {verdict}{signed}" + "".join(f"\n  {problem}" for problem in problems), as_json)
    return failed


def _jobs(sources: list[str], output: Path, state: State, rows: bool, settings: Settings) -> Iterator[_Job]:
    from zhentu.intake.find import find_pictures

    if not rows:
        named = None if state is State.AUTO else AiState[state.name]
        for source in sources:
            root = Path(source) if Path(source).is_dir() else None
            for path in map(Path, find_pictures([source], _others(settings))):
                yield _Job(path, output / (path.relative_to(root) if root else path.name), named)
        return
    for source in sources:
        for path, owed in _rows(Path(source)):
            yield _Job(path, output / _inside(path), owed)


def _others(settings: Settings) -> Taking:
    """What to take of a folder: not what zhentu wrote there itself, which is named."""
    from zhentu.intake.find import Taking
    from zhentu.record.written import WrittenFiles

    written, errors = WrittenFiles(settings.data_dir), console(stderr=True)

    def own(path: str) -> str:
        if what := written.what(Path(path)):
            errors.print(f"{path}: left out, a {what}", soft_wrap=True)
        return what

    return Taking(own=own)


def _rows(source: Path) -> Iterator[tuple[Path, AiState]]:
    """Pictures of a scan's output that need a label in force, with their state. Raises UsageError."""
    from zhentu.backlog.outputs import read_columns

    named = (
        (Path(text_to_name(str(row["path"]))), str(row["ai_state"]), row["applied"])
        for row in read_columns(source, _COLUMNS)
    )
    owed = ((path, state) for path, state, applied in named if applied != "allow" and state in ("1", "2", "3"))
    return ((path, AiState(int(state))) for path, state in owed)


def _distinct(jobs: Iterator[_Job]) -> list[_Job]:
    """All jobs. Raises UsageError if two pictures would be written to the same place."""
    by_target: dict[Path, _Job] = {}
    for job in jobs:
        other = by_target.setdefault(job.target, job)
        if other.path != job.path:
            raise UsageError(f"{other.path} and {job.path} would both become {job.target}; label their folder instead")
    return list(by_target.values())


def _apart(jobs: list[_Job]) -> list[_Job]:
    """All jobs. Raises UsageError if one would overwrite a picture that is to be labelled, by whatever path."""
    originals = {key: job.path for job in jobs for key in _identities(job.path)}
    for job in jobs:
        original = next((originals[key] for key in _identities(job.target) if key in originals), None)
        if original is not None:
            raise UsageError(f"{job.target} would overwrite the original {original}; name another folder with --output")
    return jobs


def _identities(path: Path) -> Iterator[Path | tuple[int, int]]:
    """What a file is known by: its resolved path and, where it exists, its place on the disk (hard links)."""
    yield path.resolve()
    try:
        found = path.stat()
    except OSError:
        return
    if found.st_ino:
        yield found.st_dev, found.st_ino


def _inside(path: Path) -> Path:
    """A path that stays below the output folder, whatever a row names."""
    return Path(*(part for part in path.parts if part not in (path.anchor, "..", ".")))


def _say(outcome: dict[str, object], words: str, as_json: bool) -> None:
    say_json(json.dumps(outcome, ensure_ascii=False) if as_json else words)
