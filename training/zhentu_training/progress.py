"""The progress of a step: its own bar, or one line of the view that `python -m zhentu_training run` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Show = Callable[[str, int, int | None], None]  # what, done, of how many

_SHOWN_BY: ContextVar[Show | None] = ContextVar("shown_by", default=None)


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """The items one by one, reporting how many are done. total: where `items` has no length."""
    show = _SHOWN_BY.get()
    if show is None:
        yield from tqdm(items, total=total, desc=what, unit=unit, mininterval=5, disable=None)
        return
    of = len(items) if total is None and isinstance(items, Sized) else total
    for done, item in enumerate(items):
        show(what, done, of)
        yield item
        show(what, done + 1, of)


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Within the block, `track` tells `show` instead of drawing bars."""
    token = _SHOWN_BY.set(show)
    try:
        yield
    finally:
        _SHOWN_BY.reset(token)
