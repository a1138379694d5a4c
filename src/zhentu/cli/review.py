"""`zhentu review`: the queue from the command line, and what can be learned from decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhentu.cli.terminal import say
from zhentu.settings import load_settings

_RATE = 0.01  # the false alarms at which models are compared, in the card and in the README
review_app = typer.Typer(help="The review queue and what can be learned from its decisions.", no_args_is_help=True)


@review_app.command("fill")
def fill() -> None:
    """Add new records to the queue; the page does so by itself.

    Example: zhentu review fill
    """
    from zhentu.bootstrap.desk import open_desk

    with open_desk(load_settings()) as desk:
        made = desk.filler.fill()
        counts = desk.queue.counts()
    say(f"{made} new items; {counts.open} open, {counts.decided} decided, {counts.appeals_open} appeals open")


@review_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Folder for manifest.csv and the pictures it names.")],
    dev: Annotated[float, typer.Option(min=0, max=1, help="Share of near-duplicate groups for development.")] = 0.2,
    add_to: Annotated[
        Path | None, typer.Option(help="A training manifest to add to, so that a model learns from both.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a manifest that no export wrote.")] = False,
) -> None:
    """Write a training manifest from decisions; `python -m zhentu_training.fit --manifest` takes it as it is.

    The column `review` says single, double (two reviewers agree), appeal or disputed; the last is not trained on.

    Example: zhentu review export runs/reviewed --add-to runs/set/manifest.csv
    """
    from zhentu.bootstrap.desk import open_desk
    from zhentu.record.written import WrittenFiles
    from zhentu.review.labels import ExportSpec, export_manifest

    settings = load_settings()
    target = ExportSpec(folder, dev, WrittenFiles(settings.data_dir), overwrite)
    with open_desk(settings) as desk:
        made = export_manifest(desk.store, desk.pictures, target, add_to)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(made.by_review.items())) or "none"
    say(
        f"{made.written} pictures ({kinds}) in {folder / 'manifest.csv'}; "
        f"{made.missing} without bytes, {made.unclear} said to be wrong pictures were left out"
    )
    say(_stands_on(made.honest, made.forged))
    if made.missing and not (settings.review.pictures or settings.store.pictures):
        say(
            "Pictures are looked for in no folder: set ZHENTU_REVIEW_PICTURES to the folders that hold them, or "
            "ZHENTU_STORE_PICTURES to where the gate keeps them",
            err=True,
        )


def _stands_on(honest: int, forged: int) -> str:
    """How much what is learned from an export can be worth."""
    from zhentu.decide.fit import most_alarms, pictures_needed

    needed = pictures_needed(_RATE)
    words = f"{honest} honest and {forged} forged decisions stand behind it"
    if honest >= needed:
        return words
    return (
        f"{words}. With fewer than {needed} honest ones a rate of false alarms of {_RATE:.0%} cannot be confirmed: had "
        f"none of {honest} been flagged, it might still be anything from 0 to {most_alarms(honest):.1%} (95 %, rule of "
        "three); figures and thresholds from these alone mean little"
    )


@review_app.command("agreement")
def agreement() -> None:
    """Show how far reviewers agree, and how often each model version was right.

    Example: zhentu review agreement
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.review.learning import statistics

    with open_database(load_settings()) as database:
        found = statistics(database)
    kappa = "too few pairs" if found.agreement.kappa is None else f"{found.agreement.kappa:.3f}"
    say(f"Cohen's kappa {kappa} ({found.agreement.same} of {found.agreement.pairs} double-reviewed agree)")
    for each in found.models:
        say(
            f"{each.model}: precision {each.precision:.3f} (95 % {each.low:.3f} to {each.high:.3f}), "
            f"{each.upheld} of {each.decided} upheld"
        )
