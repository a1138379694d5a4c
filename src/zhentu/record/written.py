"""Files that zhentu wrote for people on this machine: no command takes them for pictures of theirs, or replaces others.

A name proves nothing, and neither does a mark inside a file, which a forger could write to have a picture passed over.
So each is noted by its place and the sha256 it had: a file that was changed since, or copied elsewhere, is not ours.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from zhentu.atomic import unwritable, write_whole
from zhentu.errors import UsageError
from zhentu.record.private import private_folder, touch_private

_WAIT_S = 10.0  # for another process that is noting


class Written(StrEnum):
    """What was written."""

    LABELLED = "labelled copy"
    HEATMAP = "heatmap"
    TRAINING = "copy for training"
    EXPORT = "export"


class WrittenFiles:
    """Which files those are, in one small database in the data folder. Being unable to note one is no error."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "written.db"

    def note(self, path: Path, payload: bytes, what: Written) -> None:
        """Note a file that has just been written."""
        with suppress(sqlite3.Error, OSError):
            private_folder(self._file.parent)
            touch_private(self._file)
            row = (_place(path), hashlib.sha256(payload).hexdigest(), what.value)
            self._sql.execute("INSERT OR REPLACE INTO written VALUES (?, ?, ?)", row)

    def what(self, path: Path) -> str:
        """What zhentu wrote there, "" if somebody else did, or changed it since."""
        if not self._file.exists():
            return ""
        with suppress(sqlite3.Error, OSError):
            found = self._sql.execute("SELECT sha256, what FROM written WHERE path = ?", (_place(path),)).fetchone()
            if found and found[0] == _sha256(path):
                return f"{found[1]} that zhentu wrote"
        return ""

    def check(self, targets: Iterable[Path], overwrite: bool = False) -> None:
        """Raise UsageError if a file is there that zhentu did not write and may not replace."""
        for target in targets:
            if not overwrite and os.path.lexists(target) and not self.what(target):
                raise UsageError(
                    f"{target}: is there already, and is not as zhentu wrote it; name another file, or replace it with "
                    "--overwrite"
                )

    def keep(self, target: Path, payload: bytes, what: Written, overwrite: bool = False) -> None:
        """Write a file whole and note it; the same bytes are not written again.

        Raises UsageError if it cannot be written, or if a file is there that may not be replaced.
        """
        try:
            if not (target.is_file() and target.read_bytes() == payload):
                self.check([target], overwrite)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, payload)
        except OSError as error:
            raise unwritable(target, error) from error
        self.note(target, payload, what)

    @cached_property
    def _sql(self) -> sqlite3.Connection:
        sql = sqlite3.connect(self._file, timeout=_WAIT_S, isolation_level=None)
        sql.execute("PRAGMA journal_mode=WAL")
        sql.execute("PRAGMA synchronous=NORMAL")
        sql.execute("CREATE TABLE IF NOT EXISTS written (path BLOB PRIMARY KEY, sha256 TEXT, what TEXT) WITHOUT ROWID")
        return sql


def _place(path: Path) -> bytes:
    """Where a file lies, by whatever links its folder is reached; a link that stands for the file is another place."""
    return os.fsencode(path.parent.resolve() / path.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
