"""Parameters hidden in the lowest bits of PNG pixels ("stealth pnginfo": NovelAI, Forge, SD WebUI extensions).

The hidden text begins in the first column and runs downwards, with a signature of 15 letters. Whatever filter a row
has, the first pixel of the next one depends only on the first pixel above it, so the signature is read from one byte
per row, without decoding the picture; most pictures are ruled out after the first letter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from zhentu.intake.containers import png
from zhentu.types import AiState, Evidence, EvidenceKind, Trust

_SIGNATURES = (b"stealth_pnginfo", b"stealth_pngcomp", b"stealth_rgbinfo", b"stealth_rgbcomp")
_CHANNELS = {2: 3, 6: 4}  # colour type to channels; others cannot hide it
_MAX_ROW = 256 * 1024
_PIECE = 64 * 1024
_HEADER = 29  # bytes of a PNG up to the end of its IHDR


def stealth_parameters(payload: bytes) -> Iterator[Evidence]:
    """A signature in a PNG's lowest bits: those of the alpha channel, or of red, green and blue."""
    if payload[12:16] != b"IHDR" or len(payload) < _HEADER:
        return
    width, height = (int.from_bytes(payload[start : start + 4], "big") for start in (16, 20))
    depth, colour, interlaced = payload[24], payload[25], payload[28]
    channels = _CHANNELS.get(colour, 0)
    if depth != 8 or not channels or interlaced or not 0 < width * channels <= _MAX_ROW:
        return
    hidden = _signature(payload, 1 + width * channels, height, channels)
    if hidden in _SIGNATURES:
        place = "PNG alpha channel" if b"png" in hidden else "PNG pixels"
        detail = f"hidden parameters of a generator ({hidden.decode()})"
        yield Evidence(EvidenceKind.PROVENANCE, "stealth_parameters", detail, Trust.FORGEABLE, place, AiState.SUSPECTED)


def _signature(payload: bytes, row: int, height: int, channels: int) -> bytes:
    """The letters found; empty as soon as they cannot become a signature."""
    alpha: list[int] = []
    colours: list[int] = []
    above = bytes(channels)
    for index, head in enumerate(_row_heads(payload, row, 1 + channels)):
        if index >= height or index >= 8 * len(_SIGNATURES[0]):
            break
        above = _unfiltered(head[0], head[1:], above)
        colours += [value & 1 for value in above[:3]]
        if channels == 4:
            alpha.append(above[3] & 1)
        found = [_letters(bits) for bits in (alpha, colours) if bits]
        for letters in found:
            if letters[:15] in _SIGNATURES:
                return letters[:15]
        if not any(each.startswith(letters) for letters in found for each in _SIGNATURES) and index >= 7:
            return b""
    return b""


def _letters(bits: list[int]) -> bytes:
    whole = len(bits) // 8 * 8
    return bytes(int("".join(map(str, bits[at : at + 8])), 2) for at in range(0, whole, 8))


def _unfiltered(kind: int, raw: bytes, above: bytes) -> bytes:
    """The first pixel of a row (PNG 9.2): nothing is to its left, so Sub is None, and Paeth is Up."""
    if kind in (2, 4):
        return bytes((value + up) & 0xFF for value, up in zip(raw, above, strict=True))
    if kind == 3:
        return bytes((value + up // 2) & 0xFF for value, up in zip(raw, above, strict=True))
    return raw


def _row_heads(payload: bytes, row: int, head: int) -> Iterator[bytes]:
    """The first bytes of each row: its filter and its first pixel."""
    inflate = zlib.decompressobj()
    waiting = b""
    try:
        for kind, start, end in png.chunks(payload):
            if kind != b"IDAT":
                continue
            for place in range(start + 8, end - 4, _PIECE):
                piece = payload[place : min(place + _PIECE, end - 4)]
                while piece:
                    waiting += inflate.decompress(piece, max(row - len(waiting), 1))
                    piece = inflate.unconsumed_tail
                    if len(waiting) >= row:
                        yield waiting[:head]
                        waiting = waiting[row:]
    except zlib.error:
        return
