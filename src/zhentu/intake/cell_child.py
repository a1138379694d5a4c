"""The child process of `zhentu.intake.cell`: decodes what comes in until its input ends."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable, Mapping
from typing import IO

from zhentu.errors import PictureError
from zhentu.intake.decode import DecodeLimits, decode, decode_frame, decode_frames
from zhentu.intake.wire import receive, send, send_pictures
from zhentu.types import Frame, Picture

TASKS: Mapping[str, Callable[[bytes, DecodeLimits, str, Frame | None], tuple[Picture, ...]]] = {
    "decode": lambda payload, limits, sha256, frame: (decode(payload, limits, sha256),),
    "frames": lambda payload, limits, sha256, frame: decode_frames(payload, limits, sha256),
    "frame": lambda payload, limits, sha256, frame: (decode_frame(payload, frame, limits),),
}


def main(wanted: IO[bytes], given: IO[bytes]) -> None:
    """Answer every picture of `wanted` on `given`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no files
    send(given, {"ready": True})
    while True:
        try:
            asked = receive(wanted)
        except EOFError:
            return
        payload = wanted.read(asked["bytes"])
        _limit(asked["cpu_s"], asked["memory"])
        try:
            frame = Frame(**asked["frame"]) if asked["frame"] else None
            pictures = TASKS[asked["task"]](payload, DecodeLimits(**asked["limits"]), asked["sha256"], frame)
        except PictureError as error:
            send(given, {"code": error.code, "detail": str(error)})
            continue
        finally:
            _limit(math.inf, math.inf)
        send_pictures(given, pictures)
        del pictures, payload


def _limit(cpu_s: float, memory: float) -> None:
    """Allow this much processor time and address space beyond what is used; hard limits stay unchanged."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _set(resource.RLIMIT_CPU, used.ru_utime + used.ru_stime + cpu_s)
    _set(resource.RLIMIT_AS, _address_space() + memory)


def _set(what: int, most: float) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (hard if math.isinf(most) else math.ceil(most), hard))


def _address_space() -> int:
    """Bytes of address space in use."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read for every picture
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
