"""Bytes that should be text, decoded by their content: writers name one encoding and use another."""

from __future__ import annotations

import codecs
import re

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CODES = (b"ASCII\x00\x00\x00", b"UNICODE\x00", b"JIS\x00\x00\x00\x00\x00", b"\x00" * 8)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_JUDGED = 512  # characters that decide about an encoding
_MARGIN = 0.05  # by how much another reading must be better than the one the writer named


def user_comment(value: bytes, order: str = "<") -> str:
    """EXIF UserComment: eight bytes name a code (EXIF 4.6.5), and cameras, piexif, exiftool and web tools disagree.

    The text decides: UTF-8 and UTF-16 of both byte orders are judged by how much of it is letters people write.
    order: the byte order of the file, "<" or ">"; it breaks ties.
    """
    code, body = (value[:8], value[8:]) if value.startswith(_CODES) else (b"", value)
    if code.startswith(b"JIS"):
        return _clean(_strict(body, "iso2022_jp") or _strict(body, "utf-8") or body.decode("utf-8", "replace"))
    wide = "utf-16-le" if order == "<" else "utf-16-be"
    return best_text(body, wide if code.startswith(b"UNICODE") else "utf-8")


def best_text(body: bytes, named: str = "utf-8") -> str:
    """The most plausible reading of `body`. named: the encoding its writer claims, used unless another is better."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return _clean(body[len(mark) :].decode(encoding, "replace"))
    if named == "utf-8" and body.isascii() and b"\x00" not in body.strip(b"\x00"):
        return _clean(body.decode("ascii"))
    readings = [named, *(each for each in ("utf-8", "utf-16-le", "utf-16-be") if each != named)]
    head = body[: 2 * _JUDGED]
    scores = [_plausible(head, encoding) for encoding in readings]
    best = max(range(len(readings)), key=lambda index: scores[index] + (_MARGIN if index == 0 else 0))
    if readings[best] == "utf-8":
        return narrow_text(body)
    return _clean(body.decode(readings[best], "replace"))


def foreign_text(body: bytes) -> bytes:
    """The body of a chunk nobody has described, if all of it is UTF-8 text, without NULs at its end; else nothing."""
    text = body.rstrip(b"\x00")
    if _BINARY.search(text):
        return b""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        # A text that was cut within its last letter is one all the same.
        return text[: error.start] if error.start >= len(text) - 3 and error.start > 0 else b""
    return text


def narrow_text(body: bytes) -> str:
    """Bytes of an 8-bit field: UTF-8, else GB 2312 as Chinese Windows writes it, else Latin-1, which takes any byte."""
    text = _strict(body, "utf-8")
    if text is None:
        text = _strict(body, "gb2312") or body.decode("latin-1")
    return _clean(text)


def _strict(body: bytes, encoding: str) -> str | None:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        return None


def _plausible(head: bytes, encoding: str) -> float:
    """Points per byte: what people write scores, control and unassigned characters cost.

    ASCII read in the wrong byte order becomes Chinese characters, so an ASCII letter is worth two Chinese ones.
    """
    wide = encoding != "utf-8"
    text = head[: len(head) // 2 * 2 if wide else len(head)].decode(encoding, "replace").rstrip("\x00")
    if not text:
        return -1.0
    points = 0.0
    for character in text:
        code = ord(character)
        if 0x20 <= code < 0x7F or code in (0x09, 0x0A, 0x0D):
            points += 2.0
        elif 0x4E00 <= code < 0xA000 or 0x3000 <= code < 0x3100 or 0xFF00 <= code < 0xFFEF or 0xAC00 <= code < 0xD7A4:
            points += 1.5
        elif 0xA0 <= code < 0x600 or 0x2010 <= code < 0x2030 or code >= 0x1F300:
            points += 1.0
        elif code < 0x20 or code == 0xFFFD or 0xD800 <= code < 0xF900:
            points -= 4.0
        else:
            points -= 0.5
    return points / len(text)


def _clean(text: str) -> str:
    return text.strip("\x00 ")
