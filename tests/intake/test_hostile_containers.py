"""Many small pieces of a file cost its reader no more than the steps it allows itself, in time and in memory."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from conftest import encoded, photo
from yardstick import fastest

from zhentu.intake.containers import gif, jpeg
from zhentu.intake.containers.block import MAX_STEPS
from zhentu.intake.extent import is_plain
from zhentu.intake.provenance import read_provenance

_MIB = 1024 * 1024
_LONG = 8 * _MIB
_MOST = 40  # times what it takes to step MAX_STEPS times and do no more, on a machine of any speed
JPEG, PNG, WEBP, GIF, AVIF = (encoded(photo(), form) for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"))
SCREEN = gif.first_block(GIF)


def many(unit: bytes, length: int = _LONG) -> bytes:
    return unit * (length // len(unit))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def meta(inside: bytes) -> bytes:
    return box(b"meta", bytes(4) + inside)


def whole_file_again_and_again() -> bytes:
    """EXIF items, each of 64 extents that all name the whole file."""
    items = range(1000)
    entries = (box(b"infe", b"\x02\x00\x00\x00" + struct.pack(">HH", k, 0) + b"Exif\x00") for k in items)
    extents = struct.pack(">II", 0, 1 << 30) * 64
    table = b"".join(struct.pack(">HHH", k, 0, 64) + extents for k in items)
    count = struct.pack(">H", len(items))
    inside = box(b"iinf", bytes(4) + count + b"".join(entries)) + box(b"iloc", bytes(4) + b"\x44\x00" + count + table)
    return AVIF + meta(inside) + box(b"free", bytes(_LONG))


FURTHER = JPEG + b"\xff\xd8\xff" * 20  # sixteen files behind the picture are looked at
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG: pictures begin behind it": ("JPEG", lambda: JPEG + many(b"\xff\xd8\xff")),
    "JPEG: restart markers behind it": ("JPEG", lambda: FURTHER + many(b"\xff\xd0")),
    "JPEG: fill bytes behind it": ("JPEG", lambda: FURTHER + many(b"\xff")),
    "JPEG: empty segments behind it": ("JPEG", lambda: FURTHER + many(b"\xff\xe0\x00\x02")),
    "JPEG: scans behind it": ("JPEG", lambda: FURTHER + many(b"\xff\xda\x00\x02")),
    "JPEG: whole files behind it": ("JPEG", lambda: JPEG + many(b"\xff\xd8\xff\xe0\x00\x02\xff\xd9")),
    "JPEG: fill bytes": ("JPEG", lambda: JPEG[:2] + many(b"\xff") + JPEG[2:]),
    "JPEG: empty segments": ("JPEG", lambda: JPEG[:2] + many(b"\xff\xe0\x00\x02") + JPEG[2:]),
    "JPEG: EXIF segments": ("JPEG", lambda: JPEG[:2] + many(b"\xff\xe1\x00\x08Exif\x00\x00") + JPEG[2:]),
    "PNG: private chunks": ("PNG", lambda: PNG[:33] + many(chunk(b"prVt", b"")) + PNG[33:]),
    "PNG: texts": ("PNG", lambda: PNG[:33] + many(chunk(b"tEXt", b"a\x00b")) + PNG[33:]),
    "PNG: compressed texts": (
        "PNG", lambda: PNG[:33] + many(chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(900)))) + PNG[33:],
    ),
    "PNG: empty pieces of pixels": ("PNG", lambda: PNG[:-12] + many(chunk(b"IDAT", b"")) + PNG[-12:]),
    "WebP: chunks": ("WEBP", lambda: WEBP + many(b"JUNK\x00\x00\x00\x00")),
    "GIF: empty comments": ("GIF", lambda: GIF[:SCREEN] + many(b"\x21\xfe\x00") + GIF[SCREEN:]),
    "GIF: a comment of bytes": ("GIF", lambda: GIF[:SCREEN] + b"\x21\xfe" + many(b"\x01a") + b"\x00" + GIF[SCREEN:]),
    "GIF: comments of bytes": (
        "GIF", lambda: GIF[:SCREEN] + many(b"\x21\xfe" + b"\x01a" * 4000 + b"\x00") + GIF[SCREEN:],
    ),
    "AVIF: boxes": ("AVIF", lambda: AVIF + many(box(b"free", b""))),
    "AVIF: meta boxes": ("AVIF", lambda: AVIF + many(meta(box(b"free", b"") * 500))),
    "AVIF: tables of properties": ("AVIF", lambda: AVIF + meta(many(box(b"iprp", box(b"ipco", b""))))),
    "AVIF: extents of the whole file": ("AVIF", whole_file_again_and_again),
}  # fmt: skip


def step() -> int:
    """What no walker can do without: a length, and on to what follows."""
    lengths, position = bytes(8 * MAX_STEPS), 0
    for _ in range(MAX_STEPS):
        (length,) = struct.unpack_from(">I", lengths, position)
        position += 8 + length
    return position


@pytest.mark.parametrize("name", FILES)
def test_many_pieces_cost_no_more_than_the_steps_allowed(name: str) -> None:
    form, make = FILES[name]
    payload, allowed = make(), _MOST * fastest(step)
    assert len(payload) > _LONG - _MIB
    assert fastest(lambda: read_provenance(payload, form), allowed) <= allowed


@pytest.mark.parametrize("name", [each for each in FILES if any(word in each for word in ("EXIF", "text", "extent"))])
def test_many_contents_take_no_more_memory_than_the_file(name: str) -> None:
    form, make = FILES[name]
    payload = make()
    tracemalloc.start()
    read_provenance(payload, form)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2 * _LONG


@pytest.mark.parametrize("name", ["JPEG: empty segments", "JPEG: fill bytes", "PNG: private chunks", "PNG: texts"])
def test_a_decoder_that_walks_piece_by_piece_is_given_no_thread(name: str) -> None:
    """The child process that decodes it instead can be ended, see `zhentu.intake.cell`."""
    form, make = FILES[name]
    assert is_plain(encoded(photo(), form))
    assert not is_plain(make())


def test_scans_that_nobody_walks_to_are_counted_all_the_same() -> None:
    alone = jpeg.scans_of(JPEG)
    hidden = jpeg.scans_of(JPEG[:2] + b"\xff\xe0\x00\x02" * MAX_STEPS + JPEG[2:])
    assert (alone.count, alone.end) == (1, len(JPEG))
    assert hidden.count >= 1
    assert (hidden.end, hidden.steps) == (-1, MAX_STEPS)


def test_a_picture_further_behind_is_walked_from_its_start() -> None:
    assert jpeg.scans_of(JPEG + JPEG, len(JPEG)) == replace(jpeg.scans_of(JPEG), end=2 * len(JPEG))
