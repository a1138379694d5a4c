"""Finished rows beside the output, so that a scan stopped at any moment goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from zhentu.backlog.rows import ScanRow

_FLUSH_EVERY = 64  # rows; at most so many are screened again after kill -9


class Checkpoint:
    """`<output>.partial.jsonl`: a first line that names model and policy, then a row a line.

    A checkpoint of another model or policy is not continued: its rows would not be comparable.
    """

    def __init__(self, output: Path, versions: str, resume: bool) -> None:
        self.path = output.with_name(output.name + ".partial.jsonl")
        self._head = json.dumps({"versions": versions})
        if not resume or not self._matches():
            self.path.write_text(self._head + "\n", encoding="utf-8")
        else:
            self._drop_half_line()
        self._stream = self.path.open("a", encoding="utf-8")
        self._unflushed = 0

    def done(self) -> set[str]:
        """Paths that have their row."""
        return {row.path for row in self.rows()}

    def rows(self) -> Iterator[ScanRow]:
        """All rows so far, oldest first."""
        with self.path.open(encoding="utf-8") as stream:
            next(stream, None)
            for line in stream:
                yield ScanRow.from_json(line)

    def add(self, row: ScanRow) -> None:
        """Keep one finished row."""
        self._stream.write(row.to_json() + "\n")
        self._unflushed += 1
        if self._unflushed >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._unflushed = 0

    def remove(self) -> None:
        """Forget the checkpoint, after the output is complete."""
        self._stream.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stream.closed:
            self.flush()
            self._stream.close()

    def _matches(self) -> bool:
        try:
            with self.path.open(encoding="utf-8") as stream:
                return stream.readline().strip() == self._head
        except OSError:
            return False

    def _drop_half_line(self) -> None:
        """After kill -9 the last line may be cut short; that picture is screened again."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.open("r+b") as stream:
                stream.truncate(whole)
