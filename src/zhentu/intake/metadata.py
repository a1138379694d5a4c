"""The metadata blocks of a file, as bounded text: XMP packets, EXIF tags, PNG text, application segments."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

MAX_XMP = 1024 * 1024
MAX_TEXT = 256 * 1024
MAX_ENTRIES = 64
_USER_COMMENT, _EXIF_IFD = 0x9286, 0x8769
_EXIF_TEXT = {0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x010E: "ImageDescription", 0x829A: "ExposureTime"}
_C2PA_MARKS = (b"jumbc2pa", b"c2pa.claim", b"urn:c2pa:", b"urn:uuid:c2pa", b"caBX")


@dataclass(frozen=True, slots=True)
class Metadata:
    """xmp: packets as text.  exif: tag name to text, with "UserComment".  text: PNG text chunks by keyword.

    segments: raw text of other blocks that may hold a bare AIGC label.  Everything is cut at the module's limits.
    """

    xmp: tuple[str, ...] = ()
    exif: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    has_c2pa: bool = False


def read_metadata(payload: bytes, picture_format: str) -> Metadata:
    """Collect the blocks; a block that cannot be read is left out."""
    head = payload[: 4 * MAX_XMP]
    info: Mapping[object, object] = {}
    exif: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(payload)) as image:
                if picture_format == "PNG":
                    image.load()  # text chunks may stand after the pixels
                info = dict(list(image.info.items())[: 4 * MAX_ENTRIES])
                exif = _exif(image)
        except Exception:  # the decoder has already judged the picture; here only what can be read counts
            info = {}
    packets = _xmp_packets(info, payload)
    return Metadata(
        xmp=packets,
        exif=exif,
        text=_text(info),
        segments=_segments(head) if picture_format in ("JPEG", "MPO") else (),
        has_c2pa=any(mark in payload for mark in _C2PA_MARKS),
    )


def _xmp_packets(info: Mapping[object, object], payload: bytes) -> tuple[str, ...]:
    packets = []
    for key in ("xmp", "XML:com.adobe.xmp"):
        value = info.get(key)
        if isinstance(value, bytes):
            packets.append(value[:MAX_XMP].decode("utf-8", "replace"))
        elif isinstance(value, str):
            packets.append(value[:MAX_XMP])
    if not packets:  # GIF, AVIF and oddly placed packets: found by their own markers
        start = payload.find(b"<x:xmpmeta")
        end = payload.find(b"</x:xmpmeta>", start) if start >= 0 else -1
        if 0 <= start < end and end - start < MAX_XMP:
            packets.append(payload[start : end + 12].decode("utf-8", "replace"))
    return tuple(dict.fromkeys(packet.strip("\x00\ufeff ") for packet in packets))


def _exif(image: Image.Image) -> dict[str, str]:
    exif = image.getexif()
    found = {name: _plain(exif[tag]) for tag, name in _EXIF_TEXT.items() if tag in exif}
    details = exif.get_ifd(_EXIF_IFD)
    for tag, name in _EXIF_TEXT.items():
        if tag in details:
            found[name] = _plain(details[tag])
    comment = details.get(_USER_COMMENT)
    if comment is not None:
        found["UserComment"] = _user_comment(comment)
    return found


def _plain(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:1024].replace("\x00", "").strip()


def _user_comment(value: object) -> str:
    """EXIF 2.3: eight bytes name the character code, the text follows."""
    if not isinstance(value, bytes):
        return str(value)[:MAX_TEXT]
    code, body = value[:8], value[8 : 8 + MAX_TEXT]
    if code.startswith(b"UNICODE"):
        encoding = "utf-16-le" if body[1:2] == b"\x00" else "utf-16-be"
        return body.decode(encoding, "replace")
    if code.startswith((b"ASCII", b"\x00" * 8, b"JIS")):
        return body.decode("utf-8", "replace").strip("\x00 ")
    return value[:MAX_TEXT].decode("utf-8", "replace").strip("\x00 ")


def _text(info: Mapping[object, object]) -> dict[str, str]:
    skipped = {"xmp", "XML:com.adobe.xmp", "exif", "icc_profile"}
    pairs = ((key, value) for key, value in info.items() if isinstance(key, str) and key not in skipped)
    found: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, bytes):
            value = value[:MAX_TEXT].decode("utf-8", "replace")
        if isinstance(value, str) and len(found) < MAX_ENTRIES:
            found[key[:79]] = value[:MAX_TEXT]
    return found


def _segments(head: bytes) -> tuple[str, ...]:
    """JPEG application and comment segments before the picture itself, as text."""
    found: list[str] = []
    position = 2
    while position + 4 <= len(head) and head[position] == 0xFF and len(found) < MAX_ENTRIES:
        marker, length = head[position + 1], int.from_bytes(head[position + 2 : position + 4], "big")
        if marker == 0xDA or length < 2:
            break
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            found.append(head[position + 4 : position + 2 + length].decode("utf-8", "replace"))
        position += 2 + length
    return tuple(found)
