"""`zhentu compare`: whether a picture shows the goods that reference pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zhentu.errors import ModelError
from zhentu.settings import load_settings


def compare(
    picture: Annotated[Path, typer.Argument(help="The picture in question.")],
    reference: Annotated[
        list[Path], typer.Option("--reference", "-r", help="A picture of the real goods; may be repeated.")
    ],
    heatmap: Annotated[Path | None, typer.Option(help="Write a PNG of where nothing alike was found.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    fail_on_mismatch: Annotated[bool, typer.Option(help="Exit with 1 when the goods look unlike.")] = False,
) -> None:
    """Compare a picture with pictures that are known to show the real goods.

    Example: zhentu compare listing.jpg --reference studio.jpg --reference buyer.jpg --heatmap unlike.png
    """
    from pydantic import TypeAdapter

    from zhentu.bootstrap.models import build_comparer
    from zhentu.bootstrap.screener import limits_of
    from zhentu.detect.heatmap import render
    from zhentu.intake.decode import decode, read_file

    settings = load_settings()
    comparer = build_comparer(settings)
    if comparer is None:
        raise ModelError("the models hold no comparison; reinstall zhentu, or see `zhentu model list`")
    limits = limits_of(settings)
    shown = decode(read_file(picture, limits), limits)
    references = [decode(read_file(path, limits), limits) for path in reference]
    found = comparer.compare(shown, references)
    closest = reference[[each.sha256 for each in references].index(found.reference_sha256)]
    limit = min(threshold.value for threshold in comparer.thresholds)
    unlike = found.score >= limit
    if heatmap is not None and found.difference is not None:
        heatmap.write_bytes(render(shown, found.difference))
    if json:
        stated = {"score": found.score, "similarity": found.similarity, "reference": str(closest)}
        stated |= {"reference_sha256": found.reference_sha256, "threshold": limit}
        typer.echo(TypeAdapter(dict).dump_json(stated | {"mismatch": unlike, "model": str(found.model)}).decode())
    else:
        words = ("[red]other goods[/red] · 商品不符", "[green]the same goods[/green] · 商品相符")[not unlike]
        console = Console()
        console.print(f"{picture} shows {words}", soft_wrap=True)
        console.print(
            f"mismatch {found.score:.3f} (limit {limit:.3f}), similarity {found.similarity:.2f}, "
            f"closest reference {closest}; {found.model}",
            soft_wrap=True,
        )
        if heatmap is not None:
            console.print(f"where nothing alike was found: {heatmap}", soft_wrap=True)
    if unlike and fail_on_mismatch:
        raise typer.Exit(1)
