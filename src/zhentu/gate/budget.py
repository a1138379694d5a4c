"""Memory that all requests may hold together: taken before anything is read or fetched, given back at the end."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType

from zhentu.errors import Overloaded

_SHARE = 2  # of the total, for one caller: whoever fills a share leaves room for the others
_AGAIN_S = 1.0


class Budget:
    """Bytes that all requests may hold at once; safe to use from several threads.

    total: of all callers.  One caller gets half of it; the caller without a name (open mode) all of it.
    """

    def __init__(self, total: int) -> None:
        self.total, self.share = total, total // _SHARE
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes in use."""
        return self._held.total()

    def hold(self, owner: str) -> Hold:
        """Room for one request of `owner`; nothing is taken yet."""
        return Hold(self, owner)

    def take(self, owner: str, count: int) -> None:
        """Take `count` bytes. Raises Overloaded if they are not available."""
        with self._lock:
            if self._held.total() + count > self.total:
                raise Overloaded("the gate holds as many pictures as it can; try again", _AGAIN_S)
            if owner and self._held[owner] + count > self.share:
                raise Overloaded(
                    f"your requests hold {self._held[owner] / 2**20:.0f} MiB at once, the limit for one caller is "
                    f"{self.share / 2**20:.0f} MiB; send fewer at once",
                    _AGAIN_S,
                )
            self._held[owner] += count

    def give_back(self, owner: str, count: int) -> None:
        """Let go of `count` bytes."""
        with self._lock:
            self._held[owner] -= count
            if self._held[owner] <= 0:
                del self._held[owner]


class Hold:
    """What one request holds; a context manager that gives it back.

    Raises Overloaded if the gate or the caller holds too much.
    """

    def __init__(self, budget: Budget, owner: str) -> None:
        self._budget, self.owner, self.count = budget, owner, 0

    def grow(self, count: int) -> None:
        """Take `count` more bytes before they are read. Raises Overloaded."""
        self._budget.take(self.owner, count)
        self.count += count

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._budget.give_back(self.owner, self.count)
        self.count = 0
