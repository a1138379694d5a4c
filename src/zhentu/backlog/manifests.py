"""Manifests: a CSV, JSONL or Parquet file, or an SQL query, that names pictures and the listings they stand in.

Columns: `path` or `url` (one of them is needed), and where known `listing_id`, `seller_id`, `goods`, `title`,
`declared_ai` (true/false), `declared_attributes` (an object; in CSV as JSON) and `references` (a list; in CSV separated
by spaces or as JSON). Other columns are ignored.
Rows stream: a manifest may be larger than memory.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import pyarrow.parquet as pq
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from zhentu.backlog.items import LISTING_COLUMNS, TEXT_COLUMNS, Item
from zhentu.errors import UsageError
from zhentu.types import Listing

SUFFIXES = frozenset([".csv", ".jsonl", ".ndjson", ".parquet"])
_PATH_COLUMNS = ("path", "url")
_BATCH = 2_000  # rows of Parquet or SQL in memory at once
_FIELD_LIMIT = 1 << 20  # characters of one CSV field: reference lists grow long


def is_manifest(path: str) -> bool:
    """Whether the suffix says that this file names pictures instead of being one."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def read_manifest(stream: BinaryIO, name: str) -> Iterator[Item]:
    """The items of an open manifest. Raises UsageError naming the row that cannot be read."""
    suffix = PurePosixPath(name).suffix.lower()
    rows = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(suffix, _jsonl_rows)(stream, name)
    for number, row in rows:
        yield _item(row, f"{name}, row {number}")


def read_query(url: str, query: str) -> Iterator[Item]:
    """The items an SQL query yields, streamed. Raises UsageError when the database or the query fails."""
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise UsageError(f"--database {url.split(':')[0]}: {error}; give an SQLAlchemy URL and its driver") from error
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=_BATCH) as connection:
            rows = connection.execute(text(query))
            _check_columns(list(rows.keys()), "the query")
            for number, row in enumerate(rows.mappings(), 1):
                yield _item(dict(row), f"the query, row {number}")
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UsageError(f"the query failed: {cause}") from error
    finally:
        engine.dispose()


def _csv_rows(stream: BinaryIO, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(_FIELD_LIMIT)
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.DictReader(lines)
    try:
        _check_columns(reader.fieldnames or [], name)
        yield from enumerate(reader, 1)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{name}, near line {reader.line_num + 1}: {error}; it must be CSV in UTF-8") from error


def _jsonl_rows(stream: BinaryIO, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{name}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"{name}, line {number}: must be an object with `path` or `url`")
        yield number, row


def _parquet_rows(stream: BinaryIO, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        file = pq.ParquetFile(stream)
        _check_columns(file.schema_arrow.names, name)
        wanted = [each for each in file.schema_arrow.names if each in (*_PATH_COLUMNS, *LISTING_COLUMNS, "references")]
        number = 0
        for batch in file.iter_batches(_BATCH, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these two kinds
        raise UsageError(f"{name}: not readable as Parquet: {error}") from error


def _check_columns(columns: Iterable[str], name: str) -> None:
    columns = list(columns)
    if any(each in columns for each in _PATH_COLUMNS):
        return
    close = [match for each in _PATH_COLUMNS for match in get_close_matches(each, columns, 1, 0.5)]
    hint = f"; rename column '{close[0]}'?" if close else ""
    raise UsageError(f"{name}: needs a column `path` or `url`; it has {', '.join(columns) or 'none'}{hint}")


def _item(row: Mapping[str, Any], where: str) -> Item:
    path = next((row[each] for each in _PATH_COLUMNS if row.get(each)), None)
    if not path:
        raise UsageError(f"{where}: `path` or `url` is empty")
    words = {name: "" if row.get(name) is None else str(row[name]) for name in TEXT_COLUMNS}
    listing = Listing(
        **words,
        declared_ai=_truth(row.get("declared_ai"), where),
        declared_attributes=_attributes(row.get("declared_attributes"), where),
    )
    return Item(str(path), listing, _references(row.get("references"), where))


def _truth(value: object, where: str) -> bool | None:
    spoken = "" if value is None else str(value).strip().lower()
    if spoken in ("", "null", "none"):
        return None
    if spoken in ("1", "true", "yes", "1.0"):
        return True
    if spoken in ("0", "false", "no", "0.0"):
        return False
    raise UsageError(f"{where}: declared_ai is {value!r}; use true, false or nothing")


def _attributes(value: object, where: str) -> dict[str, str]:
    if value is None or value == "":
        return {}
    try:
        pairs = json.loads(value) if isinstance(value, str) else dict(value)  # type: ignore[call-overload]
        return {str(name): str(each) for name, each in pairs.items() if each is not None}
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{where}: declared_attributes must be an object of names and texts") from error


def _references(value: object, where: str) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return tuple(value.split())
        try:
            value = json.loads(value)
        except ValueError as error:
            raise UsageError(f"{where}: references are no JSON list: {error}") from error
    if not isinstance(value, list):
        raise UsageError(f"{where}: references must be a list of paths or URLs")
    return tuple(str(each) for each in value)
