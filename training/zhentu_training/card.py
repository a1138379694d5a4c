"""models/MODEL_CARD.md: what the model is, what it learnt from, and its figures, source by source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from zhentu.detect.models import ModelEntry
from zhentu_training.config import load_spec

_HEAD = """# Model card: {ref}

Written by `python -m zhentu_training.evaluate`; every figure is of sources that training never saw, scored by the
exported ONNX file through the serving code. Intervals are 95 % bootstrap.

| | |
| --- | --- |
| task | five probabilities of a product picture: {labels}; and `forged`, that any of them holds |
| file | `{file}`, sha256 `{sha256}`, {precision} arithmetic{weights} |
| looks | the whole picture at {whole} px; at most {count} native crops of {crop} px, where most texture is |
| architecture | {architecture}, fused per label |
| training data | {pictures} pictures of {sources} sources, digest `{digest}` |
| licence | {licence} (weights; the training pictures are not distributed) |
| created | {created} |

**Use**: to label and to queue for review. **Not for**: blocking on a score alone; pictures of people as people;
proving `material_mismatch` without the real goods.

**Tiers**: native as stored (640 px windows at most); web = long side 512, JPEG 88; hard = WebP 75, long side 400,
JPEG 60. Both classes take the same road.

**Thresholds** as shipped, conformal quantiles over genuine pictures of unseen sources, each picture at its worst of
native and web: {thresholds}. The risk aimed at is 1 in 100 genuine pictures labelled and 1 in 200 sent to review. With
some 630 genuine pictures a 1-in-1000 block threshold cannot be promised, so none is shipped.
"""

_TAIL = """
## Known limits

- Goods categories are unevenly covered: much apparel, shoes, groceries; little jewellery, cosmetics, furniture.
- The four forgery categories were learnt from the project's own forgeries; on real AI pictures they were left out of
  the loss. Real retouching of other styles will be missed.
- Fusion and thresholds (18 weights, 6 biases, 5 thresholds) were fitted on the development sources themselves. The
  held-out figures above leave each source out in turn.
- The label noise of the sources (AI galleries chosen by eye, possible renders among studio pictures) is in the figures.
"""


def write_card(
    path: Path, entry: ModelEntry, tables: Mapping[str, pd.DataFrame], run: Path | None, trained_on: pd.DataFrame
) -> None:
    """Write the card from the manifest entry and the evaluation's tables."""
    text = _HEAD.format(
        ref=entry.ref,
        labels=", ".join(f"`{label}`" for label in entry.labels),
        file=entry.file,
        sha256=entry.sha256,
        precision=entry.precision,
        weights="".join(f"; weights in `{each.file}`" for each in entry.weights),
        whole=entry.views.whole_size,
        crop=entry.views.crop_size,
        architecture=_architecture(run),
        count=entry.views.crop_count,
        pictures=entry.training_data.pictures,
        sources=entry.training_data.sources,
        digest=entry.training_data.digest,
        licence=entry.licence,
        created=entry.created,
        thresholds=", ".join(
            f"`{each.category.value}.{each.action.value}` {each.value:.3f}" for each in entry.thresholds
        ),
    )
    if run and (run / "fusion.json").is_file():
        held_out = json.loads((run / "fusion.json").read_text(encoding="utf-8"))["held_out"]
        rows = pd.DataFrame({"figure, fusion held out source by source": held_out.keys(), "value": held_out.values()})
        text += f"\n## Held out\n\n{markdown(rows)}"
    if path.with_name("curves.png").is_file():
        text += "\n![ROC, scores and reliability](curves.png)\n"
    for title, table in tables.items():
        text += f"\n## {title}\n\n{markdown(table)}"
    text += f"\n## Training sources\n\nThe forgeries were made from the genuine ones.\n\n{markdown(trained_on)}"
    path.write_text(text + _TAIL, encoding="utf-8")


def _architecture(run: Path | None) -> str:
    """Both branches in words, from the run's own config."""
    if run is None or not (run / "train.yaml").is_file():
        return "see the manifest"
    spec = load_spec(run / "train.yaml")
    words = []
    for look, branch in (("whole picture", spec.whole), ("crops", spec.crops)):
        backbone = branch.backbone
        depth = f", its first {backbone.depth} blocks, frozen, with a fitted linear head" if backbone.depth else ""
        words.append(f"{look}: timm `{backbone.name}`{depth}")
    return "; ".join(words)


def markdown(table: pd.DataFrame) -> str:
    """A GitHub table."""
    rows = [table.columns.astype(str), ["---"] * len(table.columns), *table.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)
