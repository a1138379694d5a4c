"""Cells of the CSV files that zhentu writes: no spreadsheet may execute them, and each reads back as it was.

A text that begins with = + - @ tab or CR is a formula to spreadsheet programs (CSV injection); a leading apostrophe
makes it text again. Text that already begins with apostrophes and such a character gets one more, so it can be undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MADE_HARMLESS = re.compile(r"'+[=+\-@\t\r]")
CSV_ENCODING = "utf-8-sig"  # Chinese Excel takes a CSV without the mark for GBK


def to_cell(value: Any) -> Any:
    """A value as written: None as empty, text made harmless, numbers unchanged."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(text: str) -> str:
    """The original text of a written cell."""
    return text[1:] if _MADE_HARMLESS.match(text) else text


def cells(values: Iterable[Any]) -> list[Any]:
    """A row as it is written."""
    return [to_cell(each) for each in values]
