"""What an upload contains: pictures to screen, harmless text, and files that cannot be screened."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Receive, Scope

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_PICTURE_NAMES = frozenset(
    (
        *(
            ".jpg",
            ".jpeg",
            ".jpe",
            ".jfif",
            ".pjpeg",
            ".png",
            ".apng",
            ".gif",
            ".webp",
            ".avif",
            ".avifs",
            ".bmp",
            ".dib",
        ),
        *(".tif", ".tiff", ".heic", ".heif", ".hif", ".jxl", ".svg", ".svgz", ".jp2", ".j2k", ".jpx", ".ico", ".psd"),
        *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".tga", ".exr", ".hdr", ".qoi"),
        *(".pbm", ".pgm", ".ppm", ".pnm"),
    )
)
# How pictures begin in base64, anywhere in a text: JPEG, PNG, GIF, WebP, TIFF, and the ftyp box of HEIC and AVIF.
_BASE64 = re.compile(
    r"(?:[/_]9j[/_]|iVBORw0KGg|R0lGODd|R0lGODl|UklGR|SUkqA|SUkrA|TU0AK|AAAA[A-Za-z0-9+/_-]{1,2}GZ0eX)"
    r"[A-Za-z0-9+/_-]{48,}={0,2}"
)
_LONG = re.compile(r"[A-Za-z0-9+/_-]{20000,}")  # a file of some other kind
_SPACES = re.compile(r"[\s\\]+")  # line breaks of MIME, and backslashes of JSON within JSON
_DRAWING = re.compile(r"<(\w+:)?svg[\s>/]|data:image/", re.IGNORECASE)
_BINARY = re.compile("[\x00-\x08\x0e-\x1f]")
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Part:
    """One picture of an upload. field, name: where it is in a form."""

    field: str
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """An upload taken apart.

    unscreened: the places of parts that look like a picture or a file but cannot be screened.
    """

    pictures: tuple[Part, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    unscreened: tuple[str, ...] = ()


async def parts_of_form(scope: Scope, receive: Receive, harmless: frozenset[str]) -> Parts:
    """The parts of a multipart/form-data body. harmless: content types of files that need no screening."""
    pictures: list[Part] = []
    fields: dict[str, str] = {}
    unscreened: list[str] = []
    async with Request(scope, receive).form() as form:
        for name, part in form.multi_items():
            if not isinstance(part, UploadFile):
                found = _of_field(name, part)
                fields[name] = part
            else:
                found = _of_file(name, part.filename or "", await part.read(), part.content_type or "", harmless)
            pictures += found.pictures
            unscreened += found.unscreened
    return Parts(tuple(pictures), fields, tuple(unscreened))


def parts_of_body(body: bytes, kind: str, harmless: frozenset[str]) -> Parts:
    """The parts of a body that is not a multipart form. kind: its content type, in lower case, without parameters."""
    if kind == "application/x-www-form-urlencoded" and _is_text(body):
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        return _joined([_of_field(name, value) for name, value in pairs], dict(pairs))
    if kind.startswith("multipart/"):
        return Parts(unscreened=(f"the body ({kind})",))
    return _of_file("", "", body, kind, harmless)


def _of_file(name: str, filename: str, payload: bytes, kind: str, harmless: frozenset[str]) -> Parts:
    where = filename or name or "the body"
    kind = kind.partition(";")[0].strip().lower()
    if not payload and not filename:
        return Parts()
    text = _is_text(payload)
    # By its declared type, its name, or its bytes: a picture sent as text/plain is one, too.
    called = PurePosixPath(filename.lower()).suffix in _PICTURE_NAMES
    if kind.startswith("image/") or called or (not text and _is_picture(payload)):
        return Parts((Part(name, filename, payload),))
    if not text:
        return Parts() if kind in harmless and kind else Parts(unscreened=(where,))
    content = payload.decode()
    if kind.endswith("json") and not filename:
        return _of_json(content)
    words = _of_words(where, content)
    if words.pictures or words.unscreened or not filename or kind in harmless:
        return words
    return Parts(unscreened=(where,))


def _of_field(name: str, value: str) -> Parts:
    """A field of a form. Without a file name, even a picture's bytes arrive as text."""
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raw = b""
    if raw and not _is_text(raw) and _is_picture(raw):
        return Parts((Part(name, "", raw),))
    if _BINARY.search(value):
        return Parts(unscreened=(name,))
    return _of_words(name, value)


def _of_json(content: str) -> Parts:
    try:
        strings = list(_strings("", json.loads(content), _DEEPEST))
    except (ValueError, RecursionError):
        return _of_words("", content)
    return _joined([_of_words(name, text) for name, text in strings], {})


def _strings(name: str, content: Any, deep: int) -> Iterator[tuple[str, str]]:
    if deep == 0:
        raise RecursionError("nested too deep")
    if isinstance(content, str):
        yield name, content
    elif isinstance(content, list):
        for each in content:
            yield from _strings(name, each, deep - 1)
    elif isinstance(content, dict):
        for key, each in content.items():
            yield name, key
            yield from _strings(key, each, deep - 1)


def _of_words(name: str, text: str) -> Parts:
    """Pictures in a text as base64; drawings, and long base64 of anything else, cannot be screened."""
    pictures, unscreened, joined = [], False, _SPACES.sub("", text)
    for found in _BASE64.finditer(joined):
        payload = _decoded(found.group())
        if _is_picture(payload):
            pictures.append(Part(name, "", payload))
        else:
            unscreened = True
    if not pictures and (_DRAWING.search(text) or _LONG.search(joined)):
        unscreened = True
    return Parts(tuple(pictures), {}, (name or "the body",) if unscreened else ())


def _decoded(text: str) -> bytes:
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + "=" * (-len(text) % 4 % 3))
    except (binascii.Error, ValueError):
        return b""


def _joined(found: list[Parts], fields: Mapping[str, str]) -> Parts:
    pictures = tuple(each for parts in found for each in parts.pictures)
    return Parts(pictures, fields, tuple(each for parts in found for each in parts.unscreened))


def _is_picture(payload: bytes) -> bool:
    return payload.startswith(_MAGIC) or payload[8:12] in (b"WEBP", b"avif", b"avis")


def _is_text(payload: bytes) -> bool:
    try:
        return not _BINARY.search(payload.decode())
    except UnicodeDecodeError:
        return False
