"""Decoding that can be broken off: pictures whose header does not promise little work are decoded in processes of
their own, with a limit on time and memory, and killed when they exceed it.

The child answers with JSON and raw pixels, never with pickle: what decodes hostile files must not be able to hand
objects to its parent. It gets no environment but what Python needs, so no secret of the gate is in it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np

from zhentu.errors import DeadlineExceeded, DependencyError, PictureCorrupt, PictureError, PictureTooSlow
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.intake.extent import extent_of, is_plain
from zhentu.types import Picture

_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_SCRATCH = 64 * 1024 * 1024  # bytes that decoding a small picture may take
_PER_PIXEL = 24  # bytes of address space a pixel may take, more than it needs: the limit is against bombs
_START_S = 30.0  # for a child to import what it needs; not counted against the picture
_LONGEST_ANSWER = 1024 * 1024  # bytes of the child's JSON
_PIPE = 1024 * 1024  # bytes; with the usual 64 KiB a busy machine changes processes thousands of times a picture
_READY = b'{"ready": true}\n'
_log = logging.getLogger("zhentu")


class DecodeCells:
    """Decodes pictures, plain ones at once and the others in child processes; several threads may ask at once.

    cells: child processes at most; they start when first needed.  seconds: of the clock for one picture; of the
    processor it gets half of that, so that a busy machine does not make honest pictures slow.
    """

    def __init__(self, cells: int, seconds: float) -> None:
        self._seconds = seconds
        self._idle: queue.LifoQueue[_Cell] = queue.LifoQueue()
        self._places = threading.BoundedSemaphore(cells)
        self._closed = False

    def decode(self, payload: bytes, limits: DecodeLimits | None = None) -> Picture:
        """One picture, as `zhentu.intake.decode.decode` gives it.

        Raises what that raises, PictureTooSlow where it takes too long, and DeadlineExceeded where others do.
        """
        limits = limits or DecodeLimits()
        if len(payload) > limits.max_bytes or is_plain(payload):
            return decode(payload, limits)
        if not self._places.acquire(timeout=self._seconds):
            raise DeadlineExceeded("pictures that take long are being decoded; try again", self._seconds)
        try:
            return self._in_cell(payload, limits)
        finally:
            self._places.release()

    def warm(self) -> None:
        """Start one child, so that the first picture does not wait for it. Raises DependencyError."""
        self._give_back(_Cell())

    def close(self) -> None:
        """End every idle child; those at work end with their picture."""
        self._closed = True
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                return

    def _in_cell(self, payload: bytes, limits: DecodeLimits) -> Picture:
        try:
            cell = self._idle.get_nowait()
        except queue.Empty:
            cell = _Cell()
        try:
            picture = cell.decode(payload, limits, self._seconds)
        except PictureTooSlow:
            cell.end()
            raise
        except PictureError:
            self._give_back(cell)
            raise
        except BaseException:
            cell.end()
            raise
        self._give_back(cell)
        return picture

    def _give_back(self, cell: _Cell) -> None:
        if self._closed:
            cell.end()
        else:
            self._idle.put(cell)


class _Cell:
    """One child process."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zhentu.intake.cell_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                pipesize=_PIPE,
                start_new_session=True,  # a Ctrl-C of the terminal is the parent's business
            )
        except OSError as error:
            raise DependencyError(f"no process for decoding could be started: {error}") from error
        timer = threading.Timer(_START_S, self._process.kill)
        timer.start()
        try:
            if self._pipes()[1].readline(_LONGEST_ANSWER) != _READY:
                self.end()
                raise DependencyError(f"the process for decoding did not start within {_START_S:g} s; see the log")
        finally:
            timer.cancel()

    def decode(self, payload: bytes, limits: DecodeLimits, seconds: float) -> Picture:
        """Raises PictureTooSlow when the time is over; the process is dead then."""
        pixels = min(extent_of(payload).pixels or limits.max_pixels, limits.max_pixels)
        memory = _SCRATCH + pixels * _PER_PIXEL
        asked = {"bytes": len(payload), "memory": memory, "cpu_s": seconds / 2, "limits": asdict(limits)}
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            wanted, given = self._pipes()
            wanted.write(json.dumps(asked).encode() + b"\n")
            wanted.write(payload)
            wanted.flush()
            return _answer(given, len(payload))
        except (OSError, EOFError, ValueError) as error:
            if late.is_set() or self._process.wait() == -signal.SIGXCPU:
                raise _too_slow(seconds) from error
            # It died by itself: killed by the system for its memory, or brought down by the file.
            _log.warning("a decoding process died with a picture: %s", error)
            raise PictureCorrupt("the picture cannot be decoded; export it again") from error
        finally:
            timer.cancel()

    def end(self) -> None:
        """Kill the process and wait for it."""
        self._process.kill()
        for pipe in self._pipes():
            try:
                pipe.close()
            except OSError:  # what was not written yet has nobody to read it
                continue
        self._process.wait()

    def _pipes(self) -> tuple[BinaryIO, BinaryIO]:
        wanted, given = self._process.stdin, self._process.stdout
        if wanted is None or given is None:
            raise EOFError("the process has no pipes")
        return wanted, given  # type: ignore[return-value] - binary, because no encoding was asked for


def _answer(given: BinaryIO, byte_count: int) -> Picture:
    line = given.readline(_LONGEST_ANSWER)
    if not line.endswith(b"\n"):
        raise EOFError("no answer")
    told: Mapping[str, Any] = json.loads(line)
    if "code" in told:
        raise _error(str(told["code"]), str(told["detail"]))
    height, width = int(told["height"]), int(told["width"])
    pixels = np.empty((height, width, 3), np.uint8)
    view, got = memoryview(pixels).cast("B"), 0
    while got < len(view):
        count = given.readinto(view[got:])  # type: ignore[attr-defined] - every binary pipe has it
        if not count:
            raise EOFError("the pixels end early")
        got += count
    return Picture(
        rgb=pixels,
        sha256=str(told["sha256"]),
        format=str(told["format"]),
        byte_count=byte_count,
        notes=tuple(map(str, told["notes"])),
    )


def _error(code: str, detail: str) -> PictureError:
    for kind in (*PictureError.__subclasses__(), PictureError):
        if kind.code == code:
            return kind(detail)
    return PictureError(detail)


def _too_slow(seconds: float) -> PictureTooSlow:
    return PictureTooSlow(f"the picture could not be read within {seconds:g} s; export it again as a plain JPEG")
