"""Tables as people save them: UTF-8, UTF-16 or GB18030, commas, semicolons or tabs, Parquet. Every fault is named."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from zhentu.errors import UsageError

_DELIMITERS = ",;\t"
_NAMED = 5  # rows, in a message
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows by column, names of columns in small letters, empty cells "". Raises UsageError."""
    if not path.is_file():
        raise UsageError(f"{path}: is not there, or is no file; name a table (CSV or Parquet)")
    if path.suffix == ".parquet":
        return _parquet(path)
    payload = path.read_bytes()
    if payload.startswith(_WORKBOOKS):
        raise UsageError(f"{path}: is a workbook; save it as CSV")
    try:
        return _rows(path, _text(path, payload))
    except csv.Error as error:
        raise UsageError(f"{path}: is no CSV table: {error}") from error


def _parquet(path: Path) -> list[dict[str, str]]:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UsageError(f"{path}: cannot be read as Parquet: {error}") from error
    table.columns = _checked(path, [str(name) for name in table.columns])
    table = table.astype(object).where(table.notna(), "")
    return [{name: str(value) for name, value in row.items()} for row in table.to_dict("records")]


def _text(path: Path, payload: bytes) -> str:
    """What the bytes say. Excel writes GB18030 on a Chinese Windows, and UTF-16 as "Unicode text"."""
    marked = [encoding for mark, encoding in _MARKS if payload.startswith(mark)]
    for encoding in marked or ("utf-8", "gb18030"):
        try:
            text = payload.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UsageError(f"{path}: is no text; save the table as CSV in UTF-8")


def _rows(path: Path, text: str) -> list[dict[str, str]]:
    head = text.partition("\n")[0].rstrip("\r")
    delimiter = max(_DELIMITERS, key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = _checked(path, next(lines, []))
    rows, uneven = [], []
    for cells in lines:
        if len(cells) != len(columns) and any(cells):
            uneven.append(f"line {lines.line_num} has {len(cells)}")
        elif any(cells):
            rows.append(dict(zip(columns, cells, strict=True)))
    if uneven:  # a cell that is missing would be read as empty, which says "genuine" among labels
        raise UsageError(
            f"{path}: the header has {len(columns)} columns, but {some_of(uneven)}; "
            "complete them, and put cells with a comma in quotes"
        )
    return rows


def _checked(path: Path, columns: Sequence[str]) -> list[str]:
    names = [name.strip().casefold() for name in columns]
    if not any(names):
        raise UsageError(f"{path}: is empty; the first line names the columns")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise UsageError(f"{path}: names columns twice: {', '.join(twice)}; keep one of each")
    return names


def some_of(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
