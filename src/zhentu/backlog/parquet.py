"""Rows as Parquet. Apart from the other outputs, because pyarrow takes longer to import than a small scan takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zhentu.atomic import whole_file
from zhentu.backlog.rows import ScanRow

_ROW_GROUP = 10_000
_ARROW = {
    "str": pa.string(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "int | None": pa.int64(),
    "float | None": pa.float64(),
}
SCHEMA = pa.schema([(field.name, _ARROW[str(field.type)]) for field in fields(ScanRow)])
PART_SCHEMA = SCHEMA.append(pa.field("seq", pa.int64()))


def write_table(rows: Iterable[ScanRow], path: Path) -> None:
    """Write rows to a file, group by group."""
    with pq.ParquetWriter(path, SCHEMA) as writer:
        pending = iter(rows)
        while group := list(islice(pending, _ROW_GROUP)):
            columns = zip(*(astuple(row) for row in group), strict=True)
            writer.write_table(pa.table([list(column) for column in columns], schema=SCHEMA))


def write_part(rows: Sequence[tuple[int, ScanRow]], path: Path) -> None:
    """Write numbered rows as one Parquet file, which appears complete or not at all."""
    columns = [list(column) for column in zip(*((*astuple(row), seq) for seq, row in rows), strict=True)]
    with whole_file(path) as beside:
        pq.write_table(pa.table(columns, schema=PART_SCHEMA), beside)


def read_part(path: Path, batch: int = 256) -> Iterator[tuple[int, ScanRow]]:
    """The numbered rows of a part, in its order, a batch in memory at once."""
    with pq.ParquetFile(path) as file:
        for each in file.iter_batches(batch):
            for values in each.to_pylist():
                yield values.pop("seq"), ScanRow(**values)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of a file. Raises OSError, ValueError."""
    try:
        return list(pq.read_table(path, columns=list(columns)).to_pylist())
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def column_names(path: Path) -> tuple[str, ...]:
    """The names of a file's columns. Raises OSError, ValueError."""
    try:
        return tuple(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
