"""Trace a picture's bytes through the gate: the files and functions of zhentu that receive them, in order.

    python scripts/way_of_bytes.py

It sends one plain JPEG with an Idempotency-Key and no references to `POST /v1/screen`. A profile hook on all threads
inspects the arguments of every function in `zhentu`. A function is a stop if it receives the file's bytes, its pixels
(an array or a Pillow image of its size), or a value that holds either; passing on a closure over them does not count.
`tests/test_way_of_bytes.py` keeps the number of files from growing.
"""

from __future__ import annotations

import dataclasses
import io
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

import zhentu
from zhentu.gate.app import create_app
from zhentu.settings import Settings
from zhentu.types import OnError

_SOURCE = Path(zhentu.__file__).parent
_SIZE = (300, 200)  # pixels: width, height
_DEPTH = 4  # how deep nested values are searched


@dataclass
class Way:
    """Where the bytes went. files, functions: each once, in the order of the first visit."""

    files: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    @property
    def rooms(self) -> list[str]:
        """The folders (or single files) of `src/zhentu` on the way, each once."""
        return list(dict.fromkeys(name.split("/")[0].removesuffix(".py") for name in self.files))

    def visit(self, code: CodeType) -> None:
        """Note a visit to a function; repeated visits change nothing."""
        name = str(Path(code.co_filename).relative_to(_SOURCE))
        stop = f"{name}: {code.co_qualname}"
        if stop not in self.functions:
            self.functions.append(stop)
        if name not in self.files:
            self.files.append(name)


def plain_jpeg() -> bytes:
    """A baseline JPEG of smooth colours."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    stream = io.BytesIO()
    small.resize(_SIZE, Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def way_through_the_gate(settings: Settings) -> Way:
    """Send one picture to a fresh gate and note where it goes. Raises RuntimeError if it was not screened."""
    payload, way = plain_jpeg(), Way()
    with _watched(payload, way), TestClient(create_app(settings)) as client:
        files = {"picture": ("a.jpg", payload, "image/jpeg")}
        answer = client.post("/v1/screen", files=files, headers={"Idempotency-Key": "once"})
    if answer.status_code != 200:
        raise RuntimeError(f"the gate answered {answer.status_code}: {answer.text}")
    return way


@contextmanager
def _watched(payload: bytes, way: Way) -> Iterator[None]:
    """Watch every call on this thread and on threads started meanwhile, which are all of the gate's threads."""

    def look(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(_SOURCE)):
            return
        if any(_holds(value, payload, _DEPTH) for value in _arguments(frame)):
            way.visit(code)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _arguments(frame: FrameType) -> list[Any]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args and **kwargs
    return [frame.f_locals.get(name) for name in code.co_varnames[:count]]


def _holds(value: object, payload: bytes, depth: int) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        return len(value) == len(payload) and bytes(value) == payload
    if isinstance(value, np.ndarray):
        return value.shape == (_SIZE[1], _SIZE[0], 3)
    if isinstance(value, Image.Image):
        return value.size == _SIZE
    return depth > 0 and any(_holds(each, payload, depth - 1) for each in _parts(value))


def _parts(value: object) -> list[object]:
    """What a value directly holds: a dataclass's fields, a mapping's values, the first items of a sequence."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name, None) for each in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value[:100]) if isinstance(value, list | tuple) else []


def main() -> None:
    """Trace one picture with the shipped model and a throwaway store, and print the way."""
    with tempfile.TemporaryDirectory() as folder:
        values = {
            "data_dir": Path(folder),
            "store.url": f"sqlite:///{folder}/records.db",
            "store.spool_dir": Path(folder) / "spool",
            "gate.open": True,
            "gate.on_error": OnError.BLOCK,
            "gate.allowed_hosts": {"testserver"},
        }
        way = way_through_the_gate(Settings().changed(values))
    print(f"{len(way.files)} files, {len(way.functions)} functions, {len(way.rooms)} rooms: {' '.join(way.rooms)}")
    print(*way.functions, sep="\n")


if __name__ == "__main__":
    main()
