"""What a picture loses when it is re-encoded, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from zhentu.intake.containers import bmff, jpeg, png
from zhentu.intake.exif import parse_exif
from zhentu.mark.gainmap import announces, has_gain_map


def lost(before: bytes, after: bytes, picture_format: str) -> Iterator[str]:
    """One clause for each thing that `before` had and `after` lacks."""
    if picture_format == "JPEG":
        yield from _behind(before)
    coding = {"PNG": png.colour_coding, "AVIF": bmff.colour_coding}.get(picture_format, lambda _: None)(before)
    if coding is not None and coding.curve:
        yield f"{coding.curve} values of high dynamic range were converted to sRGB, and what announced them was removed"
    if picture_format == "AVIF" and bmff.has_gain_map(before):
        yield "the HDR gain map was removed: the picture shows in standard range"
    old, new = _depth(before, picture_format), _depth(after, picture_format)
    if old > new > 0:
        yield f"{old} bits per channel became {new}"


def _behind(payload: bytes) -> Iterator[str]:
    """Pictures, videos and whatever else stands after a JPEG's first picture."""
    video = b"MotionPhoto" in payload[:65536] or b"MicroVideo" in payload[:65536]
    if has_gain_map(payload):
        yield "the HDR gain map was removed with everything that announced it: the picture shows in standard range"
    elif any(announces(block) for block in jpeg.blocks(payload)):
        yield "the other pictures in the file were removed"
    elif not video:
        end = jpeg.scans_of(payload).end
        behind = payload[end:] if end >= 0 else b""
        if behind.strip(b"\x00"):
            what = ", another JPEG among them," if behind.startswith(b"\xff\xd8\xff") else ""
            yield f"{len(behind)} bytes after the end of the picture{what} were removed"
    if video:
        yield "the video after the picture was removed"


def _depth(payload: bytes, picture_format: str) -> int:
    """Bits of a channel, 0 if they are not told."""
    if picture_format == "PNG":
        return payload[24] if len(payload) > 24 else 0
    if picture_format == "AVIF":
        return bmff.bit_depth(payload)
    return parse_exif(payload).bits if picture_format == "TIFF" else 0
