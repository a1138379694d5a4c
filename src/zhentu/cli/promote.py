"""`zhentu model compare` and `promote`: no model goes into force against the evidence of people's decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from zhentu.cli.terminal import console, say
from zhentu.errors import UsageError
from zhentu.settings import Settings, load_settings

if TYPE_CHECKING:
    from zhentu.review.compare import ModelComparison

_RATE = 0.01
_LEAST_FORGED = 97  # 1.96^2 * 0.25 / 0.1^2: of so many a share is known to within 10 points, whatever it is
ModelName = Annotated[str, typer.Argument(help="NAME@VERSION of the manifest.")]


def compare(a: ModelName, b: ModelName) -> None:
    """Score reviewed pictures with two models, each under its own thresholds.

    Example: zhentu model compare zhentu@0.6.0 mine@0.0.1
    """
    settings = load_settings()
    _show(_compared(settings, a, b), _promised(settings, b))


def promote(
    name: ModelName,
    force: Annotated[bool, typer.Option(help="Even if decided pictures speak against it.")] = False,
) -> None:
    """Compare a model with the one in force on decided pictures, then put it in force on every gate.

    Refused if the model in force is right more often by more than chance (McNemar, p < 0.05).

    Example: zhentu model promote zhentu@0.2.0
    """
    from zhentu.bootstrap.models import find_model
    from zhentu.bootstrap.stores import open_database, with_chosen_model
    from zhentu.record import audit
    from zhentu.record.history import ModelHistory

    settings = load_settings()
    with open_database(settings) as database:
        history = ModelHistory(database)
        current = str(find_model(with_chosen_model(settings))[0].ref)
        found = _compared(settings, current, name)
        _show(found, _promised(settings, name))
        if found.b_is_worse and not force:
            raise UsageError(f"{name} does worse than {current} on decided pictures; --force puts it in force anyway")
        history.use(name)
        facts = {"from": current, "to": name, "only_old_right": found.only_a, "only_new_right": found.only_b}
        with database.begin() as connection:
            audit.append(connection, "cli", "model.promote", f"model:{name}", facts | {"forced": force})
    say(
        f"{name} is in force; running gates follow within seconds, scans from the next one on; "
        "`zhentu model rollback` undoes it"
    )


def _promised(settings: Settings, name: str) -> float:
    """The false alarms that a model's profile in force promises; 1 % of one that states none."""
    from zhentu.bootstrap.models import find_model
    from zhentu.cli.policy import in_force

    entry, profile = find_model(settings.changed({"models.active": name}))[0], in_force(settings, None)[0].profile
    return (entry.profiles[profile].false_alarms if profile in entry.profiles else 0.0) or _RATE


def _compared(settings: Settings, a: str, b: str) -> ModelComparison:
    from zhentu.bootstrap.desk import open_desk
    from zhentu.bootstrap.screener import build_screener
    from zhentu.review.compare import compare_models

    first, second = (
        build_screener(settings.changed({"models.active": name}), settings.worker_count) for name in (a, b)
    )
    with open_desk(settings) as desk:
        return compare_models(desk.store, desk.pictures, first.detector, second.detector, first.policy)


def _show(found: ModelComparison, promised: float) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", found.a.model, found.b.model):
        table.add_column(name)
    pair = (found.a, found.b)
    table.add_row("forged caught", *(_share(each.caught, each.forged) for each in pair))
    for place, (category, total, _) in enumerate(found.a.by_category):
        table.add_row(f"  {category}", *(f"{each.by_category[place][2]} of {total}" for each in pair))
    table.add_row("false alarms", *(_share(each.alarms, each.honest) for each in pair))
    table.add_row("precision", *(f"{each.precision:.1%}" for each in pair))
    table.add_row("AUC", *("-" if each.auc is None else f"{each.auc:.4f}" for each in pair))
    table.add_row("only this one right", str(found.only_a), str(found.only_b))
    console().print(table)
    say(f"McNemar p = {found.p:.4f}; {found.disputed} disputed and {found.left_out} pictures without bytes left out")
    for words in _little(found, promised):
        say(words)


def _share(hits: int, total: int) -> str:
    from zhentu.review.learning import wilson

    if not total:
        return "0 of 0"
    low, high = wilson(hits, total)
    return f"{hits} of {total} ({hits / total:.1%}; 95 %: {low:.1%} to {high:.1%})"


def _little(found: ModelComparison, promised: float) -> Iterator[str]:
    """What so few decided pictures cannot tell."""
    from zhentu.decide.fit import most_alarms, pictures_needed
    from zhentu.review.compare import LEAST_APART

    honest, forged, apart = found.a.honest, found.a.forged, found.only_a + found.only_b
    if honest < (needed := pictures_needed(promised)):
        yield (
            f"{honest} honest decisions stand behind the false alarms, fewer than the {needed} that could confirm the "
            f"{promised:.2%} promised for {found.b.model}: without a single alarm it might still be "
            f"{most_alarms(honest):.1%} (95 %, rule of three). That figure means little"
        )
    if forged < _LEAST_FORGED:
        yield (
            f"{forged} forged decisions stand behind what is caught, fewer than the {_LEAST_FORGED} that tell a share "
            "to within 10 points (95 %). That figure means little"
        )
    if apart < LEAST_APART:
        yield (
            f"Only {apart} pictures are judged rightly by one model alone; with fewer than {LEAST_APART} no difference "
            "can pass for more than chance, so p says nothing for or against either"
        )
