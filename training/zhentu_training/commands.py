"""What the commands of training share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from zhentu.errors import ZhentuError


@contextmanager
def errors_said_plainly() -> Iterator[None]:
    """End the process with the sentence of a ZhentuError and exit code 1: what to do stands in it, not in a trace."""
    try:
        yield
    except ZhentuError as error:
        sys.exit(str(error))
