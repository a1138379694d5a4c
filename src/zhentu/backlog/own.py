"""What zhentu wrote itself among what a scan finds: labelled copies beside their originals, heatmaps, exports."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from zhentu.backlog.reading import is_url
from zhentu.errors import ZhentuError
from zhentu.filenames import text_to_name
from zhentu.record.applied import AppliedTable
from zhentu.record.written import WrittenFiles


class OwnOutputs:
    """Says what a path is that zhentu wrote, and "" of every other; those that were changed since are others.

    table: jobs' labelled copies, which lie on any machine or store.  read: the bytes of a path or URL.
    """

    def __init__(self, written: WrittenFiles | None, table: AppliedTable | None, read: Callable[[str], bytes]) -> None:
        self._written, self._table, self._read = written, table, read

    def __call__(self, path: str) -> str:
        """What zhentu wrote there."""
        if self._written and not is_url(path) and (what := self._written.what(Path(path))):
            return what
        found = self._copies.execute("SELECT sha256, words FROM copies WHERE target = ?", (_key(path),)).fetchone()
        if found is None:
            return ""
        try:
            return str(found[1]) if hashlib.sha256(self._read(path)).hexdigest() == found[0] else ""
        except ZhentuError:  # its row will say what is wrong
            return ""

    @cached_property
    def _copies(self) -> sqlite3.Connection:
        """In a temporary file of SQLite's own: there may be as many as pictures."""
        copies = sqlite3.connect("")
        copies.execute("CREATE TABLE copies (target BLOB PRIMARY KEY, sha256 TEXT, words TEXT) WITHOUT ROWID")
        rows = (
            (_key(text_to_name(each.target)), each.sha256, f"labelled copy of {each.path}, by job {each.job_id}")
            for each in (self._table.copies() if self._table else ())
        )
        copies.executemany("INSERT OR REPLACE INTO copies VALUES (?, ?, ?)", rows)
        return copies


def _key(path: str) -> str | bytes:
    """A place by whatever name; relative ones are relative to the folder that the job and this command run in."""
    if is_url(path):
        return path
    place = Path(path)
    return bytes(place.parent.resolve() / place.name)
