"""Files that are written completely or not at all, whatever interrupts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zhentu.errors import UsageError


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


def unwritable(path: Path | str, error: OSError) -> UsageError:
    """What to tell whoever named a place that cannot be written to: the place, the system's reason, what to do."""
    reason = error.strerror or str(error)
    return UsageError(f"{path}: cannot be written: {reason}; name another place, or allow writing there")
