"""`zhentu model`, `zhentu policy` and `zhentu doctor`: what is installed, and whether it is sound."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from zhentu.errors import ZhentuError
from zhentu.settings import Settings, load_settings

model_app = typer.Typer(help="The models that are installed.", no_args_is_help=True)
policy_app = typer.Typer(help="The policy that decides.", no_args_is_help=True)


@model_app.command("list")
def list_models() -> None:
    """List the models of the manifest; the active one is marked.

    Example: zhentu model list
    """
    from zhentu.detect.models import Manifest, models_folder

    folder = load_settings().models_dir or models_folder()
    manifest = Manifest.load(folder)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "model", "sha256", "precision", "trained on", "created", "licence"):
        table.add_column(name)
    for entry in manifest.models:
        mark = "active" if str(entry.ref) == manifest.active else ""
        trained = f"{entry.training_data.pictures} pictures, {entry.training_data.sources} sources"
        table.add_row(mark, str(entry.ref), entry.sha256[:16], entry.precision, trained, entry.created, entry.licence)
    Console().print(table)


@model_app.command("verify")
def verify_model() -> None:
    """Check the model in force: sha256, graph, and golden scores on the sample pictures.

    Example: zhentu model verify
    """
    typer.echo(_model_sound(load_settings()))


@policy_app.command("check")
def check_policy(
    file: Annotated[Path | None, typer.Argument(help="A policy file; default: the one in force.")] = None,
) -> None:
    """Check a policy file and report every problem at once.

    Example: zhentu policy check configs/policy.yaml
    """
    typer.echo(_policy_sound(load_settings(), file))


def doctor() -> None:
    """Check everything zhentu needs; exit code 3 when something is not usable.

    Example: zhentu doctor
    """
    settings = load_settings()
    checks: dict[str, Callable[[], str]] = {
        "python": platform.python_version,
        "onnxruntime": _runtime,
        "model": lambda: _model_sound(settings),
        "policy": lambda: _policy_sound(settings, None),
        "store": lambda: _store_sound(settings),
        "labels": lambda: _labels_sound(settings),
        "workers": lambda: f"{settings.worker_count}",
    }
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("check", "state", "detail"):
        table.add_column(name, overflow="fold")
    broken = False
    for name, check in checks.items():
        try:
            table.add_row(name, "[green]ok[/green]", check())
        except ZhentuError as error:
            broken = True
            table.add_row(name, "[red]problem[/red]", str(error))
    Console().print(table)
    if broken:
        raise typer.Exit(3)


def _runtime() -> str:
    import onnxruntime

    return f"{onnxruntime.__version__}, {', '.join(onnxruntime.get_available_providers())}"


def _model_sound(settings: Settings) -> str:
    from zhentu.bootstrap import find_model
    from zhentu.detect.detector import Detector
    from zhentu.detect.models import samples_folder

    entry, folder = find_model(settings)
    worst = Detector(entry, folder).verify_golden(samples_folder())
    return f"{entry.ref}: sha256 and {len(entry.golden)} golden pictures agree (largest difference {worst:.1e})"


def _policy_sound(settings: Settings, file: Path | None) -> str:
    from zhentu.bootstrap import find_model
    from zhentu.decide.policy import unresolved
    from zhentu.decide.policy_file import default_policy_path, load_policy
    from zhentu.errors import ConfigError

    path = file or settings.policy_path or default_policy_path()
    policy = load_policy(path)
    problems = unresolved(policy, find_model(settings)[0].thresholds)
    if problems:
        raise ConfigError(str(path), problems)
    return f"{path}: version {policy.version}, mode {policy.mode.value}, no problems"


def _labels_sound(settings: Settings) -> str:
    from zhentu.labelling import build_notices, read_anchors, signing_key

    build_notices(settings)
    signs = "signs C2PA anew" if signing_key(settings) else "no C2PA key"
    anchors = "trust anchors given" if read_anchors(settings) else "every valid C2PA signer is believed"
    return f"propagator {settings.label_propagator or 'not set (label_propagator)'}, {signs}, {anchors}, notices load"


def _store_sound(settings: Settings) -> str:
    from zhentu.bootstrap import build_store

    store = build_store(settings)
    try:
        store.check()
        counts = store.counts_by_action()
    finally:
        store.close()
    return f"{sum(counts.values())} records in {settings.store_url.split('@')[-1]}"
