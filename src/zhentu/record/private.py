"""Files that only the process's own user may read, such as decisions, pictures and hashes of keys."""

from __future__ import annotations

import os
from pathlib import Path

_FILE, _FOLDER = 0o600, 0o700


def private_folder(path: Path) -> Path:
    """Make a folder and its missing parents for this user only; an existing one stays as it is."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=_FOLDER, exist_ok=True)
    return path


def private_file(path: str | Path, flags: int) -> int:
    """An `opener` for `open`: a new file is accessible to this user only."""
    return os.open(path, flags, _FILE)


def touch_private(path: Path) -> None:
    """Make an empty file for this user only, if there is none."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _FILE))
