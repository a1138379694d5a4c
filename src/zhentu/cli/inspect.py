"""`zhentu inspect`: everything known about one picture, or one record of a decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zhentu.cli.terminal import console, say_json, styled
from zhentu.errors import UsageError
from zhentu.filenames import name_to_text
from zhentu.settings import load_settings
from zhentu.types import OUTPUTS, Basis, Inquiry, Record, Threshold

_BAR = 24  # characters of a full score bar


def inspect(
    what: Annotated[str, typer.Argument(help="A picture file or a record id.", metavar="FILE|RECORD")],
    heatmap: Annotated[
        Path | None, typer.Option(help="Where to write the heatmap PNG of a file; default: the current folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON instead.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let the heatmap replace a file of yours.")] = False,
) -> None:
    """Show provenance, scores against thresholds, and reasons in English and Chinese.

    Example: zhentu inspect picture.jpg --heatmap heat.png
    """
    path = Path(what)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; inspect takes one file, `zhentu scan {path}` a whole folder")
    record = _screened(path, heatmap, overwrite) if path.exists() or path.suffix else _recorded(what)
    if json:
        from zhentu.record.codec import encode_record

        say_json(encode_record(record))
        return
    _show(record, console())


def _screened(path: Path, heatmap: Path | None, overwrite: bool) -> Record:
    from zhentu.backlog.outputs import check_apart
    from zhentu.banks.bank import Banks
    from zhentu.banks.store import BankStore
    from zhentu.bootstrap.screener import build_screener
    from zhentu.bootstrap.stores import open_database, with_chosen_model
    from zhentu.detect.heatmap import render
    from zhentu.intake.decode import read_file
    from zhentu.record.written import Written, WrittenFiles

    target = heatmap or Path(f"{path.stem}.heatmap.png")
    check_apart([target], [str(path)])
    settings = with_chosen_model(load_settings())
    written = WrittenFiles(settings.data_dir)
    written.check([target], overwrite)
    screener = build_screener(settings)
    payload = read_file(path, screener.limits)
    with open_database(settings) as database:  # the banks are consulted as in a scan
        screener = replace(screener, bank=Banks(BankStore(database)))
        screening = screener.screen(Inquiry.of(payload, name_to_text(str(path)), with_heatmaps=True))
    verdict = screening.record.verdict
    if verdict and verdict.heatmaps:
        strongest = max(verdict.heatmaps, key=lambda each: verdict.scores.of(each.category))
        written.keep(target, render(screening.picture, strongest), Written.HEATMAP, overwrite)
        console(stderr=True).print(f"heatmap of {strongest.category.value}: {target}", soft_wrap=True)
    return screening.record


def _recorded(record_id: str) -> Record:
    from zhentu.bootstrap.stores import build_store

    store = build_store(load_settings())
    try:
        return store.get(record_id)
    finally:
        store.close()


def _show(record: Record, console: Console) -> None:
    decision = record.decision
    console.print(styled(record.path or record.picture_sha256, "bold"), soft_wrap=True)
    console.print(
        f"{record.picture_format} {record.width}x{record.height}, {record.byte_count / 1024:.0f} KiB, "
        f"sha256 {record.picture_sha256[:16]}..., record {record.record_id}",
        soft_wrap=True,
    )
    for note in record.notes:
        console.print(f"note: {note}")
    applied = "" if decision.applied is decision.action else f" (applied: {decision.applied.value})"
    action = (decision.action.value, "bold")
    console.print(Text.assemble("\naction ", action, f"{applied}, mode {decision.mode.value}"))
    if record.verdict:
        console.print(_scores(record))
    for each in record.evidence:
        place = f" ({each.location})" if each.location else ""
        console.print(f"evidence: {each.name} [{each.trust.value}] {each.detail}{place}", markup=False)
    console.print()
    for reason in decision.reasons:
        console.print(f"- {reason.en}\n  {reason.zh}", markup=False, soft_wrap=True)
    console.print(
        f"\nmodel {record.verdict.model if record.verdict else 'not asked'}, policy {decision.policy_version}"
        f"{f', profile {decision.profile}' if decision.profile else ''}"
    )


def _scores(record: Record) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("category", "score", "", "thresholds"):
        table.add_column(name)
    scores = record.verdict.scores if record.verdict else None
    for output in OUTPUTS:
        score = scores.of(output) if scores else 0.0
        held = [each for each in record.decision.thresholds if each.category.value == output.value]
        passed = any(score >= each.value for each in held if each.basis is Basis.PICTURE_ALONE)
        bar = "█" * round(score * _BAR)
        limits = ", ".join(f"{_named(each)} {each.value:.3g}" for each in held)
        table.add_row(output.value, f"{score:.3f}", styled(bar, "red" if passed else "green"), limits)
    return table


def _named(threshold: Threshold) -> str:
    compared = threshold.basis is Basis.REFERENCE
    return f"{threshold.action.value}{' (compared)' if compared else ''}"
