"""Decisions that were answered while the store was down: a local file, replayed when it is back. None is lost.

Every process appends to a file of its own and holds a lock on it; files whose process died are replayed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedRandom
from pathlib import Path

import uuid_utils
from pydantic import TypeAdapter, ValidationError

from zhentu.errors import StoreError
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.store import RecordStore, RecordWrite

_SUFFIX = ".jsonl"


class Spool:
    """A folder of spool files; safe to use from several threads and processes.

    Raises StoreError when the folder cannot be written: then a decision cannot be kept anywhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: BufferedRandom | None = None
        self._count = 0

    def put(self, write: RecordWrite) -> None:
        """Write one decision durably (fsync) before it is answered."""
        line = _adapter().dump_json(write) + b"\n"
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
        """Write everything that waits into the store, and what dead processes left; how many. Raises StoreError."""
        done = 0
        with self._lock:
            if self._file is not None and self._count:
                done += _drain(self._file, store)
                self._count = 0
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with _orphan(path) as file:
                if file is not None:
                    done += _drain(file, store)
                    path.unlink(missing_ok=True)
        return done

    def close(self) -> None:
        """Let go of the file; an empty one is removed."""
        with self._lock:
            if self._file is not None:
                path = Path(self._file.name)
                if not self._count:
                    path.unlink(missing_ok=True)
                self._file.close()
                self._file = None

    def _own(self) -> BufferedRandom:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = (self._folder / f"{uuid_utils.uuid7()}{_SUFFIX}").open("x+b")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file


def _drain(file: BufferedRandom, store: RecordStore) -> int:
    file.seek(0)
    done = 0
    for line in file:
        with contextlib.suppress(ValidationError):  # the last line of a process that died while writing it
            store.keep_late(decode_write(line))
            done += 1
    file.seek(0)
    file.truncate()
    os.fsync(file.fileno())
    return done


@contextlib.contextmanager
def _orphan(path: Path) -> Iterator[BufferedRandom | None]:
    """The file, locked, where its process is gone; None where it is in use."""
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
    """What a line of the spool stands for, of this release or the one before. Raises ValidationError."""
    try:
        return _adapter().validate_json(line)
    except ValidationError:
        content = json.loads(line) if line.endswith(b"\n") else None
        if not isinstance(content, dict) or not isinstance(content.get("record"), dict):
            raise
        content["record"] = json.loads(encode_record(decode_record(json.dumps(content["record"]))))
        return _adapter().validate_json(json.dumps(content))


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[RecordWrite]:
    return TypeAdapter(RecordWrite)
