"""Pictures as people have them, in folders by category or in a table, as rows of the training manifest."""

from __future__ import annotations

import sys
from pathlib import Path

from zhentu.errors import UsageError
from zhentu.intake.find import Taking, local_entries
from zhentu.intake.skipped import Skipped
from zhentu.types import CATEGORIES, Category
from zhentu_training.dataset import SPLITS, Sample, read_manifest
from zhentu_training.reading import read_table, some_of

GENUINE, MADE = "genuine", "ai"  # folders beside those of the five
_COLLECTED = ("file", "label", "split", "source", "generator", "kind", "goods")
_LABELS = (GENUINE, MADE, "pair")


def read_pictures(where: Path) -> list[Sample]:
    """Rows of a manifest (CSV or Parquet), or of a folder that has one, or of folders named by what is in them.

    genuine/, ai/ (= ai_generated/) and the five by name; below them, the first folder is the source, or the
    category's own folder where pictures lie in it directly. Raises UsageError if nothing can be learnt.
    """
    samples = rows_of(where)
    for forged in (False, True):
        if not any(sample.forged is forged for sample in samples):
            kind = "forged or AI-made" if forged else "genuine"
            raise UsageError(f"{where}: holds no {kind} pictures; both kinds are needed to tell them apart")
    return samples


def rows_of(where: Path) -> list[Sample]:
    """As `read_pictures`, be they of one kind alone. Raises UsageError."""
    if where.is_file():
        return read_manifest(where)
    if (where / "manifest.csv").is_file():
        return read_manifest(where / "manifest.csv")
    return _from_folders(where)


def collected(where: Path) -> list[dict[str, str]]:
    """Rows of a manifest.csv as scripts/fetch_data.py writes it, one `label` a picture; none where it is no such one.

    Raises UsageError naming what is wrong: any label but `genuine` would make a genuine picture an AI-made one.
    """
    path = where / "manifest.csv"
    rows = read_table(path) if path.is_file() else []
    if not rows or "label" not in rows[0] or "labels" in rows[0]:
        return []
    if missing := [column for column in _COLLECTED if column not in rows[0]]:
        raise UsageError(f"{path}: missing columns {', '.join(missing)}; it needs {', '.join(_COLLECTED)}")
    rows = [row | {name: row[name].strip().lower() for name in ("label", "split")} for row in rows]
    for column, known in (("label", _LABELS), ("split", SPLITS)):
        if unknown := sorted({row[column] for row in rows} - set(known)):
            raise UsageError(f"{path}: unknown {column} {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    if absent := [row["file"] for row in rows if not (where / row["file"]).is_file()]:
        raise UsageError(f"{path}: {len(absent)} of its files are missing: {some_of(absent)}; take out their rows")
    return rows


def _from_folders(where: Path) -> list[Sample]:
    """What is no picture is passed over by name: a phone's HEIC is one, and so is a JPEG without a suffix."""
    named = {GENUINE: frozenset[Category](), MADE: frozenset({Category.AI_GENERATED})}
    named |= {category.value: frozenset({category}) for category in CATEGORIES}
    inside = sorted(path for path in where.iterdir() if not path.name.startswith(".")) if where.is_dir() else []
    folders = [path for path in inside if path.is_dir()]
    unknown = [path.name for path in folders if path.name not in named]
    if unknown or not folders:
        found = ", ".join(unknown) or "no folders"
        raise UsageError(
            f"{where}: has {found}; name its folders {', '.join(named)}, or give a manifest (CSV, Parquet)"
        )
    samples, passed = [], [f"{path} (in none of the folders)" for path in inside if not path.is_dir()]
    for folder in folders:
        entries = list(local_entries(str(folder.resolve()), Taking()))
        passed += [f"{each.path} ({each.reason.value})" for each in entries if isinstance(each, Skipped)]
        for path in sorted(Path(each) for each in entries if not isinstance(each, Skipped)):
            samples.append(_sample(path, folder.resolve(), named[folder.name]))
    if passed:
        print(f"{len(passed)} files are passed over: {some_of(sorted(passed))}", file=sys.stderr)
    return samples


def _sample(path: Path, folder: Path, labels: frozenset[Category]) -> Sample:
    below = path.relative_to(folder).parts
    # An AI picture without further labels may or may not mislead: the four are unknown.
    known = labels if labels == {Category.AI_GENERATED} else frozenset(CATEGORIES)
    return Sample(
        path=path,
        split="train",
        source=below[0] if len(below) > 1 else folder.name,
        product=path.stem,
        kind="",
        goods="",
        generator="",
        labels=labels,
        known=known,
        mask=None,
        pair=None,
        recipe="",
    )
