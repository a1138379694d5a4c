"""The child process of `zhentu.intake.cell`: decodes what comes in, until nothing comes."""

from __future__ import annotations

import json
import math
import resource
import sys
from typing import BinaryIO

from zhentu.errors import PictureError
from zhentu.intake.decode import DecodeLimits, decode


def main(wanted: BinaryIO, given: BinaryIO) -> None:
    """Answer every picture of `wanted` on `given`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no files
    endless = resource.getrlimit(resource.RLIMIT_CPU)[1]
    _say(given, {"ready": True})
    while line := wanted.readline():
        asked = json.loads(line)
        payload = wanted.read(asked["bytes"])
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + asked["cpu_s"]), endless))
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + asked["memory"], hard))
        try:
            picture = decode(payload, DecodeLimits(**asked["limits"]))
        except PictureError as error:
            _say(given, {"code": error.code, "detail": str(error)})
            continue
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        height, width = picture.rgb.shape[:2]
        told = {"height": height, "width": width, "sha256": picture.sha256, "format": picture.format}
        _say(given, told | {"notes": list(picture.notes)})
        given.write(memoryview(picture.rgb).cast("B"))
        given.flush()
        del picture, payload


def _say(given: BinaryIO, told: dict[str, object]) -> None:
    given.write(json.dumps(told).encode() + b"\n")
    given.flush()


def _address_space() -> int:
    """Bytes of address space in use."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read for every picture
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
