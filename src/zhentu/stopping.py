"""Ending when asked to: SIGTERM and SIGHUP unwind a command as Ctrl-C does, so that what it holds is given back.

By default they end Python at once: no `finally` runs, work in memory is lost, and multiprocessing's resource tracker,
left behind, complains of leaked semaphores.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ENDING = {signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_SHELL = 128  # a shell reports death by a signal as this and the signal's number; so do commands that end by themselves


class Terminated(SystemExit):
    """SIGTERM or SIGHUP came. Nobody who catches errors catches it; it ends the process with the shell's status."""

    def __init__(self, number: int) -> None:
        super().__init__(_SHELL + number)
        self.number = number


STOPS = (KeyboardInterrupt, Terminated)
"""What ends a command from outside."""


def end_on_signals() -> None:
    """From now on SIGTERM and SIGHUP raise Terminated in the main thread; one that is ignored (nohup) stays so."""
    if threading.current_thread() is not threading.main_thread():
        return  # Python takes signals in the main thread alone
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def end_at_once() -> None:
    """Give both signals their own meaning back, for what handles them itself."""
    for number in _ENDING:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)


def words_of(stop: BaseException) -> str:
    """What is said of an end."""
    return _ENDING[signal.Signals(stop.number)] if isinstance(stop, Terminated) else "interrupted"


def status_of(stop: BaseException) -> int:
    """The exit status of an end: 130 of Ctrl-C, 143 of SIGTERM, 129 of SIGHUP."""
    return _SHELL + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and both signals until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, remember) for number in _held()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def _held() -> list[signal.Signals]:
    """Those that would raise here: what is ignored, or ends the process at once, is not for Python to delay."""
    ours = [number for number in _ENDING if signal.getsignal(number) is _end]
    return [*ours, *([signal.SIGINT] if callable(signal.getsignal(signal.SIGINT)) else [])]


def _end(number: int, _: FrameType | None) -> None:
    for each in _ENDING:  # ending is under way: a second one must not cut it short
        with suppress(ValueError):
            signal.signal(each, signal.SIG_IGN)
    raise Terminated(number)
