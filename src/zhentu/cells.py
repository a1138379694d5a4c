"""Cells of the CSV files that zhentu writes: no spreadsheet may run them, and each comes back as it was.

A text that begins with = + - @ tab or CR is a formula to Excel and its like (CSV injection); an apostrophe before it
makes it text again. What already begins with apostrophes and such a character gets one more, so that reading can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MADE_HARMLESS = re.compile(r"'+[=+\-@\t\r]")
CSV_ENCODING = "utf-8-sig"  # Chinese Excel takes a CSV without the mark for GBK


def to_cell(value: Any) -> Any:
    """A value as it is written: None empty, a text made harmless, numbers as they are."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(text: str) -> str:
    """The text that was written as this cell."""
    return text[1:] if _MADE_HARMLESS.match(text) else text


def cells(values: Iterable[Any]) -> list[Any]:
    """A row as it is written."""
    return [to_cell(each) for each in values]
