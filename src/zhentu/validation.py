"""What pydantic found wrong, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol


class Reported(Protocol):
    """pydantic's ValidationError, and FastAPI's errors of the same shape."""

    def errors(self) -> Sequence[Any]:
        """Each with `loc`, `msg` and `input`."""
        ...


MOST_PROBLEMS = 10  # more help nobody


def problems_of(error: Reported, *, whole: str = "", with_input: bool = False) -> list[str]:
    """The first ten problems, each "where: what".

    whole: how the validated thing itself is called.  with_input: also say what was given.
    """
    return [
        f"{'.'.join(map(str, found['loc'])) or whole}: {found['msg']}"
        + (f" (got {found['input']!r})" if with_input else "")
        for found in islice(error.errors(), MOST_PROBLEMS)
    ]
