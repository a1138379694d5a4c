"""Files that are written completely or not at all, whatever interrupts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; moved into place, durably, if the block succeeds, removed otherwise.

    Raises OSError.
    """
    beside = path.with_name(f".{path.name}.writing")
    try:
        yield beside
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file in one piece. Raises OSError."""
    with whole_file(path) as beside:
        beside.write_bytes(payload)
