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


MOST_PROBLEMS = 10  # more would help nobody
_LONGEST_KEY, _DEEPEST = 60, 8


def problems_of(error: Reported, *, whole: str = "", with_input: bool = False) -> list[str]:
    """The first ten problems, each "where: what".

    whole: the name of the validated thing itself.  with_input: also say what was given.
    """
    return [
        f"{_where(found['loc']) or whole}: {found['msg']}" + (_given(found) if with_input else "")
        for found in islice(error.errors(), MOST_PROBLEMS)
    ]


def _where(place: Sequence[str | int]) -> str:
    """The place of a problem; it may contain a caller's own keys, of any length."""
    return ".".join(str(each)[:_LONGEST_KEY] for each in place[:_DEEPEST])


def _given(found: Any) -> str:
    """What was given, unless it is a secret."""
    secret = any("secret" in str(each) or each == "url" for each in found["loc"])
    return "" if secret else f" (got {found['input']!r})"
