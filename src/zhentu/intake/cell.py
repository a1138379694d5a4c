"""Decoding that can be aborted: in child processes with limits on time and memory, killed when they exceed them.

Pictures whose header promises little work are decoded in this process, the others in a child. It answers with JSON and
raw pixels, never with pickle: what decodes hostile files must not be able to hand objects to its parent. Its
environment holds only what Python needs, so it contains none of the gate's secrets.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO

from zhentu.errors import DeadlineExceeded, DependencyError, PictureCorrupt, PictureError, PictureTooSlow
from zhentu.intake.decode import DecodeLimits, decode, decode_frame, decode_frames
from zhentu.intake.extent import extent_of
from zhentu.intake.wire import read_pictures, receive, send
from zhentu.types import Frame, Picture

_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_SCRATCH = 64 * 1024 * 1024  # bytes that decoding a small picture may take
_PER_PIXEL = 24  # bytes of address space per pixel, more than it needs: the limit is against bombs
_PER_KEPT_PIXEL = 6  # bytes of a frame that is kept, and of its copy on the way
_START_S = 30.0  # for a child to import what it needs; not counted against the picture
_PIPE = 1024 * 1024  # bytes; with the usual 64 KiB a busy machine switches processes thousands of times per picture
_FRAMES = 2  # pictures of the largest size that one file may give
_log = logging.getLogger("zhentu")


class Room:
    """Memory for decoding, shared by threads, which wait until there is enough. total: bytes."""

    def __init__(self, total: int) -> None:
        self.total, self._used, self._changed = total, 0, threading.Condition()

    @contextmanager
    def take(self, count: int, seconds: float) -> Iterator[None]:
        """Hold `count` bytes, at most the total. Raises DeadlineExceeded if they are not free in time."""
        count = min(count, self.total)
        with self._changed:
            if not self._changed.wait_for(lambda: self._used + count <= self.total, seconds):
                raise DeadlineExceeded("large pictures are being decoded; try again", seconds)
            self._used += count
        try:
            yield
        finally:
            with self._changed:
                self._used -= count
                self._changed.notify_all()


class DecodeCells:
    """Decodes plain pictures in this process and the others in child processes; safe to use from several threads.

    cells: the most child processes; they start when first needed.  seconds: wall-clock time for one picture; it gets
    half of that as processor time, so that a busy machine does not fail honest pictures.  room: bytes of memory for
    everything that is being decoded.
    """

    def __init__(self, cells: int, seconds: float, room: int) -> None:
        self._seconds, self._room = seconds, Room(room)
        self._idle: queue.LifoQueue[_Cell] = queue.LifoQueue()
        self._places = threading.BoundedSemaphore(cells)
        self._closed = False

    def decode(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> Picture:
        """One picture, as `zhentu.intake.decode.decode` returns it.

        Raises what that raises, PictureTooSlow if it takes too long, and DeadlineExceeded if other pictures do.
        """
        limits = limits or DecodeLimits()
        extent = extent_of(payload)
        with self._room.take(extent.cost, self._seconds):
            if len(payload) > limits.max_bytes or extent.is_light:
                return decode(payload, limits, sha256)
            return self._asked(_Question("decode", payload, limits, sha256))[0]

    def frames(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> tuple[Picture, ...]:
        """What people see of a file, as `zhentu.intake.decode.decode_frames` returns it. Raises as `decode` does."""
        limits = limits or DecodeLimits()
        extent = extent_of(payload)
        with self._room.take(extent.cost, self._seconds):
            if len(payload) > limits.max_bytes or extent.is_light:
                return decode_frames(payload, limits, sha256)
            return self._asked(_Question("frames", payload, limits, sha256))

    def frame(self, payload: bytes, frame: Frame | None, limits: DecodeLimits | None = None) -> Picture:
        """The frame that a verdict speaks of, or the one picture there is. Raises as `decode` does."""
        limits = limits or DecodeLimits()
        extent = extent_of(payload)
        with self._room.take(extent.cost, self._seconds):
            if len(payload) > limits.max_bytes or extent.is_light:
                return decode_frame(payload, frame, limits)
            return self._asked(_Question("frame", payload, limits, frame=frame))[0]

    def warm(self) -> None:
        """Start one child, so that the first picture does not wait for it. Raises DependencyError."""
        self._give_back(_Cell())

    def close(self) -> None:
        """End every idle child; busy ones end after their picture."""
        self._closed = True
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                return

    def _asked(self, question: _Question) -> tuple[Picture, ...]:
        if not self._places.acquire(timeout=self._seconds):
            raise DeadlineExceeded("slow pictures are being decoded; try again", self._seconds)
        try:
            return self._in_cell(question)
        finally:
            self._places.release()

    def _in_cell(self, question: _Question) -> tuple[Picture, ...]:
        try:
            cell = self._idle.get_nowait()
        except queue.Empty:
            cell = _Cell()
        try:
            pictures = cell.ask(question, self._seconds)
        except PictureError:
            self._give_back(cell)
            raise
        except BaseException:
            cell.end()
            raise
        self._give_back(cell)
        return pictures

    def _give_back(self, cell: _Cell) -> None:
        if self._closed or not cell.lives:
            cell.end()
        else:
            self._idle.put(cell)


@dataclass(frozen=True, slots=True)
class _Question:
    """What a child is asked: a task of `cell_child.TASKS`, and what it works on."""

    task: str
    payload: bytes
    limits: DecodeLimits
    sha256: str = ""
    frame: Frame | None = None

    def told(self, cpu_s: float) -> dict[str, object]:
        """The line of facts sent before the payload."""
        most = self.limits.max_pixels
        pixels = min(extent_of(self.payload).pixels or most, most)
        kept = min(pixels * self.limits.frames_kept(pixels), _FRAMES * most) if self.task == "frames" else pixels
        return {
            "task": self.task,
            "bytes": len(self.payload),
            "sha256": self.sha256,
            "frame": None if self.frame is None else asdict(self.frame),
            "cpu_s": cpu_s,
            "memory": _SCRATCH + pixels * _PER_PIXEL + kept * _PER_KEPT_PIXEL,
            "limits": asdict(self.limits),
        }


class _Cell:
    """One child process."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zhentu.intake.cell_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                pipesize=_PIPE,
                start_new_session=True,  # a Ctrl-C of the terminal is the parent's business
            )
        except OSError as error:
            raise DependencyError(f"no process for decoding could be started: {error}") from error
        try:
            with self._killed_after(_START_S):
                receive(self._pipes()[1])
        except (EOFError, ValueError, OSError) as error:
            self.end()
            raise DependencyError("the process for decoding did not start; see the log") from error

    @property
    def lives(self) -> bool:
        """Whether it can be asked again."""
        return self._process.poll() is None

    def ask(self, question: _Question, seconds: float) -> tuple[Picture, ...]:
        """What the child decodes from a file. Raises PictureError; PictureTooSlow after killing the child."""
        with self._killed_after(seconds) as late:
            try:
                wanted, given = self._pipes()
                send(wanted, question.told(cpu_s=seconds / 2))
                wanted.write(question.payload)
                wanted.flush()
                told = receive(given)
                if "code" in told:
                    raise _error(str(told["code"]), str(told["detail"]))
                return read_pictures(given, told, _FRAMES * question.limits.max_pixels)
            except (OSError, EOFError, ValueError, KeyError) as error:
                self._process.kill()
                ended = self._process.wait()
                if late.is_set() or ended == -signal.SIGXCPU:
                    raise PictureTooSlow(
                        f"the picture could not be read within {seconds:g} s; export it again as a plain JPEG"
                    ) from error
                # It died by itself: killed by the system for its memory use, or crashed by the file.
                _log.warning("a decoding process died on a picture: %s", error)
                raise PictureCorrupt("the picture cannot be decoded; export it again") from error

    def end(self) -> None:
        """Kill the process and wait for it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # nobody is left to read what is still buffered
                continue
        self._process.wait()

    @contextmanager
    def _killed_after(self, seconds: float) -> Iterator[threading.Event]:
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        wanted, given = self._process.stdin, self._process.stdout
        if wanted is None or given is None:
            raise EOFError("the process has no pipes")
        return wanted, given


def _error(code: str, detail: str) -> PictureError:
    kinds = [PictureError]
    while kinds:
        kind = kinds.pop()
        if kind.code == code:
            return kind(detail)
        kinds += kind.__subclasses__()
    return PictureError(detail)
