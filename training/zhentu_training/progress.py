"""The progress of a step: its own bar, or one line of the view that `python -m zhentu_training run` shows.

Where no terminal shows it, in a log for instance, a line a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Show = Callable[[str, int, int | None], None]  # what, done, of how many

_LINE_EVERY = 60.0  # seconds

_SHOWN_BY: ContextVar[Show | None] = ContextVar("shown_by", default=None)


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """The items one by one, reporting how many are done. total: where `items` has no length."""
    show = _SHOWN_BY.get()
    if show is None and sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=unit, mininterval=5)
        return
    show = show or _lines()
    of = len(items) if total is None and isinstance(items, Sized) else total
    for done, item in enumerate(items):
        show(what, done, of)
        yield item
        show(what, done + 1, of)


def _lines() -> Show:
    last = time.monotonic()

    def show(what: str, done: int, of: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            print(f"{what}: {done} of {of}" if of is not None else f"{what}: {done}", file=sys.stderr, flush=True)

    return show


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Within the block, `track` tells `show` instead of drawing bars."""
    token = _SHOWN_BY.set(show)
    try:
        yield
    finally:
        _SHOWN_BY.reset(token)
