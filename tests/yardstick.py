"""How long a call takes, and what it is held against in the same run: machines differ, and CI's are busy."""

from __future__ import annotations

import time
from collections.abc import Callable


def fastest(ask: Callable[[], object], enough: float = 0.0, tries: int = 3) -> float:
    """Processor seconds of the fastest of some calls; no further one once a call took no more than `enough`."""
    least = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        ask()
        least = min(least, time.thread_time() - began)
        if least <= enough:
            break
    return least
