"""Picture files of this machine: what names, folders and globs stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from zhentu.errors import UsageError

SUFFIXES = frozenset(  # what zhentu decodes; they decide inside folders only
    [".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".mpo"]
)


def find_pictures(sources: Iterable[str]) -> list[str]:
    """The paths that sources stand for, each once; those of a folder or glob are sorted. For a handful of pictures.

    Raises UsageError naming a source that matches nothing or a folder that cannot be read.
    """
    found: list[str] = []
    for source in sources:
        paths = sorted(local_pictures(source))
        if not paths:
            raise nothing_found(source)
        found += paths
    return list(dict.fromkeys(found))


def local_pictures(source: str) -> Iterator[str]:
    """Paths one by one, in no order. Links to folders are not followed. Raises UsageError for unreadable folders.

    A file named outright, or matched by a glob, is taken whatever its suffix; a broken link too, its row says so.
    """
    if Path(source).is_dir():
        yield from _walk(source)
    elif os.path.lexists(source):
        yield str(Path(source))
    else:
        for match in glob.iglob(source, recursive=True):
            if Path(match).is_dir():
                yield from _walk(match)
            else:
                yield str(Path(match))


def nothing_found(source: str) -> UsageError:
    """The error of a source that matches nothing."""
    return UsageError(
        f"{source}: no pictures found; name a file, a folder, a glob, a manifest or a URL "
        f"(in folders these suffixes count: {', '.join(sorted(SUFFIXES))})"
    )


def _walk(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder, onerror=_unreadable):
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES:
                yield str(Path(parent, name))


def _unreadable(error: OSError) -> NoReturn:
    raise UsageError(
        f"{error.filename}: the folder cannot be read: {error.strerror}; allow it or leave it out"
    ) from error
