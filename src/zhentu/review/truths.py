"""What was decided about each record, as ground truth for training manifests and for comparing models."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from zhentu.atomic import unwritable
from zhentu.cells import from_cell, to_cell
from zhentu.errors import PictureError, PictureNotFound, UsageError
from zhentu.record.database import Database
from zhentu.record.store import RecordStore
from zhentu.record.written import Written, WrittenFiles
from zhentu.review.items import ReviewOutcome
from zhentu.review.pictures import ReviewPictures
from zhentu.review.rows import standing
from zhentu.review.schema import review_decisions, review_items
from zhentu.sampling import Purpose, place_of
from zhentu.types import CATEGORIES

# The columns of zhentu_training/dataset.py, then what only reviewers know; the reader there passes over the latter.
COLUMNS = (
    *("path", "split", "source", "product", "kind", "goods", "generator", "labels", "known", "mask", "pair", "recipe"),
    *("review", "decisions", "record_id", "model", "score"),
)
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


class Reviewed(StrEnum):
    """How sure a decision is."""

    SINGLE = "single"
    DOUBLE = "double"  # two reviewers said the same
    APPEAL = "appeal"  # an appeal's decision overrides earlier ones
    DISPUTED = "disputed"  # two reviewers disagree: kept in the file, not trained on


@dataclass(frozen=True, slots=True)
class Truth:
    """What people decided about a record. category: the one that was upheld, empty if the picture is honest.

    group_id: near-duplicates share it, so that none is in both training and development.
    """

    record_id: str
    category: str
    reviewed: Reviewed
    decisions: int
    group_id: str
    goods: str
    model: str
    score: float


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote. missing: pictures whose bytes are gone; unclear: wrong pictures, of no use for training.

    honest, forged: of the written ones that are trained on or judged by, which excludes disputed ones.
    """

    written: int
    by_review: dict[str, int]
    missing: int
    unclear: int
    honest: int = 0
    forged: int = 0


def truths(database: Database) -> tuple[list[Truth], int]:
    """Every record with standing decisions, oldest first, and the number of those that only said `wrong picture`."""
    columns = review_decisions.c
    query = standing(
        columns.record_id,
        columns.reviewer,
        columns.outcome,
        columns.category,
        review_items.c.kind,
        review_items.c.group_id,
        review_items.c.goods,
        review_items.c.model,
        review_items.c.score,
    )
    by_record: dict[str, list[Any]] = defaultdict(list)
    with database.begin() as connection:
        for row in connection.execute(query):
            by_record[row.record_id].append(row)
    found, unclear = [], 0
    for record_id, rows in by_record.items():
        truth = _truth(record_id, rows)
        unclear += truth is None
        if truth is not None:
            found.append(truth)
    return found, unclear


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """Where an export goes.

    dev_ratio: share of near-duplicate groups kept for development, 0..1; of those only what two reviewers or an appeal
    decided, the rest is trained on.  written: where copies are noted, so that no scan takes them for pictures.
    overwrite: a manifest may be replaced that no export wrote.
    """

    folder: Path
    dev_ratio: float = 0.2
    written: WrittenFiles | None = None
    overwrite: bool = False

    @property
    def manifest(self) -> Path:
        """The manifest in it."""
        return self.folder / "manifest.csv"

    def check(self, base: Path | None) -> None:
        """Raise UsageError if an export would replace what is no export, or the manifest that it adds to."""
        if base and base.resolve() == self.manifest.resolve():
            raise UsageError(f"{base}: cannot be added to itself; name another folder for the export")
        if self.overwrite or not self.manifest.exists():
            return
        with self.manifest.open(encoding="utf-8", errors="replace") as stream:
            if stream.readline().strip() != ",".join(COLUMNS):
                raise UsageError(
                    f"{self.manifest}: no export wrote it; name another folder, or replace it with --overwrite"
                )


def export_manifest(
    store: RecordStore, pictures: ReviewPictures, spec: ExportSpec, base: Path | None = None
) -> Exported:
    """Write `manifest.csv` and the pictures it names into a folder; zhentu_training.fit takes it as it is.

    base: another manifest whose rows come first, so that a model learns from both.
    Raises UsageError if the folder cannot be written, base cannot be read, or something would be lost.
    """
    spec.check(base)
    folder = spec.folder
    found, unclear = truths(store.database)
    rows = _base_rows(base) if base else []
    kept = _for_development(found, spec.dev_ratio)
    missing, counts, sides = 0, Counter[str](), Counter[bool]()
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for truth in found:
            record = store.get(truth.record_id)
            try:
                payload = pictures.original(record)
            except (PictureNotFound, PictureError):
                missing += 1
                continue
            suffix = _SUFFIXES.get(record.picture_format, record.picture_format.lower())
            path = Path("pictures") / f"{record.picture_sha256}.{suffix}"
            (folder / path).write_bytes(payload)
            if spec.written:
                spec.written.note(folder / path, payload, Written.TRAINING)
            rows.append(_row(truth, path, "dev" if truth.group_id in kept else "train"))
            counts[truth.reviewed.value] += 1
            sides[bool(truth.category)] += truth.reviewed is not Reviewed.DISPUTED
        with spec.manifest.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: to_cell(value) for name, value in row.items()} for row in rows)
    except OSError as error:
        raise unwritable(folder, error) from error
    return Exported(sum(counts.values()), dict(counts), missing, unclear, sides[False], sides[True])


def _truth(record_id: str, rows: Sequence[Any]) -> Truth | None:
    appealed = [row for row in rows if row.kind == "appeal"]
    deciding = appealed[-1:] or [row for row in rows if row.outcome != ReviewOutcome.WRONG_PICTURE.value]
    deciding = [row for row in deciding if row.outcome != ReviewOutcome.WRONG_PICTURE.value]
    if not deciding:
        return None
    outcomes, categories = {row.outcome for row in deciding}, {row.category for row in deciding}
    if appealed:
        reviewed = Reviewed.APPEAL
    elif len(outcomes) > 1 or len(categories) > 1:
        reviewed = Reviewed.DISPUTED
    else:
        reviewed = Reviewed.DOUBLE if len({row.reviewer for row in deciding}) > 1 else Reviewed.SINGLE
    last = deciding[-1]
    return Truth(
        record_id, last.category, reviewed, len(rows), last.group_id, last.goods, last.model, float(last.score)
    )


def _for_development(found: Sequence[Truth], ratio: float) -> set[str]:
    """Groups kept for development: a share of those that are certain throughout.

    Thresholds depend on a few genuine pictures in a thousand: one person's slips would move them.
    """
    unsure = {each.group_id for each in found if each.reviewed not in (Reviewed.DOUBLE, Reviewed.APPEAL)}
    drawn = {each.group_id for each in found if place_of(each.group_id, Purpose.DEVELOPMENT) < ratio}
    return drawn - unsure


def _row(truth: Truth, path: Path, split: str) -> dict[str, object]:
    honest = not truth.category
    return {
        "path": path.as_posix(),
        "split": "disputed" if truth.reviewed is Reviewed.DISPUTED else split,
        "source": "review",
        "product": truth.group_id,
        "kind": "",
        "goods": truth.goods,
        "labels": truth.category,
        # An honest picture shows none of the five; for a forged one only the upheld category was checked.
        "known": " ".join(CATEGORIES) if honest else truth.category,
        "review": truth.reviewed.value,
        "decisions": truth.decisions,
        "record_id": truth.record_id,
        "model": truth.model,
        "score": round(truth.score, 6),
    }


def _whole_rows(stream: TextIO, base: Path) -> Iterator[dict[str, Any]]:
    """Rows of a CSV. Raises UsageError at one that is cut short: an empty cell among labels would mean genuine."""
    lines = csv.DictReader(stream)
    for row in lines:
        if None in row.values() or None in row:
            columns = len(lines.fieldnames or ())
            raise UsageError(f"{base}: line {lines.line_num} has fewer or more than {columns} cells; complete it")
        yield row


def _base_rows(base: Path) -> list[dict[str, object]]:
    """Rows of another manifest, their paths made absolute."""
    try:
        with base.open(encoding="utf-8-sig", newline="") as stream:  # Excel begins with a mark
            rows: list[dict[str, Any]] = [
                {k: from_cell(v) for k, v in row.items() if k} for row in _whole_rows(stream, base)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{base}: cannot be read as a CSV manifest: {error}") from error
    if not all("path" in row and "labels" in row for row in rows):
        raise UsageError(f"{base}: is not a training manifest; it has no columns path and labels between commas")
    known = " ".join(CATEGORIES)
    return [
        dict[str, object](known=known)  # a manifest without that column knows every category
        | row
        | {name: str((base.parent / row[name]).resolve()) for name in ("path", "mask", "pair") if row.get(name)}
        for row in rows
    ]
