"""Which pictures a scan means: files, folders (recursive) and globs, in a stable order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from zhentu.errors import UsageError

SUFFIXES = frozenset(  # what zhentu decodes
    [".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".mpo"]
)


def find_pictures(sources: Iterable[str]) -> list[str]:
    """Every picture of the sources once, in the order given, folders sorted by path.

    A file named outright, or matched by a glob, is taken whatever its suffix; inside folders the suffix decides.
    Links to folders are not followed. Raises UsageError naming a source that matches nothing or a folder that cannot be
    read: leaving it out in silence would make the rows look complete.
    """
    found: dict[str, None] = {}  # paths as text: the listing is the one thing that grows with the backlog
    for source in sources:
        matched = _expand(source)
        if not matched:
            raise UsageError(
                f"{source}: no pictures found; name a file, a folder or a glob "
                f"(in folders these suffixes count: {', '.join(sorted(SUFFIXES))})"
            )
        found.update(dict.fromkeys(matched))
    return list(found)


def _expand(source: str) -> list[str]:
    if Path(source).is_dir():
        return _walk(source)
    if os.path.lexists(source):  # a broken link too: its row says so
        return [str(Path(source))]
    matches = sorted(glob.iglob(source, recursive=True))
    return [path for match in matches for path in (_walk(match) if Path(match).is_dir() else [str(Path(match))])]


def _walk(folder: str) -> list[str]:
    return sorted(
        str(Path(parent, name))
        for parent, _, names in os.walk(folder, onerror=_unreadable)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES
    )


def _unreadable(error: OSError) -> NoReturn:
    raise UsageError(
        f"{error.filename}: the folder cannot be read: {error.strerror}; allow it or leave it out"
    ) from error
