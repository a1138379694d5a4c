"""The training manifest: one row a picture, read by training and evaluation, written by `prepare` and by reviewers.

Columns: path, split (train | dev | calibrate), source, product, kind, goods, generator, labels, known, mask, pair,
recipe. `labels` and `known` hold label names separated by spaces: a label in `known` but not in `labels` is a negative,
one not in `known` is left out of the loss (nobody said whether an AI picture also shows the wrong material).
`path`, `mask` and `pair` are relative to the manifest's folder unless absolute.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from zhentu.types import CATEGORIES, Category


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

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Target and weight, float32 (6,): five labels, then forged. Weight 0 where the label is not known."""
        target = np.array([label in self.labels for label in CATEGORIES] + [self.forged], np.float32)
        weight = np.array([label in self.known for label in CATEGORIES] + [True], np.float32)
        return target, weight


COLUMNS = tuple(field.name for field in fields(Sample))


def read_manifest(path: Path) -> list[Sample]:
    """Read CSV or Parquet. Raises ValueError naming every missing column and every unknown label."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [column for column in ("path", "labels", "source", "split") if column not in table.columns]
    if missing:
        raise ValueError(f"{path}: missing columns {', '.join(missing)}; a manifest has {', '.join(COLUMNS)}")
    unknown = {name for cell in table["labels"] for name in str(cell).split()} - {label.value for label in CATEGORIES}
    if unknown:
        raise ValueError(f"{path}: unknown labels {', '.join(sorted(unknown))}; known: {', '.join(CATEGORIES)}")
    return [_sample(row, path.parent) for row in table.to_dict("records")]


def write_manifest(samples: list[Sample], path: Path) -> None:
    """Write CSV, paths relative to the manifest where they lie below it."""
    rows = [{column: _cell(getattr(sample, column), path.parent) for column in COLUMNS} for sample in samples]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)


def digest(samples: list[Sample]) -> str:
    """sha256 over every sample's bytes and labels: names the training data exactly."""
    whole = hashlib.sha256()
    for sample in sorted(samples, key=lambda each: str(each.path)):
        whole.update(hashlib.sha256(sample.path.read_bytes()).digest())
        whole.update(" ".join(sorted(sample.labels)).encode())
    return whole.hexdigest()


def _sample(row: dict[str, object], folder: Path) -> Sample:
    text = {column: str(row.get(column) or "") for column in COLUMNS}
    labels = frozenset(Category(name) for name in text["labels"].split())
    known = frozenset(Category(name) for name in text["known"].split()) if "known" in row else frozenset(CATEGORIES)
    return Sample(
        path=folder / text["path"],
        split=text["split"],
        source=text["source"],
        product=text["product"] or text["path"],
        kind=text["kind"],
        goods=text["goods"],
        generator=text["generator"],
        labels=labels,
        known=known,
        mask=folder / text["mask"] if text["mask"] else None,
        pair=folder / text["pair"] if text["pair"] else None,
        recipe=text["recipe"],
    )


def _cell(value: object, folder: Path) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(folder)) if value.is_relative_to(folder) else str(value.resolve())
    if isinstance(value, frozenset):
        return " ".join(label.value for label in CATEGORIES if label in value)
    return "" if value is None else str(value)
