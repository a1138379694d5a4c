"""Hostile files of many kinds, each with the error code its row must carry ("" = decodes fine)."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import encoded, photo
from PIL import Image


@dataclass(frozen=True)
class HostileFile:
    path: Path
    codes: frozenset[str]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, data: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _gif_header(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\x00\x00" + b"\x00" * 6 + b"\x2c" + b"\x00" * 20


def write_hostile(folder: Path) -> list[HostileFile]:  # long: a table of files
    """Write every kind into `folder`."""
    jpeg = encoded(photo((400, 300)), "JPEG")
    png, webp, avif, gif, tiff, bmp = (
        encoded(photo((400, 300)), form) for form in ("PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
    )
    noise = np.random.default_rng(3).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    flipped = bytearray(jpeg)
    flipped[len(jpeg) // 2 : len(jpeg) // 2 + 200] = b"\xff" * 200
    big = io.BytesIO()
    Image.new("1", (25_000, 25_000)).save(big, "PNG")
    long = io.BytesIO()
    Image.new("L", (40_000, 40)).save(long, "PNG")
    bomb = _png(20_000, 2_400, zlib.compress(b"\x00" * 1000))
    text_bomb = _png(
        64, 64, zlib.compress(b"\x00" * 64 * 193), _chunk(b"zTXt", b"a\x00\x00" + zlib.compress(b"x" * 90_000_000))
    )
    ok, broken = {""}, {"picture_truncated", "picture_corrupt"}
    kinds: dict[str, tuple[bytes, set[str]]] = {
        "zero.jpg": (b"", {"picture_empty"}),
        "one_byte.png": (b"\x89", {"unsupported_format"}),
        "noise.jpg": (noise, {"unsupported_format"}),
        "noise_after_magic.jpg": (b"\xff\xd8\xff\xe0" + noise, broken),
        "noise_after_png_magic.png": (b"\x89PNG\r\n\x1a\n" + noise, broken),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], {"picture_truncated"}),
        "header_only.jpg": (jpeg[:30], broken),
        "truncated.png": (png[: len(png) // 2], broken),
        "truncated.webp": (webp[: len(webp) // 2], broken),
        "truncated.avif": (avif[: len(avif) // 2], broken),
        "truncated.gif": (gif[: len(gif) // 2], broken | ok),
        "truncated.tiff": (tiff[: len(tiff) // 2], broken),
        "truncated.bmp": (bmp[: len(bmp) // 2], broken),
        "scrambled.jpg": (bytes(flipped), broken | ok),
        "png_named.jpg": (png, ok),
        "jpeg_named.gif": (jpeg, ok),
        "text.jpg": (b"this is no picture\n" * 40, {"unsupported_format"}),
        "page.webp": (b"<html><script>alert(1)</script></html>", {"unsupported_format"}),
        "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", {"svg_unsupported"}),
        "document.jpg": (b"%PDF-1.7\n" + noise, {"pdf_unsupported"}),
        "program.png": (b"\x7fELF" + noise, {"unsupported_format"}),
        "archive.jpg": (b"PK\x03\x04" + noise, {"unsupported_format"}),
        "jpeg_with_archive.jpg": (jpeg + b"PK\x03\x04" + noise * 20, ok),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", {"unsupported_format"}),
        "heic.jpg": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + noise, broken),
        "too_many_pixels.png": (big.getvalue(), {"picture_too_large"}),
        "too_long.png": (long.getvalue(), {"picture_too_large"}),
        "bomb.png": (bomb, broken),
        "text_bomb.png": (text_bomb, ok | broken),
        "huge_canvas.gif": (_gif_header(65535, 65535), {"picture_too_large"} | broken),
        "tiny.png": (encoded(photo((5, 5)), "PNG"), {"picture_too_small"}),
        "one_pixel_wide.png": (encoded(photo((1, 500)), "PNG"), {"picture_too_small"}),
        "bad_crc.png": (png[:40] + b"\x00\x00\x00\x00" + png[44:], broken),
        "endless_tags.tiff": (
            b"II*\x00\x08\x00\x00\x00\xff\xff" + b"\xfe\x00\x04\x00\x01\x00\x00\x00\x00\x00\x00\x00" * 300,
            broken,
        ),
        "looping_tags.tiff": (b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00", broken),
        "bad_exif.jpg": (jpeg[:2] + b"\xff\xe1\x00\x20Exif\x00\x00MM\x00*" + b"\xff" * 20 + jpeg[2:], ok),
        "entity_bomb.jpg": (jpeg[:2] + _xmp_segment(_ENTITIES) + jpeg[2:], ok),
    }
    files = []
    for name, (content, codes) in kinds.items():
        (folder / name).write_bytes(content)
        files.append(HostileFile(folder / name, frozenset(codes)))
    return files


_ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&c;&c;&c;</x:xmpmeta>'
)


def _xmp_segment(packet: bytes) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\x00" + packet
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
