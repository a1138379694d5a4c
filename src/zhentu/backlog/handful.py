"""Whether a scan is of a handful of files, told before anything is imported that takes longer than to look them up."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

FEW = 64  # pictures that one process looks up in less time than workers need to start


def is_handful(sources: Iterable[str]) -> bool:
    """Whether the sources are files and folders of this machine that hold few files altogether."""
    left = FEW
    pending = list(sources)
    while pending:
        path = pending.pop()
        if not Path(path).exists():
            return False  # a glob, an address, a query; or a mistake that listing will name
        if not Path(path).is_dir():
            left -= 1
        else:
            try:
                with os.scandir(path) as entries:
                    for each in entries:
                        left -= 1
                        if left < 0:
                            return False
                        if each.is_dir(follow_symlinks=False):
                            pending.append(each.path)
            except OSError:
                return False
        if left < 0:
            return False
    return True
