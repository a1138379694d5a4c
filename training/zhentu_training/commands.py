"""What the commands of training share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from zhentu.errors import UsageError, ZhentuError


@contextmanager
def errors_said_plainly() -> Iterator[None]:
    """End the process with the sentence of a ZhentuError and exit code 1: what to do stands in it, not in a trace.

    So do files that are not there, and disks that are full.
    """
    try:
        with disk_errors_named():
            yield
    except ZhentuError as error:
        sys.exit(str(error))


@contextmanager
def disk_errors_named() -> Iterator[None]:
    """Raise UsageError where the operating system refuses a file, with its name and what it says."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not of the system, but of a library that calls its own errors so
            raise
        file = f"{error.filename}: " if error.filename else ""
        after = "; what is finished is kept, give the same command again" if error.filename is None else ""
        raise UsageError(f"{file}{error.strerror}{after}") from error
