"""`zhentu model` and `zhentu doctor`: what is installed, and whether it works."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from zhentu.cli.policy import in_force, load_with_model, policy_sound
from zhentu.cli.terminal import console, say, styled
from zhentu.errors import UsageError, ZhentuError
from zhentu.settings import Settings, load_settings

if TYPE_CHECKING:
    from zhentu.bootstrap.timing import Timing
    from zhentu.detect.models import Manifest
    from zhentu.types import Category

model_app = typer.Typer(help="The models that are installed.", no_args_is_help=True)


@model_app.command("list")
def list_models() -> None:
    """List the models of the manifest; the one in force in this store is marked.

    Example: zhentu model list
    """
    from zhentu.bootstrap.models import find_model
    from zhentu.bootstrap.stores import with_chosen_model
    from zhentu.detect.models import Manifest

    active, folder = find_model(with_chosen_model(load_settings()))
    manifest = Manifest.load(folder)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "model", "sha256", "precision", "trained on", "created", "licence"):
        table.add_column(name)
    for entry in manifest.models:
        mark = "active" if entry.ref == active.ref else ""
        trained = f"{entry.training_data.pictures} pictures, {entry.training_data.sources} sources"
        table.add_row(mark, str(entry.ref), entry.sha256[:16], entry.precision, trained, entry.created, entry.licence)
    console().print(table)


@model_app.command("verify")
def verify_model() -> None:
    """Check the model in force: sha256, graph, and golden scores on the sample pictures.

    Example: zhentu model verify
    """
    from zhentu.bootstrap.stores import with_chosen_model

    say(_model_sound(with_chosen_model(load_settings())))


@model_app.command("use")
def use_model(
    name: Annotated[str, typer.Argument(help="NAME@VERSION of the manifest, or `default` for what the settings say.")],
) -> None:
    """Put a model in force on every gate of this store, without a restart, and for its next scans.

    It is verified first.

    Example: zhentu model use zhentu@0.6.0
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.history import ModelHistory

    settings = load_settings()
    chosen = "" if name == "default" else name
    say(_model_sound(settings.changed({"models.active": chosen}) if chosen else settings))
    with open_database(settings) as database:
        ModelHistory(database).use(chosen)
    say(f"{name} is in force; running gates follow within seconds, scans from the next one on")


@model_app.command("rollback")
def roll_back_model() -> None:
    """Go back to the model that was in force before the present one.

    Example: zhentu model rollback
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.history import ModelHistory

    settings = load_settings()
    with open_database(settings) as database:
        history = ModelHistory(database)
        before = history.previous()
        say(_model_sound(settings.changed({"models.active": before}) if before else settings))
        history.use(before)
    say(f"{before or 'the model of the settings'} is in force again; running gates follow within seconds")


@model_app.command("reference")
def set_reference(
    rows: Annotated[Path, typer.Argument(help="Rows of `zhentu scan` over pictures you trust.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="NAME@VERSION to set it for; default: the rows' own. May be repeated."),
    ] = None,
) -> None:
    """Set these scores as the reference: drift (`zhentu doctor`, the gate's metric) is measured against them.

    The rows must have been scanned under the policy in force: its prior is removed from the scores.

    Example: zhentu model reference rows.csv
    """
    from dataclasses import replace

    from zhentu.backlog.outputs import read_columns
    from zhentu.detect.drift import LEAST, references_of
    from zhentu.detect.models import Manifest, models_folder
    from zhentu.types import OUTPUTS

    settings = load_settings()
    folder = settings.models.dir or models_folder()
    manifest = Manifest.load(folder)
    scored = [row for row in read_columns(rows, ("model", *OUTPUTS)) if row["forged"] not in ("", None)]
    names = sorted({str(row["model"]) for row in scored})
    if len(names) > 1 and not model:
        raise UsageError(f"{rows}: rows of several models, {', '.join(names)}; scan with one of them")
    if len(scored) < LEAST:
        raise UsageError(f"{rows}: {len(scored)} pictures have scores, at least {LEAST} are needed for a reference")
    chosen = {str(manifest.entry(name).ref) for name in model or names}
    prior = in_force(settings, None)[0].prior
    reference = references_of([_own_scores(manifest, row, prior) for row in scored])
    models = tuple(replace(each, reference=reference) if str(each.ref) in chosen else each for each in manifest.models)
    path = replace(manifest, models=models).save(folder)
    say(f"{len(scored)} pictures are now the reference of {', '.join(sorted(chosen))} in {path}")


def _own_scores(manifest: Manifest, row: Mapping[str, Any], prior: Mapping[Category, float]) -> list[float]:
    """The six scores of a row as its model gives them, without the policy's prior."""
    from zhentu.types import OUTPUTS, Scores, Verdict

    read = {output.value: float(row[output]) for output in OUTPUTS}
    if prior:
        entry = manifest.entry(str(row["model"]))
        read = entry.read_at(Verdict(Scores(**read), entry.ref, prior=prior), {}).scores.as_dict()
    return [read[output] for output in OUTPUTS]


@model_app.command("bench")
def bench_models() -> None:
    """Time every way to run the model that is installed here, in seconds, and say which to use.

    Example: zhentu model bench
    """
    from zhentu.bootstrap.stores import with_chosen_model
    from zhentu.bootstrap.timing import fastest, time_runtimes

    settings = with_chosen_model(load_settings())
    timings = time_runtimes(settings)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "precision", "ms a picture and core", "off golden scores by"):
        table.add_column(name)
    for each in timings:
        shown = (f"{each.ms:.0f}", f"{each.worst:.4f}") if each.usable else ("-", "-")
        table.add_row(str(each.entry.ref), each.entry.precision, *shown)
    console().print(table)
    for each in timings:
        if not each.usable:
            say(f"{each.entry.ref} is not for this machine: {each.problem}")
    say(_advice(settings, fastest(timings)))


def _advice(settings: Settings, best: Timing) -> str:
    from zhentu.bootstrap.models import find_model

    if find_model(settings)[0].ref == best.entry.ref:
        return f"{best.entry.ref} is in force, and the fastest here"
    name, runtime = f"{best.entry.name}@{best.entry.version}", f"ZHENTU_MODELS_RUNTIME={best.entry.runtime}"
    if not _store_has_chosen(settings):
        return f"{best.entry.ref} is the fastest here; to use it, set {runtime} ZHENTU_MODELS_ACTIVE={name}"
    # The store's choice goes before ZHENTU_MODELS_ACTIVE, so that setting it would change nothing.
    first = "" if best.entry.runtime is settings.models.runtime else f"set {runtime}, then "
    return f"{best.entry.ref} is the fastest here; to use it, {first}run `zhentu model use {name}`"


def _store_has_chosen(settings: Settings) -> bool:
    from zhentu.bootstrap.stores import chosen_model
    from zhentu.errors import StoreError

    try:
        return bool(chosen_model(settings))
    except StoreError:  # `doctor` says so in its own line
        return False


def doctor() -> None:
    """Check everything zhentu needs; exit code 3 if something is unusable.

    Example: zhentu doctor
    """
    settings = load_with_model()
    checks: dict[str, Callable[[], str]] = {
        "python": platform.python_version,
        "onnxruntime": _runtime,
        "model": lambda: _model_sound(settings),
        "speed": lambda: _speed(settings),
        "policy": lambda: policy_sound(settings, None),
        "store": lambda: _store_sound(settings),
        "drift": lambda: _drift(settings),
        "labels": lambda: _labels_sound(settings),
        "workers": lambda: f"{settings.worker_count}",
    }
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("check", "state", "detail"):
        table.add_column(name, overflow="fold")
    broken = False
    for name, check in checks.items():
        try:
            table.add_row(name, styled("ok", "green"), check())
        except ZhentuError as error:
            broken = True
            table.add_row(name, styled("problem", "red"), str(error))
    console().print(table)
    if broken:
        raise typer.Exit(3)


def _runtime() -> str:
    import onnxruntime

    return f"{onnxruntime.__version__}, {', '.join(onnxruntime.get_available_providers())}"


def _speed(settings: Settings) -> str:
    from zhentu.bootstrap.timing import fastest, time_runtimes

    best = fastest(time_runtimes(settings, pictures=3))
    return f"{best.ms:.0f} ms a picture on one core; {_advice(settings, best)}"


def _model_sound(settings: Settings) -> str:
    from zhentu.bootstrap.models import find_model
    from zhentu.detect.detector import Detector
    from zhentu.detect.models import samples_folder

    entry, folder = find_model(settings)
    worst = Detector(entry, folder).verify_golden(samples_folder())
    return f"{entry.ref}: sha256 and {len(entry.golden)} golden pictures agree (largest difference {worst:.1e})"


def _labels_sound(settings: Settings) -> str:
    from zhentu.bootstrap.labels import build_notices, signing_key
    from zhentu.bootstrap.trust import read_generators, read_trust_lists

    build_notices(settings)
    signs = "signs C2PA anew" if signing_key(settings) else "no C2PA key"
    anchors = "trust list given" if read_trust_lists(settings).given else "every valid C2PA signer is trusted"
    rows = f"{len(read_generators(settings).traces)} kinds of generator traces"
    named = settings.label.propagator or "not set (label.propagator)"
    return f"propagator {named}, {signs}, {anchors}, {rows}, notices load"


def _drift(settings: Settings) -> str:
    """Population stability index of the latest recorded scores against the model's reference, for the worst output."""
    from zhentu.bootstrap.models import find_model
    from zhentu.bootstrap.stores import build_store
    from zhentu.detect.drift import LEAST, ScoreWindow

    entry, _ = find_model(settings)
    store, window, count = build_store(settings), ScoreWindow(), 0
    try:
        for verdict in store.latest_verdicts(entry.sha256, 2000):
            window.add(entry.read_at(verdict, {}).scores.as_dict())
            count += 1
    finally:
        store.close()
    if not entry.reference:
        return f"{entry.ref} has no reference scores to compare with; set them with `zhentu model reference ROWS`"
    indices = window.indices(entry.reference)
    if not indices:
        return f"{count} scores of {entry.ref}, {LEAST} are needed"
    worst = max(indices, key=lambda output: indices[output])
    reading = "stable" if indices[worst] < 0.1 else "look into it" if indices[worst] < 0.25 else "the pictures changed"
    return f"{worst}: PSI {indices[worst]:.3f} over {count} pictures, {reading}"


def _store_sound(settings: Settings) -> str:
    from zhentu.bootstrap.stores import build_store
    from zhentu.record.history import ModelHistory

    store = build_store(settings)
    try:
        store.check()
        counts = store.counts_by_action()
        chosen = ModelHistory(store.database).current()
    finally:
        store.close()
    gates = f"; its gates use {chosen}, see `zhentu model use`" if chosen else ""
    return f"{sum(counts.values())} records in {settings.store_url.split('@')[-1]}{gates}"
