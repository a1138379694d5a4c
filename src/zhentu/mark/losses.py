"""What a picture loses when it is encoded anew, said in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from zhentu.intake.containers import bmff, jpeg, png
from zhentu.intake.exif import parse_exif
from zhentu.mark.gainmap import announces, has_gain_map


def lost(before: bytes, after: bytes, picture_format: str) -> Iterator[str]:
    """One sentence part for each thing that `before` had and `after` has no more."""
    if picture_format == "JPEG":
        yield from _behind(before)
    coding = {"PNG": png.colour_coding, "AVIF": bmff.colour_coding}.get(picture_format, lambda _: None)(before)
    if coding is not None and coding.curve:
        yield f"{coding.curve} values of high dynamic range were converted to sRGB, what announced them was taken out"
    if picture_format == "AVIF" and bmff.has_gain_map(before):
        yield "the HDR gain map was left out: the picture shows in standard range"
    old, new = _depth(before, picture_format), _depth(after, picture_format)
    if old > new > 0:
        yield f"{old} bits a channel became {new}"


def _behind(payload: bytes) -> Iterator[str]:
    """Pictures and films behind a JPEG's first picture."""
    if has_gain_map(payload):
        yield "the HDR gain map was left out, with all that announced it: the picture shows in standard range"
    elif any(announces(block) for block in jpeg.blocks(payload)):
        yield "the further pictures of the file were left out"
    if b"MotionPhoto" in payload[:65536] or b"MicroVideo" in payload[:65536]:
        yield "the film behind the picture was left out"


def _depth(payload: bytes, picture_format: str) -> int:
    """Bits of a channel, 0 where they are not told."""
    if picture_format == "PNG":
        return payload[24] if len(payload) > 24 else 0
    if picture_format == "AVIF":
        return bmff.bit_depth(payload)
    return parse_exif(payload).bits if picture_format == "TIFF" else 0
