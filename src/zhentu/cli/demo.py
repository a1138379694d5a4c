"""`zhentu demo`: the sample pictures, the truth about each, and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from zhentu.cli.terminal import console, styled
from zhentu.report.truth import Found
from zhentu.settings import load_settings
from zhentu.types import CATEGORIES, Action, Category, Scores

if TYPE_CHECKING:
    from zhentu.backlog.rows import ScanRow
    from zhentu.backlog.scan import ScanProgress
    from zhentu.report.truth import Judgement
    from zhentu.samples import Sample

_COLOURS = {
    Found.RIGHT: "green",
    Found.CAUGHT: "green",
    Found.OTHERWISE: "yellow",
    Found.MISSED: "red",
    Found.FALSE_ALARM: "red",
}


def demo(
    folder: Annotated[Path, typer.Option(help="Where the rows and the report go.")] = Path("zhentu-demo"),
) -> None:
    """Scan the sample pictures shipped with zhentu, show which forgeries were found, and write a report.

    Example: zhentu demo
    """
    from zhentu.backlog.scan import run_scan
    from zhentu.backlog.scan_job import ScanJob
    from zhentu.bootstrap.screener import build_screener
    from zhentu.bootstrap.stores import with_chosen_model
    from zhentu.cli.progress import for_people
    from zhentu.detect.models import samples_folder
    from zhentu.report.page import write_report
    from zhentu.samples import samples

    settings = with_chosen_model(load_settings(), required=False)
    rows: dict[str, ScanRow] = {}
    job = ScanJob((str(samples_folder()),), folder / "rows.csv", resume=False, store=False)
    with for_people(console(stderr=True)) as watch:

        def on_row(progress: ScanProgress) -> None:
            if watch.on_row:
                watch.on_row(progress)
            rows[Path(progress.row.path).name] = progress.row

        summary = run_scan(job, settings, watch=replace(watch, on_row=on_row))
    screener = build_screener(settings)
    limits = {each: screener.lowest_limit(each, "") for each in CATEGORIES}
    judged = [(each, rows[each.name], _judged(each, rows[each.name], limits)) for each in samples()]
    report = folder / "report.html"
    write_report(summary, screener, report, shown=len(judged))
    _print(judged, console())
    console().print(f"\nOpen the report: {report.resolve()}", soft_wrap=True)
    console().print("Try your own pictures: zhentu serve --open --on-error block", soft_wrap=True)


def _judged(sample: Sample, row: ScanRow, limits: Mapping[Category, float | None]) -> Judgement:
    from zhentu.report.truth import judge

    values = [getattr(row, name) for name in (*(each.value for each in CATEGORIES), "forged")]
    scores = None if None in values else Scores(*values)
    limit = limits[Category.AI_GENERATED]
    by_score = scores is not None and limit is not None and scores.ai_generated >= limit
    # A label is owed although no score asks for it: the file says so itself.
    return judge(sample.truth, Action(row.action), scores, limits, row.ai_state is not None and not by_score)


def _print(judged: list[tuple[Sample, ScanRow, Judgement]], out: Console) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("sample", "what it is", "action", "why"):
        # A name is never folded: it is looked up in the report.
        table.add_column(name, overflow="fold", no_wrap=name in ("sample", "action"))
    for sample, row, found in judged:
        colour = _COLOURS[found.found]
        table.add_row(Path(sample.name).stem, sample.en, row.action, styled(found.words.en, colour))
    out.print(table)
    counts = Counter(found.found for *_, found in judged)
    told = ", ".join(f"{counts[each]} {each}" for each in _COLOURS if counts[each])
    figures = "Figures on thousands of pictures are in models/MODEL_CARD.md."
    out.print(f"\n{len(judged)} samples: {told}. {figures}", soft_wrap=True)
