"""PNG chunks (PNG third edition): text in three forms, eXIf, XMP in iTXt, C2PA in caBX."""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Iterator

from zhentu.intake.containers.block import MAX_BODY, MAX_STEPS, MAX_TOTAL, Block, BlockKind, ColourCoding
from zhentu.intake.wording import foreign_text, narrow_text

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
_MOST_RATIO = 1032  # bytes that one byte of deflate can become
MAX_INFLATED = 4 * MAX_BODY  # bytes of one text after decompression: ComfyUI's workflows pass 1 MB
# Private and rare chunks are read if they hold text; these are known, and hold none.
_KNOWN = frozenset(
    b"IHDR PLTE IDAT IEND acTL fcTL fdAT tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI mDCv cLLi bKGD hIST pHYs sPLT "
    b"tIME oFFs pCAL sCAL gIFg gIFx gIFt sTER dSIG fRAc iDOT gdAT vpAg prVW CgBI npTc npLb npOl orNT".split()
)
_RAW_PROFILES = {"exif": BlockKind.EXIF, "app1": BlockKind.EXIF, "xmp": BlockKind.XMP, "iptc": BlockKind.IPTC}


def blocks(payload: bytes) -> Iterator[Block]:
    """Metadata chunks, in file order, before and after the pixels."""
    left = MAX_TOTAL
    for kind, start, end in chunks(payload):
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            most = max(min(MAX_INFLATED, left), MAX_BODY // 16)
            block = _text(kind, start, end, payload[start + 8 : min(end - 4, start + 8 + MAX_INFLATED)], most)
            if block is not None:
                left -= len(block.body)
                yield block
        elif kind == b"eXIf":
            yield Block(BlockKind.EXIF, start, end, payload[start + 8 : end - 4][:MAX_BODY])
        elif kind == b"caBX":
            yield Block(BlockKind.C2PA, start, end, b"")
        elif kind not in _KNOWN and kind.isalpha():  # its type is shown
            body = foreign_text(payload[start + 8 : end - 4][:MAX_BODY])
            if body:
                yield Block(BlockKind.OTHER, start, end, body, f"PNG chunk {kind.decode('latin-1')}")


def colour_coding(payload: bytes) -> ColourCoding | None:
    """How the values are coded, None if the file does not say."""
    for kind, start, end in chunks(payload):
        if kind == b"cICP" and end - start >= 15:
            return ColourCoding(payload[start + 8], payload[start + 9], payload[start + 10])
        if kind == b"IDAT":
            break
    return None


def lightened(payload: bytes) -> tuple[bytes, bytes]:
    """The file without compressed chunks that Pillow refuses (1 MiB when inflated), and the ICC profile among them.

    Pixels need none of them but the profile, which is read up to MAX_INFLATED; a larger one is left out. At most
    MAX_TOTAL bytes are inflated. The same bytes are returned if there is nothing to leave out.
    """
    left, profile, parts, position = MAX_TOTAL, b"", [], 0
    for kind, start, end in chunks(payload):
        if kind not in (b"zTXt", b"iTXt", b"iCCP") or (end - start) * _MOST_RATIO < MAX_BODY:
            continue
        packed = _packed(kind, payload[start + 8 : end - 4])
        if packed is None:
            continue
        most = min(MAX_INFLATED, left) + 1
        inflated = _inflate(packed, most)
        left = max(left - len(inflated), 0)
        if len(inflated) > MAX_BODY:
            parts.append(payload[position:start])
            position = end
            profile = inflated if kind == b"iCCP" and len(inflated) < most else profile
    return (b"".join([*parts, payload[position:]]), profile) if parts else (payload, b"")


def _packed(kind: bytes, body: bytes) -> bytes | None:
    """The compressed bytes of a chunk, None if it is not compressed."""
    _, _, rest = body.partition(b"\x00")
    if kind != b"iTXt":
        return rest[1:]
    if rest[:1] != b"\x01":
        return None
    return rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]  # after language tag and translated keyword


def chunks(payload: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of every chunk, framing included, up to and with IEND; stops where the chain breaks."""
    position = len(SIGNATURE)
    for _ in range(MAX_STEPS):
        if position + 12 > len(payload):
            return
        (length,) = struct.unpack_from(">I", payload, position)
        kind, end = payload[position + 4 : position + 8], position + 12 + length
        if end > len(payload):
            return
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end


def _text(kind: bytes, start: int, end: int, body: bytes, most: int) -> Block | None:
    keyword, found, rest = body[:80].partition(b"\x00")
    if not found:
        return None
    rest = body[len(keyword) + 1 :]
    key = keyword.decode("latin-1")
    if kind == b"tEXt":
        text = rest
    elif kind == b"zTXt":
        text = _inflate(rest[1:], most)
    else:
        compressed, rest = rest[:1] == b"\x01", rest[2:]
        rest = rest.partition(b"\x00")[2].partition(b"\x00")[2]  # language tag, translated keyword
        text = _inflate(rest, most) if compressed else rest
    text = text[:most]
    if key == XMP_KEYWORD:
        return Block(BlockKind.XMP, start, end, text, key)
    profile = key.removeprefix("Raw profile type ").lower()
    if profile != key.lower() and profile in _RAW_PROFILES:
        return _raw_profile(Block(BlockKind.TEXT, start, end, text, key), _RAW_PROFILES[profile])
    if kind != b"iTXt":  # Latin-1 by the standard; generators write UTF-8 all the same
        text = _latin_or_utf8(text)
    return Block(BlockKind.TEXT, start, end, text, key)


def _latin_or_utf8(text: bytes) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return narrow_text(text).encode("utf-8")[:MAX_INFLATED]
    return text


def _raw_profile(block: Block, kind: BlockKind) -> Block:
    """ImageMagick's form: a name line, a length line, hexadecimal digits."""
    lines = block.body.strip().split(b"\n", 2)
    try:
        body = binascii.unhexlify(b"".join(lines[2].split()))
    except (binascii.Error, IndexError):
        return block
    for header, each in ((b"Exif\x00\x00", BlockKind.EXIF), (b"http://ns.adobe.com/xap/1.0/\x00", BlockKind.XMP)):
        if body.startswith(header):
            return Block(each, block.start, block.end, body[len(header) :], block.key)
    return Block(kind, block.start, block.end, body, block.key)


def _inflate(body: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, most)  # a bomb is cut off, never fully unpacked
    except zlib.error:
        return b""
