"""Decisions that were answered while the store was down: a local file, replayed when it is back. None is lost.

Every process appends to its own file and holds a lock on it; files of dead processes are replayed by the next one.
A line that cannot be replayed (written by a newer version, cut off by a crash, refused by the store) is moved to
the folder `unread`, byte for byte, and named in the log; it does not hold up the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedRandom
from pathlib import Path

import uuid_utils
from pydantic import TypeAdapter
from sqlalchemy.exc import IntegrityError

from zhentu.errors import RecordUnreadable, StoreError, UsageError
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.private import private_file, private_folder
from zhentu.record.store import RecordStore, RecordWrite

_SUFFIX = ".jsonl"
_VERSION = 1  # of a line; lines without one are those of 0.1
_log = logging.getLogger("zhentu")


class Spool:
    """A folder of spool files; safe to use from several threads and processes.

    Raises StoreError if the folder cannot be written: then decisions could not be kept anywhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: BufferedRandom | None = None
        self._count = 0

    def put(self, write: RecordWrite) -> None:
        """Write one decision durably (fsync) before it is answered. Raises StoreError."""
        line = b'{"version":%d,"write":%s}\n' % (_VERSION, _adapter().dump_json(write))
        with self._lock:
            try:
                file = self._own()
                file.seek(0, os.SEEK_END)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(f"the spool {self._folder} cannot be written: {error}; nothing was decided") from error
            self._count += 1

    def waiting(self) -> int:
        """How many decisions this process has spooled and not replayed."""
        return self._count

    def replay(self, store: RecordStore) -> int:
        """Write waiting decisions and those of dead processes to the store; returns how many. Raises StoreError."""
        done = 0
        with self._lock:
            if self._file is not None and self._count:
                done += self._drain(self._file, store)
                self._count = 0
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with _orphan(path) as file:
                if file is not None:
                    done += self._drain(file, store)
                    path.unlink(missing_ok=True)
        return done

    def close(self) -> None:
        """Close the file; an empty one is removed."""
        with self._lock:
            if self._file is not None:
                path = Path(self._file.name)
                if not self._count:
                    path.unlink(missing_ok=True)
                self._file.close()
                self._file = None

    def _drain(self, file: BufferedRandom, store: RecordStore) -> int:
        file.seek(0)
        done = 0
        for number, line in enumerate(file, 1):
            try:
                _write_late(decode_write(line), store)
                done += 1
            except (ValueError, KeyError, RecordUnreadable) as error:
                self._set_aside(Path(file.name).name, number, line, error)
        file.seek(0)
        file.truncate()
        os.fsync(file.fileno())
        return done

    def _set_aside(self, name: str, number: int, line: bytes, error: Exception) -> None:
        path = private_folder(self._folder / "unread") / name
        with open(path, "ab", opener=private_file) as file:
            file.write(line if line.endswith(b"\n") else line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        first = (str(error).splitlines() or [""])[0]
        _log.error("spool: line %d of %s was not replayed; it is in %s: %s", number, name, path, first)

    def _own(self) -> BufferedRandom:
        if self._file is None:
            path = private_folder(self._folder) / f"{uuid_utils.uuid7()}{_SUFFIX}"
            self._file = open(path, "x+b", opener=private_file)  # noqa: SIM115 - a mode; closed by `close`
            fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file


def _write_late(write: RecordWrite, store: RecordStore) -> None:
    """Raises StoreError while the store is down, ValueError if it is up and still refuses this decision."""
    try:
        store.keep_late(write)
    except (StoreError, IntegrityError):
        store.check()
        try:
            store.keep_late(write)
        except (StoreError, IntegrityError) as error:
            store.check()
            raise ValueError(f"the store refuses it: {error}") from error
    except UsageError as error:
        raise ValueError(str(error)) from error


@contextlib.contextmanager
def _orphan(path: Path) -> Iterator[BufferedRandom | None]:
    """The file, locked, if its process is gone; None if it is in use."""
    try:
        file = path.open("r+b")
    except OSError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield file


def decode_write(line: bytes) -> RecordWrite:
    """Parse a line of the spool, of this release or the one before.

    Raises ValueError, KeyError and RecordUnreadable if this release does not know its form.
    """
    content = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    if "version" not in content:  # a line of 0.1
        content["record"] = json.loads(encode_record(decode_record(json.dumps(content["record"]))))
        return _adapter().validate_json(json.dumps(content))
    if content["version"] != _VERSION:
        raise ValueError(f"it has version {content['version']!r}, this zhentu knows {_VERSION}")
    return _adapter().validate_json(json.dumps(content["write"]))


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[RecordWrite]:
    return TypeAdapter(RecordWrite)
