"""`zhentu compare`: whether a picture shows the goods that reference pictures show, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zhentu.cli.terminal import console, say_json, styled
from zhentu.errors import ModelError
from zhentu.filenames import name_to_text
from zhentu.settings import load_settings
from zhentu.types import Answer, Comparison

_SAID = {
    Answer.SAME: ("the same goods · 商品相符", "green"),
    Answer.CANNOT_TELL: ("it cannot be told whether the goods are the same · 无法判断", "yellow"),
    Answer.DIFFERS: ("other goods · 商品不符", "red"),
}


def compare(
    picture: Annotated[Path, typer.Argument(help="The picture in question.")],
    reference: Annotated[
        list[Path], typer.Option("--reference", "-r", help="A picture of the real goods; may be repeated.")
    ],
    heatmap: Annotated[Path | None, typer.Option(help="Write a PNG of where nothing similar was found.")] = None,
    reference_heatmap: Annotated[Path | None, typer.Option(help="The same over the closest reference.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    fail_on_mismatch: Annotated[bool, typer.Option(help="Exit with 1 if the goods look different.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let heatmaps replace files of yours.")] = False,
) -> None:
    """Compare a picture with pictures that are known to show the real goods.

    Example: zhentu compare listing.jpg --reference studio.jpg --reference buyer.jpg --heatmap unlike.png
    """
    from pydantic import TypeAdapter

    from zhentu.bootstrap.models import build_comparer
    from zhentu.bootstrap.screener import limits_of
    from zhentu.detect.heatmap import render
    from zhentu.intake.decode import decode, read_file
    from zhentu.record.written import Written, WrittenFiles

    written = [each for each in (heatmap, reference_heatmap) if each is not None]
    if written:
        from zhentu.backlog.outputs import check_apart

        check_apart(written, [str(each) for each in (picture, *reference)])
    settings = load_settings()
    kept = WrittenFiles(settings.data_dir)
    kept.check(written, overwrite)
    comparer = build_comparer(settings)
    if comparer is None:
        raise ModelError("the models hold no comparison; reinstall zhentu, or see `zhentu model list`")
    limits = limits_of(settings)
    shown = decode(read_file(picture, limits), limits)
    references = [decode(read_file(path, limits), limits) for path in reference]
    found = comparer.compare(shown, references)
    place = [each.sha256 for each in references].index(found.reference_sha256)
    limit = min(threshold.value for threshold in comparer.thresholds)
    if heatmap is not None and found.difference is not None:
        kept.keep(heatmap, render(shown, found.difference), Written.HEATMAP, overwrite)
    if reference_heatmap is not None:
        if found.reference_difference is None:
            raise ModelError(f"{found.model} makes no map over the reference; leave out --reference-heatmap")
        drawn = render(references[place], found.reference_difference)
        kept.keep(reference_heatmap, drawn, Written.HEATMAP, overwrite)
    unlike = found.score >= limit
    if json:
        say_json(TypeAdapter(dict).dump_json(_stated(found, reference[place], limit)).decode())
    else:
        out = console()
        _say(out, picture, reference[place], found, limit)
        for path in (heatmap, reference_heatmap):
            if path is not None:
                out.print(f"where nothing similar was found: {path}", soft_wrap=True)
    if unlike and fail_on_mismatch:
        raise typer.Exit(1)


def _stated(found: Comparison, closest: Path, limit: float) -> dict[str, object]:
    """Everything of a comparison, by name."""
    return {
        "score": found.score,
        "similarity": found.similarity,
        "reference": name_to_text(str(closest)),
        "reference_sha256": found.reference_sha256,
        "threshold": limit,
        "mismatch": found.score >= limit,
        "answer": found.answer,
        "agreeing": found.agreeing,
        "compared": found.compared,
        "goods_found": found.goods_found,
        "model": str(found.model),
        "answers": {each.question: {"answer": each.answer, "score": each.score} for each in found.answers},
    }


def _say(out: Console, picture: Path, closest: Path, found: Comparison, limit: float) -> None:
    from zhentu.decide.notices import ANSWER_NAMES
    from zhentu.decide.words import QUESTION_NAMES

    out.print(f"{picture}:", styled(*_SAID[found.answer]), soft_wrap=True)
    out.print(
        f"mismatch {found.score:.3f} (limit {limit:.3f}), similarity {found.similarity:.2f}, closest reference "
        f"{closest}; {found.model}",
        soft_wrap=True,
    )
    out.print(
        f"{found.agreeing} of {found.compared} references surely show the same goods · "
        f"{found.compared} 张参考图中 {found.agreeing} 张确认相符",
        soft_wrap=True,
    )
    for each in found.answers:
        name, said = QUESTION_NAMES[each.question], ANSWER_NAMES[each.answer]
        out.print(f"  {name.en} · {name.zh}: {said.en} · {said.zh} ({each.score:.2f})", soft_wrap=True)
    if not found.goods_found:
        out.print("whole pictures were compared: the goods were not looked for, or not found in both", soft_wrap=True)
