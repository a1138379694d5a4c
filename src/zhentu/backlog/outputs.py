"""Rows into a file by its suffix (.csv, .jsonl or .parquet), written to a temporary file and moved into place."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from zhentu.atomic import whole_file
from zhentu.backlog.reading import filesystem_of, is_url, scheme_of
from zhentu.backlog.rows import COLUMNS, ScanRow
from zhentu.backlog.sheets import SheetRow, open_sheet
from zhentu.backlog.sources import QUERY
from zhentu.cells import CSV_ENCODING, cells, from_cell
from zhentu.errors import UsageError
from zhentu.filenames import name_to_text
from zhentu.intake.skipped import Skipped

SUFFIXES = (".csv", ".jsonl", ".parquet")
PART_NAME = "part-"
_LONGEST_HEAD = 1 << 16  # of the first line of an output


def check_output(path: Path, sources: Sequence[str] = (), overwrite: bool = False) -> None:
    """Raise UsageError, before any work is done, unless rows can be written there without overwriting a source.

    overwrite: files may be replaced that are no output of a scan.
    """
    if path.suffix not in SUFFIXES and not is_folder(path):
        raise UsageError(
            f"{path}: the suffix decides the format; use {', '.join(SUFFIXES)}, or a name without suffix for a folder"
        )
    if not is_folder(path) and path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file")
    check_apart(output_files(path), sources)
    parts = (path / "parts").resolve() if is_folder(path) else None
    if inside := next((each for each in sources if (local := _local(each)) and local.parent == parts), None):
        raise UsageError(f"{path}: a scan replaces its parts, and {inside} is a source; name another folder")
    check_folder(path if is_folder(path) else path.parent)
    if overwrite:
        return
    earlier = (path / "parts").glob(f"{PART_NAME}*.parquet") if is_folder(path) else ()
    for each in (*output_files(path), *islice(earlier, 1)):
        if not _written_by_a_scan(each):
            raise UsageError(f"{each}: is no output of a scan; name another place, or replace it with --overwrite")


def _written_by_a_scan(path: Path) -> bool:
    """Whether nothing would be lost with this file: it is none, empty, or begins as rows and lists of a scan do."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    try:
        if path.suffix == ".parquet":
            from zhentu.backlog.parquet import column_names

            return column_names(path)[:3] == COLUMNS[:3]
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            first = stream.readline(_LONGEST_HEAD)
    except (OSError, ValueError):
        return False
    if path.suffix == ".jsonl":
        return first.startswith('{"path":') and '"sha256":' in first
    head = re.sub("[;\t]", ",", first.replace('"', ""))  # as spreadsheets save them again
    return head.startswith((",".join(COLUMNS[:3]), "path,reason,detail"))


def check_folder(folder: Path) -> None:
    """Make a folder that files are written to. Raises UsageError if it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}; name another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder}: may not be written to; change its permissions or name another folder")


def output_files(path: Path) -> tuple[Path, ...]:
    """Every file that a scan writes for an output, save the Parquet parts of a folder."""
    if is_folder(path):
        return (*(path / name for name in ("rows.csv", "rows.jsonl", "quarantine.csv")), skipped_path(path))
    return path, skipped_path(path)


def check_apart(outputs: Sequence[Path], sources: Sequence[str]) -> None:
    """Raise UsageError if an output is a source, or two outputs are one file, by whatever names."""
    read = {local: each for each in sources if (local := _local(each))}
    seen: dict[Path, Path] = {}
    for output in outputs:
        place = output.resolve()
        if place in read:
            raise UsageError(f"{output}: would be overwritten, and it is the source {read[place]}; name another output")
        if place in seen:
            named = f"{output}" if seen[place] == output else f"{seen[place]} and {output}"
            raise UsageError(f"{named}: one file cannot hold two outputs; name another for one of them")
        seen[place] = output


def _local(source: str) -> Path | None:
    """The file or folder of this machine that a source names."""
    if source.startswith(QUERY):
        return None
    if is_url(source):
        return Path(filesystem_of(source)[1]).resolve() if scheme_of(source) in ("file", "local") else None
    return Path(source).resolve()


def is_folder(path: Path) -> bool:
    """Whether an output is a folder of Parquet parts and views: it has no suffix, or is one already."""
    return path.suffix == "" or (path.suffix not in SUFFIXES and path.is_dir())


def skipped_path(output: Path) -> Path:
    """Where the list of what was skipped goes: into an output folder, or beside an output file."""
    return output / "skipped.csv" if is_folder(output) else output.with_name(f"{output.stem}.skipped.csv")


def write_rows(rows: Iterable[ScanRow], path: Path) -> None:
    """Write all rows; the file appears complete or not at all."""
    with whole_file(path) as beside:
        if path.suffix == ".parquet":
            from zhentu.backlog.parquet import write_table

            write_table(rows, beside)
            return
        encoding = CSV_ENCODING if path.suffix == ".csv" else "utf-8"
        with beside.open("w", encoding=encoding, newline="") as stream:
            lines = RowWriter(stream, path.suffix.lstrip("."))
            for row in rows:
                lines.write(row)


def write_skipped(skipped: Iterable[Skipped], sources: Sequence[str], path: Path) -> None:
    """What a listing left out, as CSV; the file appears complete or not at all."""
    with whole_file(path) as beside, beside.open("w", encoding=CSV_ENCODING, newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "reason", "detail", "source", "line"))
        for each in skipped:
            source = sources[each.source] if each.source < len(sources) else ""
            writer.writerow(
                cells((name_to_text(each.path), each.reason.value, each.detail, name_to_text(source), each.line or ""))
            )


def read_columns(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of a scan's output, even if a spreadsheet saved it again; as text if it is CSV.

    Raises UsageError if it is not one.
    """
    try:
        if path.suffix == ".parquet":
            from zhentu.backlog.parquet import read_table

            found = read_table(path, columns)
        elif path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as stream:
                found = list(map(json.loads, stream))
        else:
            with path.open("rb") as stream:
                found = [_came_back(row) for row in open_sheet(stream, str(path)).rows]
        return [{name: row[name] for name in columns} for row in found]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path}: is not an output of a scan ({error}); make one: zhentu scan -o rows.csv") from error


def _came_back(row: SheetRow) -> dict[str, Any]:
    if row.problem:
        raise ValueError(f"line {row.line}: {row.problem}")
    return {name.strip(): from_cell(each) if isinstance(each, str) else each for name, each in row.cells.items()}


class RowWriter:
    """Writes rows one by one to a text stream, as "csv" (with a header line) or "jsonl"."""

    def __init__(self, stream: TextIO, form: str) -> None:
        self._stream, self._csv = stream, csv.writer(stream, lineterminator="\n") if form == "csv" else None
        if self._csv:
            self._csv.writerow(COLUMNS)

    def write(self, row: ScanRow) -> None:
        """Write one row."""
        if self._csv:
            self._csv.writerow(cells(astuple(row)))
        else:
            self._stream.write(row.to_json() + "\n")
