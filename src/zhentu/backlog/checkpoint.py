"""Finished rows beside the output, so that a scan stopped at any moment goes on where it was."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from zhentu.backlog.rows import ScanRow
from zhentu.errors import UsageError


class Checkpoint:
    """`<output>.partial.jsonl`: a first line that names what rows depend on, then a row a line.

    versions: model, policy and limits; a checkpoint of others is not continued, its rows would not be comparable.
    A line that is no row, such as the half line kill -9 leaves, is dropped: that picture is screened again.
    Raises UsageError when another scan is writing the same output, or the folder cannot be written.
    """

    def __init__(self, output: Path, versions: str, resume: bool) -> None:
        self.path = output.with_name(output.name + ".partial.jsonl")
        self._places: dict[str, int] = {}  # path of a row -> where its line begins
        head = json.dumps({"versions": versions}).encode() + b"\n"
        try:
            self._stream = self.path.open("a+b")
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._claim(output)
        self._stream.seek(0)
        if resume and self._stream.readline() == head:
            self._find_rows()
        else:
            self._stream.truncate(0)
            self._stream.write(head)

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def rows(self, paths: Iterable[str]) -> Iterator[ScanRow]:
        """The rows of these paths, in their order; paths without a row are passed over."""
        self._stream.flush()
        with self.path.open("rb") as stream:
            for path in paths:
                if path in self._places:
                    stream.seek(self._places[path])
                    yield ScanRow.from_json(stream.readline().decode())

    def add(self, rows: Iterable[ScanRow]) -> None:
        """Keep finished rows, on the disk when this returns."""
        place = self._stream.seek(0, os.SEEK_END)
        for row in rows:
            line = row.to_json().encode() + b"\n"
            self._stream.write(line)
            self._places[row.path] = place
            place += len(line)
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def remove(self) -> None:
        """Forget the checkpoint, after the output is complete."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def _claim(self, output: Path) -> None:
        """One scan an output; the claim ends with the process, however that ends."""
        if sys.platform == "win32":
            return  # no advisory locks there
        import fcntl

        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._stream.close()
            raise UsageError(f"{output}: another scan is writing it; wait for it or name another output") from error

    def _find_rows(self) -> None:
        place = self._stream.tell()
        for line in iter(self._stream.readline, b""):
            if line.endswith(b"\n"):
                with suppress(ValueError, TypeError):  # damaged; the picture is screened again
                    self._places[ScanRow.from_json(line.decode()).path] = place
                place += len(line)
        self._stream.truncate(place)
