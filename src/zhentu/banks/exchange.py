"""Banks as CSV, in the form hash-sharing tools use: one signal per line, `signal_type,signal_str,collab,category,tags`.

That is what `threatexchange dataset --csv` writes. zhentu's own columns follow; they are optional when reading, and
with them an imported export gives the same bank. Lines that belong to one entry carry the same `entry`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TextIO, TypeVar

from zhentu.banks.entries import Bank, Entry, NewEntry
from zhentu.cells import to_cell
from zhentu.errors import UsageError

_SHARED = ("signal_type", "signal_str", "collab", "category", "tags")
_OWN = ("entry", "quality", "colour", "seller_id", "note", "expires_at")
COLUMNS = (*_SHARED, *_OWN)
_Value = TypeVar("_Value")
_KINDS = ("sha256", "pdq")
_TIME = "a time as 2027-01-31T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was not imported. line: counted from 1, the header is line 1."""

    line: int
    what: str


def write_entries(stream: TextIO, bank: Bank, entries: Iterable[Entry]) -> int:
    """Write entries of a bank; returns the number of entries written."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for each in entries:
        new = each.entry
        expires = new.expires_at.isoformat() if new.expires_at else ""
        own = (each.entry_id, new.quality, new.colour.hex(), to_cell(new.seller_id), to_cell(new.note), expires)
        for kind, value in (("sha256", new.sha256), ("pdq", new.pdq.hex())):
            if value:
                writer.writerow((kind, value, bank.name, bank.kind.value, to_cell(new.source), *own))
        count += 1
    return count


def read_entries(stream: TextIO, source: str) -> tuple[list[NewEntry], list[Problem]]:
    """Entries of a CSV and the lines that could not be imported, each with what is wrong.

    source: the source of entries whose line has no tags. Raises UsageError if there is no valid header.
    """
    reader = csv.DictReader(stream)
    merged: dict[str, NewEntry] = {}
    problems: list[Problem] = []
    try:
        header = reader.fieldnames or []
        if "signal_type" not in header or "signal_str" not in header:
            raise UsageError(
                f"the CSV must begin with a header that has signal_type and signal_str; it has {header[:12]}"
            )
        for key, new in _lines(reader, source, problems):
            known = merged.get(key)
            if known is None:
                merged[key] = new
            else:
                merged[key] = replace(known, sha256=known.sha256 or new.sha256, pdq=known.pdq or new.pdq)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: not a CSV file after line {reader.line_num}: {error}") from error
    return list(merged.values()), problems


def _lines(reader: csv.DictReader[str], source: str, problems: list[Problem]) -> Iterator[tuple[str, NewEntry]]:
    for row in reader:
        line = reader.line_num
        kind, value = (row.get("signal_type") or "").strip().lower(), (row.get("signal_str") or "").strip().lower()
        try:
            if kind not in _KINDS:
                raise UsageError(f"signal_type {kind!r}: zhentu takes {' and '.join(_KINDS)}")
            new = NewEntry(
                sha256=value if kind == "sha256" else "",
                pdq=_read("signal_str", value, "hex digits", bytes.fromhex) if kind == "pdq" else b"",
                quality=_read("quality", row.get("quality") or "100", "a whole number", int),
                colour=_read("colour", row.get("colour") or "", "hex digits", bytes.fromhex),
                source=row.get("tags") or source,
                seller_id=row.get("seller_id") or "",
                note=row.get("note") or "",
                expires_at=_read("expires_at", row["expires_at"], _TIME, datetime.fromisoformat)
                if row.get("expires_at")
                else None,
            )
        except UsageError as error:
            problems.append(Problem(line, str(error)))
            continue
        yield row.get("entry") or f"line {line}", new


def _read(column: str, value: str, wanted: str, how: Callable[[str], _Value]) -> _Value:
    """A value as `how` reads it. Raises UsageError that names the column."""
    try:
        return how(value)
    except ValueError as error:
        raise UsageError(f"{column} {value[:80]!r}: must be {wanted}") from error
