"""The training manifest: one row per picture, read by training and evaluation, written by `prepare` and by reviewers.

Columns: path, split (train | dev | calibrate | disputed), source, product, kind, goods, generator, labels, known, mask,
pair, recipe. `labels` and `known` hold category names separated by spaces: one in `known` but not in `labels` is a
negative, one not in `known` is left out of the loss (nobody said whether an AI picture also shows the wrong material).
`path`, `mask` and `pair` are relative to the manifest's folder unless absolute.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from zhentu.atomic import write_whole
from zhentu.errors import UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training.reading import read_table, some_of

DISPUTED = "disputed"  # split of a review export: people disagree, so it teaches nothing
SPLITS = ("train", "dev", "calibrate", DISPUTED)
EDIT = "pair"  # the recipe of pictures that somebody's generator edited


class Origin(StrEnum):
    """Who made a picture what it is."""

    REAL = "real"  # as found: genuine, or made by somebody's generator
    EDIT = "edit"  # one of a pair, a genuine picture and what somebody's generator made of it
    OWN = "own"  # by zhentu-forge


@dataclass(frozen=True, slots=True)
class Sample:
    """One row. mask: where it was forged, None = everywhere. pair: the genuine picture it was made from."""

    path: Path
    split: str
    source: str
    product: str
    kind: str
    goods: str
    generator: str
    labels: frozenset[Category]
    known: frozenset[Category]
    mask: Path | None
    pair: Path | None
    recipe: str

    @property
    def forged(self) -> bool:
        """Whether any of the five labels holds."""
        return bool(self.labels)

    @property
    def origin(self) -> Origin:
        """Who made the picture what it is."""
        if self.recipe == EDIT:
            return Origin.EDIT
        return Origin.OWN if self.recipe else Origin.REAL

    @staticmethod
    def genuine(path: Path, source: str, split: str) -> Sample:
        """The row of a genuine picture that is a product of its own, named by its file."""
        return Sample(
            path=path,
            split=split,
            source=source,
            product=f"{source}/{path.stem}",
            kind="",
            goods="",
            generator="",
            labels=frozenset(),
            known=frozenset(CATEGORIES),
            mask=None,
            pair=None,
            recipe="",
        )

    def original(self) -> Sample:
        """The genuine picture this one was made from, as a row of its own. Only where there is a `pair`."""
        assert self.pair is not None  # noqa: S101 - callers ask for forgeries alone
        return replace(
            self, path=self.pair, labels=frozenset(), known=frozenset(CATEGORIES), mask=None, pair=None, generator=""
        )

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Target of each of the five and whether it is known, float32 (5,).

        `ai_generated` is learnt from pictures as they are found, never from the project's own forgeries: their networks
        are few, and what they leave behind is not in today's generators.
        """
        target = np.array([category in self.labels for category in CATEGORIES], np.float32)
        known = np.array([category in self.known for category in CATEGORIES], np.float32)
        if self.origin is Origin.OWN:
            known[CATEGORIES.index(Category.AI_GENERATED)] = 0
        return target, known


COLUMNS = tuple(field.name for field in fields(Sample))


def read_manifest(path: Path) -> list[Sample]:
    """Read CSV or Parquet. Raises UsageError naming every missing column, and what is wrong in which lines."""
    rows = read_table(path)
    missing = [column for column in ("path", "labels", "source", "split") if rows and column not in rows[0]]
    if missing:
        raise UsageError(
            f"{path}: missing columns {', '.join(missing)} (it has {', '.join(rows[0])}); "
            f"a manifest has {', '.join(COLUMNS)}"
        )
    problems: dict[str, list[str]] = {}
    samples = []
    for number, row in enumerate(rows, start=1):
        try:
            samples.append(_sample(row, path.parent.resolve()))
        except _RowError as error:
            problems.setdefault(str(error), []).append(str(number))
    if problems:
        told = "; ".join(f"{problem} (rows {some_of(numbers)})" for problem, numbers in problems.items())
        raise UsageError(f"{path}: {told}")
    return samples


def write_manifest(samples: list[Sample], path: Path) -> None:
    """Write CSV, paths relative to the manifest where they lie below it; whole, or the old one stays."""
    rows = [{column: _cell(getattr(sample, column), path.parent) for column in COLUMNS} for sample in samples]
    text = pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False)
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def digest(samples: list[Sample]) -> str:
    """sha256 over every sample's bytes and labels: names the training data exactly."""
    whole = hashlib.sha256()
    for sample in sorted(samples, key=lambda each: str(each.path)):
        whole.update(hashlib.sha256(sample.path.read_bytes()).digest())
        whole.update(" ".join(sorted(sample.labels)).encode())
    return whole.hexdigest()


class _RowError(Exception):
    """What is wrong with a row, in a sentence."""


def _sample(row: Mapping[str, str], folder: Path) -> Sample:
    text = {column: row.get(column, "") for column in COLUMNS}
    if not text["path"].strip():
        raise _RowError("no path")
    split = text["split"].strip().lower() or "train"
    if split not in SPLITS:
        raise _RowError(
            f"unknown split {text['split']!r}; known: {', '.join(SPLITS)}. A model learns from every row but the "
            "disputed ones and is judged on sources left out: take rows that you hold back out of the manifest"
        )
    labels = _categories(text["labels"], "label")
    known = _categories(text["known"], "category in known") if "known" in row else frozenset(CATEGORIES)
    if not known or not labels <= known:
        raise _RowError("`known` must hold every label, and for a genuine picture what was looked for")
    return Sample(
        path=_below(folder, text["path"]),
        split=split,
        source=text["source"],
        product=text["product"] or text["path"],
        kind=text["kind"],
        goods=text["goods"],
        generator=text["generator"],
        labels=labels,
        known=known,
        mask=_below(folder, text["mask"]) if text["mask"] else None,
        pair=_below(folder, text["pair"]) if text["pair"] else None,
        recipe=text["recipe"],
    )


def _categories(cell: str, what: str) -> frozenset[Category]:
    """Categories of a cell, however written: in capitals, between spaces, commas or semicolons."""
    names = [name for name in re.split(r"[\s,;|]+", cell.strip().lower()) if name]
    unknown = [name for name in names if name not in list(CATEGORIES)]
    if unknown:
        hint = "; the cell of a genuine picture is empty" if what == "label" else ""
        raise _RowError(f"unknown {what} {', '.join(unknown)}; known: {', '.join(CATEGORIES)}{hint}")
    return frozenset(Category(name) for name in names)


def _below(folder: Path, name: str) -> Path:
    """Features are kept by path, so each picture has exactly one path, however a manifest names it."""
    return Path(os.path.normpath(folder / name))


def _cell(value: object, folder: Path) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(folder)) if value.is_relative_to(folder) else str(value.resolve())
    if isinstance(value, frozenset):
        return " ".join(category.value for category in CATEGORIES if category in value)
    return "" if value is None else str(value)
