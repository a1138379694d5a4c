"""Which pictures a scan means: files, folders (recursive) and globs, in a stable order."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from zhentu.errors import UsageError

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jfif",
        ".jpe",
        ".png",
        ".webp",
        ".avif",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".mpo",
    ]  # what zhentu decodes
)


def find_pictures(sources: Iterable[str]) -> list[Path]:
    """Every picture of the sources once, in the order given, folders sorted by path.

    A file named outright, or matched by a glob, is taken whatever its suffix; inside folders the suffix decides.
    Raises UsageError naming a source that matches nothing.
    """
    found: dict[Path, None] = {}
    for source in sources:
        matched = _expand(source)
        if not matched:
            raise UsageError(
                f"{source}: no pictures found; name a file, a folder or a glob "
                f"(in folders these suffixes count: {', '.join(sorted(SUFFIXES))})"
            )
        found.update(dict.fromkeys(matched))
    return list(found)


def _expand(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and not each.is_dir())
    if path.exists() or path.is_symlink():
        return [path]
    matches = sorted(Path(match) for match in glob.iglob(source, recursive=True))
    return [path for match in matches for path in (_expand(str(match)) if match.is_dir() else [match])]
