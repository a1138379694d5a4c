"""Real edits: genuine pictures and what somebody's generator made of them, by the kind of the edit.

What an edit shows besides being generated is known from its kind alone; the other categories are unknown,
because nobody checked. Where a generator rewrote goods or ground, one picture
seldom tells: references do (zhentu compare).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from zhentu.types import CATEGORIES, Category
from zhentu_training.dataset import EDIT, Sample
from zhentu_training.foldered import collected
from zhentu_training.picture_files import write_picture

KINDS: Mapping[str, Category] = {  # a word of the kind, and what a buyer is misled about
    "try-on": Category.MATERIAL_MISMATCH,
    "material": Category.MATERIAL_MISMATCH,
    "colour": Category.MATERIAL_MISMATCH,
    "insertion": Category.SCENE_DISTORTION,
    "background": Category.SCENE_DISTORTION,
    "retouch": Category.EXAGGERATED_EFFECT,
    "relight": Category.EXAGGERATED_EFFECT,
}
_CASE = re.compile(r"/cases/(\d+)/|:cases/(\d+)/")
_PANES = 3  # of a strip: original, mask, result


def kind_of(sample: Sample) -> Category | None:
    """The category an edited picture is judged under; None for an original, or where the kind says nothing."""
    shown = [category for category in CATEGORIES if category in sample.labels and category is not Category.AI_GENERATED]
    return shown[0] if shown else None


def pairs_of(pictures: Path) -> list[Sample]:
    """Genuine -> edited pairs of `extras.csv`; none where the folder has no such file."""
    if not (pictures / "extras.csv").is_file():
        return []
    table = pd.read_csv(pictures / "extras.csv", dtype=str, keep_default_na=False)
    samples: list[Sample] = []
    for row in table[table["kind"] == "pair"].to_dict("records"):
        before, after = ((pictures / name).resolve() for name in row["file"].split("|"))
        kind, _, generator = row["detail"].rpartition("/")
        shown = {category for word, category in KINDS.items() if word in kind.lower()}
        source = row["origin"].split(":")[0]
        samples += _pair(before, after, source, f"pair: {kind}", generator, shown)
    return samples


def cases_of(pictures: Path) -> list[Sample]:
    """Rows `pair` of a picture folder's manifest whose files are inputs and outputs of numbered cases."""
    by_case: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in _pair_rows(pictures):
        found = _CASE.search(row["origin"])
        if found:
            by_case[row["source"], found.group(1) or found.group(2)].append(row)
    samples: list[Sample] = []
    for (source, number), rows in sorted(by_case.items()):
        before, after = (sorted(r["file"] for r in rows if word in r["origin"].lower()) for word in ("input", "output"))
        if before and after:
            first = (pictures / before[0]).resolve()
            for name in after:
                made = _pair(first, (pictures / name).resolve(), source, f"case {number}", rows[0]["generator"], set())
                samples += [each for each in made if each.path not in {sample.path for sample in samples}]
    return samples


def strips_of(pictures: Path, out: Path) -> list[Sample]:
    """Rows `pair` that are strips of three panes side by side, original, mask, result; panes are written to `out`."""
    samples: list[Sample] = []
    for row in _pair_rows(pictures):
        if "three panes" not in row["goods"]:
            continue
        strip = cv2.imread(str(pictures / row["file"]))
        if strip is None or strip.shape[1] % _PANES or strip.shape[1] // _PANES < strip.shape[0]:
            continue  # some files of the folder are masks or screenshots
        out.mkdir(parents=True, exist_ok=True)
        before, mask, after = (out / f"{Path(row['file']).stem}_{part}.png" for part in ("in", "mask", "out"))
        for path, pane in zip((before, mask, after), np.split(strip, _PANES, axis=1), strict=True):
            write_picture(path, pane)
        shown = {Category.SCENE_DISTORTION}
        pair = _pair(before.resolve(), after.resolve(), row["source"], "pair: background", row["generator"], shown)
        samples += [pair[0], replace(pair[1], mask=mask.resolve())]
    return samples


def _pair_rows(pictures: Path) -> Iterable[dict[str, str]]:
    return [row for row in collected(pictures) if row["label"] == "pair"]


def _pair(before: Path, after: Path, source: str, kind: str, generator: str, shown: set[Category]) -> list[Sample]:
    genuine = replace(Sample.genuine(before, source, "train"), kind=kind, recipe=EDIT)
    labels = frozenset({Category.AI_GENERATED} | shown)
    return [genuine, replace(genuine, path=after, generator=generator, labels=labels, known=labels, pair=before)]
