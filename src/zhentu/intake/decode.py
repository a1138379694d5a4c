"""Bytes -> upright sRGB pixels, or a named error. The only decoder: training, evaluation and serving all use it.

Caps are checked on the header, before any pixel is decoded. Pillow does the decoding: unlike OpenCV it reports
truncated files instead of filling them with grey. Sound JPEGs in YCbCr go through simplejpeg, which reports them too.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from zhentu.errors import (
    PdfUnsupported,
    PictureCorrupt,
    PictureEmpty,
    PictureError,
    PictureNotFound,
    PictureTooLarge,
    PictureTooSmall,
    PictureTruncated,
    SvgUnsupported,
    UnsupportedFormat,
)
from zhentu.intake.containers import jpeg, png, webp
from zhentu.intake.formats import jxl_header, open_jxl, register_heif
from zhentu.intake.frames import Scenes, shown_seconds
from zhentu.intake.pixels import RgbArray, completed_jpeg, jpeg_pixels, to_srgb, upright
from zhentu.intake.sniff import SNIFF_BYTES, FileKind, kind_of
from zhentu.types import Frame, Picture

DECODING_VERSION = 2  # increment it when the same bytes would give other pixels; part of what decides
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")  # Pillow reads MPO through its JPEG plugin
_JPEG = ("JPEG", "MPO")
_SHOWN_IN_TURN = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")  # frames, or pages
READ = (*FORMATS, "HEIC", "JPEG XL")  # as named in errors
_TRAILING_NOTED = 64 * 1024  # bytes after the end of a JPEG that are worth noting: a second file may hide there
_ENDS_EARLY = "the file ends {} bytes before the picture does; upload it again"
_SPOKEN_WITH_A_VOWEL = (FileKind.AVIF, FileKind.ICON, FileKind.SVG)
_MENDED = "zhentu: end marker added"  # a key of what Pillow knows of an image
_TRUNCATED_WORDS = (
    *("truncated", "unexpected end", "premature", "not enough", "broken png", "incomplete", "eof", "end of file"),
)
_HARDLY_READ = (FileKind.JPEG_2000, FileKind.ICON, FileKind.PHOTOSHOP, FileKind.BIG_TIFF)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits checked before decoding: bytes of the file; pixels = width x height; side = the longer or shorter one.

    max_scans: passes of a progressive JPEG.  Their number times the pixels must also stay below 20 max_pixels, because
    each pass goes over all of them.  frames: how many of an animation, or pages of a file, are looked at.  max_frames:
    how many it may have; together they may have 8 max_pixels.
    """

    max_bytes: int = 30 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_side: int = 20_000
    min_side: int = 32
    max_scans: int = 100
    frames: int = 8
    max_frames: int = 2_000

    @property
    def max_scanned_pixels(self) -> int:
        """Pixels that all passes of a JPEG may go over together."""
        return 20 * self.max_pixels

    @property
    def max_frame_pixels(self) -> int:
        """Pixels that all frames of an animation may have together."""
        return 8 * self.max_pixels

    def frames_kept(self, pixels: int) -> int:
        """How many frames of this many pixels are looked at: never more than twice `max_pixels` are in memory."""
        return max(min(self.frames, 2 * self.max_pixels // max(pixels, 1)), 2)


def keep_memory(at_once: int) -> None:
    """Let Pillow keep the memory of so many pictures, one block of 16 MiB (4 megapixels) each, for the next ones.

    It gives all of it back to the system otherwise, and the system hands it out page by page again: at 2 megapixels
    that took 8 % of a scan's processor time when Pillow decoded JPEGs too.
    """
    Image.core.set_blocks_max(at_once)  # type: ignore[attr-defined]  # what PILLOW_BLOCKS_MAX sets


def read_file(path: Path, limits: DecodeLimits) -> bytes:
    """Read a picture file, its size checked first. Raises PictureNotFound, PictureTooLarge, PictureEmpty."""
    try:
        if not path.is_file():  # do not read pipes and devices, which never end
            raise PictureNotFound(f"{path}: no such file")
        size = path.stat().st_size
        _check_bytes(size, limits)
        with path.open("rb") as stream:
            payload = stream.read(limits.max_bytes + 1)  # it may have grown in the meantime
        _check_bytes(len(payload), limits)
        return payload
    except OSError as error:
        raise PictureNotFound(f"{path}: cannot be read: {error.strerror or error}") from error


def decode(payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> Picture:
    """Decode one picture to uint8 sRGB, upright, alpha composed on white. sha256: of the bytes, if known.

    Raises PictureEmpty, PictureTooLarge, PictureTooSmall, PictureTruncated, PictureCorrupt or UnsupportedFormat.
    """
    limits = limits or DecodeLimits()
    with _opened(payload, limits) as image:
        return _still(image, payload, limits, sha256)


def decode_frames(payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> tuple[Picture, ...]:
    """What people see of a file: the one picture it holds, or the frames of it that are to be looked at, in order.

    Of an animation or a multi-page TIFF a bounded number is chosen by display time and by change; each names its
    place in `frame`. Further pictures of a HEIF, an MPO or an icon are not shown by themselves: the primary one counts.
    Raises as `decode` does, also if a frame cannot be read, because another player may show it.
    """
    limits = limits or DecodeLimits()
    with _opened(payload, limits) as image:
        if not getattr(image, "is_animated", False) or image.format not in _SHOWN_IN_TURN:
            return (_still(image, payload, limits, sha256),)
        scenes, total, times = _walk(image, limits)
        sha256, image_format = sha256 or hashlib.sha256(payload).hexdigest(), str(image.format)
        image.seek(0)
        chosen = scenes.chosen(limits.frames_kept(image.width * image.height))
        pictures = []
        for index in chosen:
            image.seek(index)
            notes = [f"frame {index + 1} of {total}"]
            rgb = _pixels(image, payload, notes, limits)
            frame = Frame(index, total, times[index], index == scenes.main)
            pictures.append(Picture(rgb, sha256, image_format, len(payload), tuple(notes), frame))
    return tuple(pictures)


def decode_frame(payload: bytes, frame: Frame | None, limits: DecodeLimits | None = None) -> Picture:
    """The frame that a verdict speaks of, or the one picture there is. Raises as `decode` does."""
    if frame is None:
        return decode(payload, limits)
    limits = limits or DecodeLimits()
    with _opened(payload, limits) as image:
        image.seek(frame.index)
        notes = [f"frame {frame.index + 1} of {frame.total}"]
        rgb, image_format = _pixels(image, payload, notes, limits), str(image.format)
    return Picture(rgb, hashlib.sha256(payload).hexdigest(), image_format, len(payload), tuple(notes), frame)


def _still(image: Image.Image, payload: bytes, limits: DecodeLimits, sha256: str) -> Picture:
    notes = [*_frame_notes(image), *_trailing_notes(payload, image.format)]
    if image.info.get(_MENDED):
        notes.append("the end marker is missing")
    image_format = str(image.format)
    rgb = _pixels(image, payload, notes, limits)
    return Picture(
        rgb=rgb,
        sha256=sha256 or hashlib.sha256(payload).hexdigest(),
        format=image_format,
        byte_count=len(payload),
        notes=tuple(notes),
    )


def _walk(image: Image.Image, limits: DecodeLimits) -> tuple[Scenes, int, list[float]]:
    """Every frame once: what there is to choose from, how many, and how long each is shown."""
    scenes, times, pixels = Scenes(), list[float](), 0
    timed = image.format != "TIFF"
    while True:
        index = len(times)
        try:
            image.seek(index)
        except EOFError:
            return scenes, index, times
        pixels += image.width * image.height
        if index >= limits.max_frames or pixels > limits.max_frame_pixels:
            raise PictureTooLarge(
                f"the picture has more than {index} frames of {image.width}x{image.height} pixels, the limits are "
                f"{limits.max_frames} frames and {limits.max_frame_pixels / 1e6:.0f} megapixels over all of them; "
                "send a shorter or smaller one"
            )
        if max(image.size) > limits.max_side or image.width * image.height > limits.max_pixels:
            _check_size(image.size, limits)
        image.load()
        # The default image of an APNG, shown by viewers that do not animate.
        beside = bool(index == 0 and getattr(image, "default_image", False))
        times.append(0.0 if beside or not timed else shown_seconds(image.info.get("duration")))
        if min(image.size) >= limits.min_side or index == 0:  # pages too small to judge are masks and previews
            scenes.add(index, image, times[-1] or 1.0, always=beside)


@contextmanager
def _opened(payload: bytes, limits: DecodeLimits) -> Iterator[Image.Image]:
    """The file opened by Pillow, its header checked; whatever fails until it is closed becomes a named error."""
    _check_bytes(len(payload), limits)
    kind = kind_of(payload[:SNIFF_BYTES])
    _refuse_unread(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # metadata oddities; what matters is raised below
        try:
            with _image(payload, kind, limits) as image:
                _check_size(image.size, limits)
                mended = None
                if image.format in _JPEG:
                    scans = jpeg.scans_of(payload)
                    _check_scans(scans.count, image.size, limits)
                    if scans.end < 0 and scans.whole:
                        mended = completed_jpeg(payload, image.mode)
                if mended is None:
                    yield image
                else:
                    with _image(mended, kind, limits) as whole:
                        whole.info[_MENDED] = True
                        yield whole
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise _unidentified(kind, error, limits, payload) from error
        except PictureError:
            raise
        except MemoryError as error:
            raise PictureTooLarge("the picture needs more memory than there is; send it smaller") from error
        # Pillow's plugins may raise nearly anything on hostile files: struct.error, KeyError, zlib.error ...
        except Exception as error:
            raise _broken(error, payload) from error


def _image(payload: bytes, kind: FileKind, limits: DecodeLimits) -> Image.Image:
    if kind is FileKind.JXL:
        header = jxl_header(payload)
        _check_size((header.width, header.height), limits)
        if not header.still:
            raise UnsupportedFormat("animated JPEG XL is not supported; send it as WebP, AVIF or GIF")
        image = open_jxl(payload)
        image.format = "JXL"
        return image
    if kind is FileKind.HEIF:
        register_heif()
        return Image.open(io.BytesIO(payload), formats=("HEIF",))
    readable, profile = png.lightened(payload) if kind is FileKind.PNG else (payload, b"")
    image = Image.open(io.BytesIO(readable), formats=FORMATS)
    if profile:
        image.info["icc_profile"] = profile
    return image


def _pixels(image: Image.Image, payload: bytes, notes: list[str], limits: DecodeLimits) -> RgbArray:
    """The current frame, upright; Pillow's copy of it is freed on the way."""
    if image.format in _JPEG:
        rgb = jpeg_pixels(payload, image)
        if rgb is not None:
            return upright(rgb, image)
    image.load()
    _check_size(image.size, limits)  # HEIF and TIFF may differ from what their header said
    return upright(to_srgb(image, notes), image)


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


def _check_scans(scans: int, size: tuple[int, int], limits: DecodeLimits) -> None:
    if scans > limits.max_scans or scans * size[0] * size[1] > limits.max_scanned_pixels:
        raise PictureTooLarge(
            f"the JPEG has {scans} scans of {size[0]}x{size[1]} pixels, the limits are {limits.max_scans} scans and "
            f"{limits.max_scanned_pixels / 1e6:.0f} megapixels over all of them; save it as a baseline JPEG"
        )


def _frame_notes(image: Image.Image) -> tuple[str, ...]:
    # `is_animated` walks no frames; `n_frames` of a hostile GIF would.
    if not getattr(image, "is_animated", False):
        return ()
    return ("primary of several pictures",) if image.format in ("HEIF", "MPO") else ("first of several frames",)


def _trailing_notes(payload: bytes, image_format: str | None) -> tuple[str, ...]:
    if image_format != "JPEG":
        return ()
    after = len(payload) - (payload.rfind(b"\xff\xd9") + 2)
    return (f"{after} bytes after the end of the picture",) if after > _TRAILING_NOTED else ()


def _refuse_unread(kind: FileKind) -> None:
    if kind is FileKind.SVG:
        raise SvgUnsupported("an SVG drawing is not a photograph: there are no pixels to judge; send it as PNG or JPEG")
    if kind is FileKind.PDF:
        raise PdfUnsupported("a PDF is a document, not a picture; send its pictures as JPEG or PNG")
    if kind in _HARDLY_READ:
        raise UnsupportedFormat(f"{kind.value} is not supported; send one of {', '.join(READ)}")


def _unidentified(kind: FileKind, error: Exception, limits: DecodeLimits, payload: bytes) -> PictureError:
    if isinstance(error, Image.DecompressionBombError):
        return PictureTooLarge(f"the picture has more than {limits.max_pixels / 1e6:.0f} megapixels; send it smaller")
    if missing := webp.missing_bytes(payload):
        return PictureTruncated(_ENDS_EARLY.format(missing))
    if kind is not FileKind.OTHER:
        named = f"{'an' if kind in _SPOKEN_WITH_A_VOWEL else 'a'} {kind.value} picture"
        return PictureCorrupt(f"the file starts like {named} but holds none that can be read; export it again")
    return UnsupportedFormat(f"not a picture zhentu reads; send one of {', '.join(READ)}")


def _broken(error: Exception, payload: bytes) -> Exception:
    text = str(error).lower()
    if missing := webp.missing_bytes(payload):
        return PictureTruncated(_ENDS_EARLY.format(missing))
    if isinstance(error, EOFError | struct.error | zlib.error) or any(word in text for word in _TRUNCATED_WORDS):
        return PictureTruncated(f"the file ends before the picture does ({error}); upload it again")
    return PictureCorrupt(f"the picture cannot be decoded ({error}); export it again")
