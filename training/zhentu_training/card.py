"""models/MODEL_CARD.md: what the model is, what it learnt from, and its figures, source by source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from zhentu.detect.entries import ModelEntry
from zhentu_training.config import LookSpec, TrainSpec, load_spec

if TYPE_CHECKING:
    from zhentu_training.pointing import Pointing

_HEAD = """# Model card: {ref}

Written by `python -m zhentu_training.evaluate`. Every figure is of pictures whose source, with its siblings and
duplicates, the judging heads had not seen ({folds} folds{assignments}); the shipped heads were then fitted
on all. Intervals are 95 %, by bootstrap over sources.

| | |
| --- | --- |
| task | five probabilities of a product picture: {labels}; and `forged`, that any of the five holds |
| prior | {prior}: a score of 0.8 means four in five where that share of the pictures is forged |
| file | `{file}`, sha256 `{sha256}`, {precision} arithmetic{weights} |
| looks | the whole picture at {whole} px; at most {count} native crops of {crop} px, where most texture is |
| architecture | {architecture} |
| training data | {pictures} pictures of {sources} sources, digest `{digest}` |
| licence | {licence} (weights; the training pictures are not distributed) |
| created | {created} |

**Use**: to label and to queue for review. **Not for**: blocking on a score alone; pictures of people as people;
proving `material_mismatch` without the real goods.

**Roads**: native as stored, every second lossless file through JPEG 82 to 95; web = long side 512, JPEG 88. Both
classes take the same road.

**Thresholds** are those of the profile `balanced`: {thresholds}. They are quantiles of genuine pictures' held-out
scores, sources weighted alike. No score blocks: with so few genuine pictures one in a thousand cannot be promised.
"""

COMPARISON_SECTION = "## Comparison with references"
_TAIL = """
## Known limits

- Goods categories are unevenly covered: much apparel, shoes, groceries; little jewellery, cosmetics, furniture.
- The four categories are learnt from the project's own forgeries and from few real edits; the tables say how far they
  carry over. Where one picture cannot tell, the score stays low: send reference pictures along.
- `ai_generated` does not say whether a picture misleads: an AI picture of the right goods is one too.
- The label noise of the sources (AI galleries chosen by eye, possible renders among studio pictures) is in the figures.
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Tables by title, how heatmaps point, the training pictures by source, and how often sources fell into folds."""

    tables: Mapping[str, pd.DataFrame]
    pointing: Pointing | None
    trained_on: pd.DataFrame
    assignments: int


def _exit_of(spec: TrainSpec) -> str:
    if spec.exit is None:
        return ""
    last = max(block for block, _ in spec.exit.tokens.places)
    return f"; the whole look ends after block {last} where a linear head on blocks up to it is sure that no more comes"


def write_card(path: Path, entry: ModelEntry, figures: Figures, run: Path) -> None:
    """Write the card from the manifest entry, the run's config and the evaluation's figures."""
    spec, count = load_spec(run / "train.yaml"), figures.assignments
    text = _HEAD.format(
        ref=entry.ref,
        folds=spec.folds,
        assignments=f", the mean over {count} assignments of sources to them" if count > 1 else "",
        labels=", ".join(f"`{category}`" for category in entry.labels),
        prior=entry.prior,
        file=entry.file,
        sha256=entry.sha256,
        precision=entry.precision,
        weights="".join(f"; weights in `{each.file}`" for each in entry.weights),
        whole=entry.views.whole_size,
        crop=entry.views.crop_size,
        architecture=(
            f"timm `{spec.backbone.name}`, its first {spec.backbone.depth} blocks, frozen; both looks in one batch; "
            f"whole: {_read_by(spec.fit.whole)}; crops: {_read_by(spec.fit.crops)}"
            f"{_exit_of(spec)}"
        ),
        count=entry.views.crop_count,
        pictures=entry.training_data.pictures,
        sources=entry.training_data.sources,
        digest=entry.training_data.digest,
        licence=entry.licence,
        created=entry.created,
        thresholds=", ".join(f"`{each.category}` ({each.action}) {each.value:.3f}" for each in entry.thresholds),
    )
    if path.with_name("curves.png").is_file():
        text += "\n![ROC, scores and reliability](curves.png)\n"
    for title, table in figures.tables.items():
        text += f"\n## {title}\n\n{markdown(table)}"
    if figures.pointing is not None:
        text += heatmap_section(figures.pointing)
    text += f"\n## Training sources\n\nThe forgeries were made from the genuine ones.\n\n{markdown(figures.trained_on)}"
    path.write_text(text + _TAIL + _comparison_of(path), encoding="utf-8")


_HEATMAPS = """
## Heatmaps

On the project's own forgeries with masks, of sources that the locator never saw, and on real edits apart: the heatmap
of what was forged. For comparison, a guess that needs no model: the middle of the picture. A map of `ai_generated` says
"everywhere" from a score of 0.5 on; the AI-made pictures here are known to the heads that score them.

"""


def heatmap_section(pointing: Pointing) -> str:
    """What the heatmaps did."""
    return _HEATMAPS + markdown(pointing.table())


def renew_heatmaps(path: Path, pointing: Pointing) -> None:
    """Put a new section into a card, in place of the one that is there; nothing else changes."""
    text = path.read_text(encoding="utf-8")
    start = text.find("\n## Heatmaps\n")
    end = text.find("\n## ", start + 1)
    if start < 0 or end < 0:
        raise ValueError(f"{path}: has no section Heatmaps that another one follows")
    path.write_text(text[:start] + heatmap_section(pointing) + text[end:], encoding="utf-8")


def _comparison_of(path: Path) -> str:
    """What `compare.train` wrote into the card that stands there: the detector's figures do not touch it."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    start = text.find(COMPARISON_SECTION)
    if start < 0:
        return ""
    end = text.find("\n## ", start + 1)
    return "\n" + (text[start:] if end < 0 else text[start:end])


def _read_by(look: LookSpec) -> str:
    """A head in words."""
    tokens = look.tokens
    parts = [
        f"{name} of blocks {', '.join(map(str, blocks))}"
        for name, blocks in (("class tokens", tokens.class_tokens), ("patch means", tokens.patch_mean),
                             ("patch spreads", tokens.patch_spread)) if blocks
    ]  # fmt: skip
    network = f", averaged with a network of {look.hidden} hidden units" if look.hidden else ""
    return f"a linear head on {' and '.join(parts)}{network}"


def markdown(table: pd.DataFrame) -> str:
    """A GitHub table."""
    rows = [table.columns.astype(str), ["---"] * len(table.columns), *table.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)
