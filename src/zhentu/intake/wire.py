"""Pictures between processes: facts as JSON, pixels as they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import IO, Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter

from zhentu.types import Picture

_LONGEST = 1024 * 1024  # bytes of one line
_CHANNELS = 3


def send(stream: IO[bytes], told: Mapping[str, object]) -> None:
    """Send one line of facts."""
    stream.write(json.dumps(told).encode() + b"\n")
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any]:
    """One line of facts. Raises EOFError if the other side is gone, ValueError if it sends nonsense."""
    line = stream.readline(_LONGEST)
    if not line.endswith(b"\n"):
        raise EOFError("the other side has gone")
    told = json.loads(line)
    if not isinstance(told, dict):
        raise ValueError("a line is not a JSON object")
    return told


def send_pictures(stream: IO[bytes], pictures: Sequence[Picture]) -> None:
    """Send pictures: a line, and the pixels of each."""
    facts = [
        {name: adapter.dump_python(getattr(each, name), mode="json") for name, adapter in _fields().items()}
        for each in pictures
    ]
    shapes = [list(each.rgb.shape[:2]) for each in pictures]
    send(stream, {"pictures": facts, "shapes": shapes})
    for each in pictures:
        stream.write(np.ascontiguousarray(each.rgb).data.cast("B"))
    stream.flush()


def read_pictures(stream: IO[bytes], told: Mapping[str, Any], most_pixels: int) -> tuple[Picture, ...]:
    """The pictures that a line announces, `most_pixels` together at most. Raises EOFError, ValueError."""
    shapes = [(int(height), int(width)) for height, width in told["shapes"]]
    if sum(height * width for height, width in shapes) > most_pixels or any(min(shape) < 1 for shape in shapes):
        raise ValueError("more pixels than were asked for")
    return tuple(
        Picture(rgb=_pixels(stream, *shape), **{name: _fields()[name].validate_python(facts[name]) for name in facts})
        for shape, facts in zip(shapes, told["pictures"], strict=True)
    )


def _pixels(stream: IO[bytes], height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pixels = np.empty((height, width, _CHANNELS), np.uint8)
    view, got = pixels.data.cast("B"), 0
    while got < len(view):
        count = stream.readinto(view[got:])  # type: ignore[attr-defined]  # every binary pipe has it
        if not count:
            raise EOFError("the pixels end early")
        got += count
    return pixels


@lru_cache(maxsize=1)
def _fields() -> dict[str, TypeAdapter[Any]]:
    """Everything about a picture except its pixels."""
    hints = get_type_hints(Picture)
    return {each.name: TypeAdapter(hints[each.name]) for each in dataclasses.fields(Picture) if each.name != "rgb"}
