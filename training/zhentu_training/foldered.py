"""Pictures as people have them, in folders by category or in a table, as rows of the training manifest."""

from __future__ import annotations

from pathlib import Path

from zhentu.errors import UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training.dataset import Sample, read_manifest

GENUINE, MADE = "genuine", "ai"  # folders beside those of the five
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}


def read_pictures(where: Path) -> list[Sample]:
    """Rows of a manifest (CSV or Parquet), or of a folder that has one, or of folders named by what is in them.

    genuine/, ai/ (= ai_generated/) and the five by name; below them, the first folder is the source, or the
    category's own folder where pictures lie in it directly. Raises UsageError if nothing can be learnt.
    """
    if where.is_file():
        samples = read_manifest(where)
    elif (where / "manifest.csv").is_file():
        samples = read_manifest(where / "manifest.csv")
    else:
        samples = _from_folders(where)
    for forged in (False, True):
        if not any(sample.forged is forged for sample in samples):
            kind = "forged or AI-made" if forged else "genuine"
            raise UsageError(f"{where}: holds no {kind} pictures; both kinds are needed to tell them apart")
    return samples


def _from_folders(where: Path) -> list[Sample]:
    named = {GENUINE: frozenset[Category](), MADE: frozenset({Category.AI_GENERATED})}
    named |= {category.value: frozenset({category}) for category in CATEGORIES}
    folders = [path for path in sorted(where.iterdir()) if path.is_dir()] if where.is_dir() else []
    unknown = [path.name for path in folders if path.name not in named and not path.name.startswith(".")]
    if unknown or not folders:
        found = ", ".join(unknown) or "no folders"
        raise UsageError(
            f"{where}: has {found}; name its folders {', '.join(named)}, or give a manifest (CSV, Parquet)"
        )
    samples = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                samples.append(_sample(path.resolve(), folder.resolve(), named[folder.name]))
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
