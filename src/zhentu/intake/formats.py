"""Formats that Pillow does not read by itself: HEIF by libheif, JPEG XL by libjxl."""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from zhentu.errors import PictureCorrupt, PictureTruncated, UnsupportedFormat

_JXL_EXTRA = "pip install 'zhentu[jxl]'"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_registering = threading.Lock()


@lru_cache(maxsize=1)
def register_heif() -> None:
    """Let Pillow read HEIF by libheif; called when the first such picture comes."""
    with _registering:
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)


@dataclass(frozen=True, slots=True)
class JxlHeader:
    """What a JPEG XL header says, in pixels as stored. still: there are neither frames nor a preview."""

    width: int
    height: int
    still: bool


def jxl_header(payload: bytes) -> JxlHeader:
    """The header of a JPEG XL file. Raises PictureTruncated.

    The decoders read the whole picture before they tell its size, so its few bits are read here (ISO/IEC 18181-1,
    SizeHeader and ImageMetadata).
    """
    bits = _Bits(_jxl_codestream(payload))
    width, height = bits.both_sides()
    if bits.take(1) or not bits.take(1):  # all_default, or no extra_fields
        return JxlHeader(width, height, still=True)
    bits.take(3)  # orientation
    if bits.take(1):  # have_intrinsic_size
        bits.both_sides()
    preview, animation = bits.take(1), bits.take(1)
    return JxlHeader(width, height, still=not preview and not animation)


def open_jxl(payload: bytes) -> Image.Image:
    """A JPEG XL picture, decoded, its first frame. Raises UnsupportedFormat naming what to install, PictureCorrupt."""
    if importlib.util.find_spec("imagecodecs") is None:
        raise UnsupportedFormat(f"JPEG XL needs an extra: {_JXL_EXTRA}; or send it as JPEG, PNG or WebP")
    import imagecodecs

    try:
        pixels = np.asarray(imagecodecs.jpegxl_decode(payload, index=0, numthreads=1))
    except imagecodecs.JpegxlError as error:
        if "NEED_MORE_INPUT" in str(error):
            raise PictureTruncated("the JPEG XL file ends before the picture does; upload it again") from error
        raise PictureCorrupt(f"the JPEG XL picture cannot be decoded ({error}); export it again") from error
    return _image_of(pixels)


def _image_of(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        pixels = (pixels >> 8).astype(np.uint8)
    elif pixels.dtype.kind == "f" and pixels.ndim == 3:
        pixels = np.rint(np.clip(pixels, 0, 1) * np.float32(255)).astype(np.uint8)
    elif pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
    return Image.fromarray(pixels)


def _jxl_codestream(payload: bytes) -> bytes:
    """The first bytes of the codestream, bare or inside boxes."""
    if payload.startswith(b"\xff\x0a"):
        return payload[2:34]
    place = 0
    while place + 8 <= len(payload):
        length, kind, head = int.from_bytes(payload[place : place + 4], "big"), payload[place + 4 : place + 8], 8
        if length == 1:
            length, head = int.from_bytes(payload[place + 8 : place + 16], "big"), 16
        if kind in (b"jxlc", b"jxlp"):
            start = payload[place + head + (4 if kind == b"jxlp" else 0) :][:34]
            if not start.startswith(b"\xff\x0a"):
                break
            return start[2:]
        if length < head:
            break  # 0: until the end of the file
        place += length
    raise PictureTruncated("the JPEG XL file holds no picture; upload it again")


class _Bits:
    """Bits, the least significant of each byte first."""

    def __init__(self, start: bytes) -> None:
        self._value, self._left = int.from_bytes(start, "little"), len(start) * 8

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        if count > self._left:
            raise PictureTruncated("the JPEG XL file ends before the picture does; upload it again")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def both_sides(self) -> tuple[int, int]:
        """A SizeHeader: width and height in pixels."""
        small = self.take(1)
        height = (self.take(5) + 1) * 8 if small else self.side()
        if ratio := self.take(3):
            across, down = _RATIOS[ratio - 1]
            return height * across // down, height
        return ((self.take(5) + 1) * 8 if small else self.side()), height

    def side(self) -> int:
        """A side in pixels: of four lengths the one that two bits choose."""
        return self.take((9, 13, 18, 30)[self.take(2)]) + 1
