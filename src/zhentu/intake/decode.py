"""Bytes -> upright sRGB pixels, or a named error. The only decoder: training, evaluation and serving all use it.

Caps are checked on the header, before any pixel is decoded. Pillow does the decoding: it measured as fast as OpenCV
on baseline JPEG (same libjpeg-turbo) and, unlike it, reports truncated files instead of filling them with grey.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from zhentu.errors import (
    PictureCorrupt,
    PictureEmpty,
    PictureNotFound,
    PictureTooLarge,
    PictureTooSmall,
    PictureTruncated,
    UnsupportedFormat,
)
from zhentu.types import Picture

DECODING_VERSION = 1  # raise it when the same bytes would give other pixels; part of what decides
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")  # Pillow reads MPO through its JPEG plugin
_TRAILING_NOTED = 64 * 1024  # bytes after the end of a JPEG that are worth recording: a second file may hide there
_TRUNCATED_WORDS = ("truncated", "unexpected end", "premature", "not enough", "broken png", "incomplete", "eof")


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What is refused before decoding. Bytes of the file; pixels = width x height; side = the longer or shorter one."""

    max_bytes: int = 30 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_side: int = 20_000
    min_side: int = 32


def read_file(path: Path, limits: DecodeLimits) -> bytes:
    """Read a picture file, its size checked first. Raises PictureNotFound, PictureTooLarge, PictureEmpty."""
    try:
        if not path.is_file():  # also keeps pipes and devices, which never end, from being read
            raise PictureNotFound(f"{path}: no such file")
        size = path.stat().st_size
        _check_bytes(size, limits)
        return path.read_bytes()
    except OSError as error:
        raise PictureNotFound(f"{path}: cannot be read: {error.strerror or error}") from error


def decode(payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> Picture:
    """Decode one picture to uint8 sRGB, upright, alpha composed on white. sha256: of the bytes, where it is known.

    Raises PictureEmpty, PictureTooLarge, PictureTooSmall, PictureTruncated, PictureCorrupt or UnsupportedFormat.
    """
    limits = limits or DecodeLimits()
    _check_bytes(len(payload), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # metadata oddities; what matters is raised below
        try:
            with Image.open(io.BytesIO(payload), formats=FORMATS) as image:
                _check_size(image.size, limits)
                notes = list(_frame_notes(image)) + list(_trailing_notes(payload, image.format))
                image_format = str(image.format)
                image.load()
                upright = _upright(image)
                rgb = _to_srgb(upright, notes)
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise _unidentified(payload, error, limits) from error
        except (PictureTooLarge, PictureTooSmall, UnsupportedFormat):
            raise
        except MemoryError as error:
            raise PictureTooLarge("the picture needs more memory than there is; send it smaller") from error
        # Pillow's plugins let nearly anything escape from hostile files: struct.error, KeyError, zlib.error ...
        except Exception as error:
            raise _broken(error) from error
    return Picture(
        rgb=rgb,
        sha256=sha256 or hashlib.sha256(payload).hexdigest(),
        format=image_format,
        byte_count=len(payload),
        notes=tuple(notes),
    )


def _check_bytes(size: int, limits: DecodeLimits) -> None:
    if size == 0:
        raise PictureEmpty("the picture has zero bytes; upload it again")
    if size > limits.max_bytes:
        raise PictureTooLarge(
            f"the picture has {size / 2**20:.1f} MiB, the limit is {limits.max_bytes / 2**20:.1f} MiB; send it smaller"
        )


def _check_size(size: tuple[int, int], limits: DecodeLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels or max(size) > limits.max_side:
        raise PictureTooLarge(
            f"the picture is {width}x{height} pixels, the limits are {limits.max_pixels / 1e6:.0f} megapixels and "
            f"{limits.max_side} pixels a side; send it smaller"
        )
    if min(size) < limits.min_side:
        raise PictureTooSmall(
            f"the picture is {width}x{height} pixels, the shorter side must have {limits.min_side}; send a larger one"
        )


def _frame_notes(image: Image.Image) -> tuple[str, ...]:
    # `is_animated` walks no frames; `n_frames` of a hostile GIF would.
    return ("first of several frames",) if getattr(image, "is_animated", False) else ()


def _trailing_notes(payload: bytes, image_format: str | None) -> tuple[str, ...]:
    if image_format != "JPEG":
        return ()
    after = len(payload) - (payload.rfind(b"\xff\xd9") + 2)
    return (f"{after} bytes after the end of the picture",) if after > _TRAILING_NOTED else ()


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block must not cost the picture
        return image


def _to_srgb(image: Image.Image, notes: list[str]) -> npt.NDArray[np.uint8]:
    image = _eight_bit(image, notes)
    if image.mode in ("LA", "PA", "La", "RGBa") or (image.mode != "RGBA" and "transparency" in image.info):
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    image = _apply_profile(image, notes)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        white = Image.new("RGB", image.size, (255, 255, 255))
        image = Image.composite(image, white, alpha)
        notes.append("alpha composed on white")
    return np.asarray(image, dtype=np.uint8)


def _eight_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """16-bit and floating-point greys to 8 bits by their nominal range; Pillow's own conversion would clip them."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(image, dtype=np.float64)
        notes.append("16-bit scaled to 8-bit")
        return Image.fromarray((values.clip(0, 65535) / 257).round().astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=1e9, neginf=0.0)
        top = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0 if values.max() <= 255.0 else 65535.0
        notes.append("floating point scaled to 8-bit")
        return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))
    return image


def _apply_profile(image: Image.Image, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    if b"sRGB" in profile[:4096]:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        bare = image.convert("RGB") if image.mode == "RGBA" else image
        converted = ImageCms.profileToProfile(bare, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("broken ICC profile ignored")
        return image
    notes.append("ICC profile converted to sRGB")
    return converted if converted is not None else image


def _unidentified(payload: bytes, error: Exception, limits: DecodeLimits) -> Exception:
    if isinstance(error, Image.DecompressionBombError):
        return PictureTooLarge(f"the picture has more than {limits.max_pixels / 1e6:.0f} megapixels; send it smaller")
    known = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
    if payload.startswith(known) or payload[8:12] in (b"WEBP", b"avif", b"avis"):
        return PictureCorrupt("the file starts like a picture but holds none that can be read; export it again")
    return UnsupportedFormat(f"not a picture zhentu reads; send one of {', '.join(FORMATS)}")


def _broken(error: Exception) -> Exception:
    text = str(error).lower()
    if isinstance(error, EOFError | struct.error | zlib.error) or any(word in text for word in _TRUNCATED_WORDS):
        return PictureTruncated(f"the file ends before the picture does ({error}); upload it again")
    return PictureCorrupt(f"the picture cannot be decoded ({error}); export it again")
