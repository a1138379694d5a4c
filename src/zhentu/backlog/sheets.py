"""Sheets as programs save them -> rows of named cells: text in any usual encoding, workbooks, JSON lines, Parquet.

The first bytes decide what a file is: systems name text `.xls`, and people rename files. Text is streamed; a bad row
costs that row, and a quote that is never closed costs one line, not the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from zhentu.errors import UsageError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

SUFFIXES = frozenset([".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"])
_DELIMITERS = ",;\t|"
_GUESS_BYTES = 64 * 2**20  # of a text, read to tell its encoding; the rest is decoded in the same way
_CHUNK = 1 << 20
_LONGEST_LINE = 4 << 20  # characters
_FIELD_LIMIT = 1 << 20  # characters of one CSV field: reference lists grow long
_MOST_LINES = 200  # of one record; a longer one has an unclosed quote
_BATCH = 2_000  # rows of Parquet in memory at once
_WORKBOOK_BYTES = 1 << 30  # of a workbook once unpacked: it is read whole
_SEPARATOR_LINE = re.compile(r"^sep=(.)\s*$", re.IGNORECASE)  # Excel's own first line


@dataclass(frozen=True, slots=True)
class SheetForm:
    """How a text sheet is written; "" = guess. encoding: by Python's name.  delimiter: one character."""

    encoding: str = ""
    delimiter: str = ""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """cells: by column name as in the sheet.  problem: why the row cannot be read, "" if it can."""

    line: int
    cells: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """An open sheet.

    form: how it is read, "" if there is nothing to say.  columns: None if each row has its own.  typed: written by a
    program, cell by cell, so that space in a text is intended.  doubles: columns of one meaning, the one used first.
    """

    kind: str
    form: SheetForm
    columns: tuple[str, ...] | None
    rows: Iterator[SheetRow]
    typed: bool = False
    doubles: tuple[tuple[str, ...], ...] = ()


def open_sheet(stream: BinaryIO, name: str, form: SheetForm | None = None) -> Sheet:
    """Begin to read a sheet. Raises UsageError if it is not one or cannot be read at all."""
    start = stream.read(8)
    stream.seek(0)
    if start.startswith(b"PAR1") or PurePosixPath(name).suffix.lower() == ".parquet":
        return _parquet(stream, name)
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
        return _workbook(stream, name)
    return _text(stream, name, form or SheetForm())


def _text(stream: BinaryIO, name: str, form: SheetForm) -> Sheet:
    encoding = form.encoding or _encoding_of(stream)
    try:
        lines = _Lines(io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline=""))
    except LookupError as error:
        raise UsageError(f"--encoding {encoding}: {error}; name one that Python knows, e.g. gb18030") from error
    head = lines.peek()
    if head.lstrip()[:1] in ("{", "["):
        return Sheet("JSON lines", SheetForm(encoding), None, _json_rows(lines), typed=True)
    if head.lstrip()[:1] == "<":
        raise UsageError(f"{name}: is a web page named like a sheet; save it as .xlsx or .csv")
    delimiter = form.delimiter
    if separator := _SEPARATOR_LINE.match(head):
        next(lines)
        delimiter = delimiter or separator.group(1)
    delimiter = delimiter or _delimiter_of(lines.peek())
    rows = _records(lines, delimiter)
    header = next((row for row in rows if not isinstance(row, SheetRow)), None)
    columns = tuple(header[1]) if header else ()
    return Sheet("CSV", SheetForm(encoding, delimiter), columns, _csv_rows(rows, columns))


def _encoding_of(stream: BinaryIO) -> str:
    """A byte order mark, the zero bytes of UTF-16, valid UTF-8, or GB18030, which Chinese Excel writes."""
    start = stream.read(4096)
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if start.startswith(mark):
            stream.seek(0)
            return encoding
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 > len(start):
        stream.seek(0)
        return "utf-16-le" if odd > even else "utf-16-be"
    errors = {}
    for encoding in ("utf-8", "gb18030"):
        stream.seek(0)
        errors[encoding] = _errors(stream, encoding)
        if not errors[encoding]:
            break
    stream.seek(0)
    return min(errors, key=lambda each: errors[each])


def _errors(stream: BinaryIO, encoding: str) -> int:
    """How many characters of the beginning cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return sum(decoder.decode(stream.read(_CHUNK)).count("\ufffd") for _ in range(_GUESS_BYTES // _CHUNK))


def _delimiter_of(header: str) -> str:
    """The delimiter that splits the header into the most columns, respecting quotes."""

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), []))
        except csv.Error:  # a stray line end or an endless field: read as a record, it is a row with that problem
            return 0

    return max(_DELIMITERS, key=columns)


class _Lines:
    """Lines of a text, from 1, of bounded length; those of a broken record can be put back."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream, self._back = stream, list[str]()
        self.number, self.taken = 0, list[str]()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        return line

    def peek(self) -> str:
        """The next non-empty line, without consuming it; "" at the end."""
        while True:
            line = self._back.pop() if self._back else self._read()
            if not line or line.strip("\r\n\ufeff \t"):
                if line:
                    self._back.append(line)
                return line
            self.number += 1

    def give_back(self) -> None:
        """Put back all lines since `taken` was emptied, except the first."""
        again = self.taken[1:]
        self._back += reversed(again)
        self.number -= len(again)

    def _read(self) -> str:
        line = self._stream.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE and not line.endswith(("\n", "\r")):
            while (rest := self._stream.readline(_LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                pass
        return line


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str]] | SheetRow]:
    """(line, cells) of each record that is not empty."""
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        began, problem, cells = lines.number + 1, "", list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = str(error)
        if len(lines.taken) > _MOST_LINES:
            problem = f"a quote is not closed within {_MOST_LINES} lines"
        if problem:
            lines.give_back()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield SheetRow(began, problem=problem)
        elif cells:
            yield began, cells


def _csv_rows(records: Iterable[tuple[int, list[str]] | SheetRow], columns: tuple[str, ...]) -> Iterator[SheetRow]:
    for record in records:
        if isinstance(record, SheetRow):
            yield record
        else:
            line, cells = record
            yield SheetRow(line, dict(zip(columns, cells, strict=False)))


def _json_rows(lines: _Lines) -> Iterator[SheetRow]:
    for line in lines:
        lines.taken.clear()
        if not line.strip():
            continue
        try:
            row = json.loads(line.lstrip("\ufeff"), object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            yield SheetRow(lines.number, problem=f"not read as JSON: {error}")
            continue
        if isinstance(row, dict):
            yield SheetRow(lines.number, row)
        else:
            yield SheetRow(lines.number, problem="must be an object with `path` or `url`")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a key that is there twice, of which JSON would keep the last without a word."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice in one object")
    return row


def _parquet(stream: BinaryIO, name: str) -> Sheet:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these two kinds
        raise UsageError(f"{name}: not readable as Parquet: {error}") from error
    return Sheet("Parquet", SheetForm(), tuple(file.schema_arrow.names), _parquet_rows(file, name), typed=True)


def _parquet_rows(file: ParquetFile, name: str) -> Iterator[SheetRow]:
    import pyarrow as pa

    number = 0
    try:
        for batch in file.iter_batches(_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield SheetRow(number, row)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{name}, after row {number}: not readable as Parquet: {error}") from error


def _workbook(stream: BinaryIO, name: str) -> Sheet:
    """The first non-empty sheet of a workbook; rows are numbered as spreadsheet programs show them."""
    from python_calamine import CalamineError, CalamineWorkbook

    _check_unpacked(stream, name)
    try:
        workbook = CalamineWorkbook.from_filelike(stream)
        pages = (workbook.get_sheet_by_name(each).to_python(skip_empty_area=False) for each in workbook.sheet_names)
        rows = next((page for page in pages if any(any(cell != "" for cell in row) for row in page)), [])
    except (CalamineError, OSError, ValueError) as error:
        raise UsageError(f"{name}: not readable as a workbook: {error}; save it as .xlsx or .csv") from error
    first = next((place for place, row in enumerate(rows) if any(cell != "" for cell in row)), 0)
    columns = tuple(str(cell) for cell in rows[first]) if rows else ()
    cells = (
        SheetRow(line, dict(zip(columns, row, strict=False))) for line, row in enumerate(rows[first + 1 :], first + 2)
    )
    return Sheet("workbook", SheetForm(), columns, cells)


def _check_unpacked(stream: BinaryIO, name: str) -> None:
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return
    stream.seek(0)
    with zipfile.ZipFile(stream) as archive:
        size = sum(each.file_size for each in archive.infolist())
    stream.seek(0)
    if size > _WORKBOOK_BYTES:
        raise UsageError(
            f"{name}: unpacks to {size / 2**20:.0f} MiB, the limit is {_WORKBOOK_BYTES / 2**20:.0f}; save it as .csv"
        )
