"""One decoded frame -> upright 8-bit sRGB, in strips, so that only Pillow's copy and the result are held whole.

Most pictures are JPEGs in YCbCr without a colour space of their own: `jpeg_pixels` decodes those into the result.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageCms

from zhentu.intake.containers import jpeg

RgbArray = npt.NDArray[np.uint8]
_STRIP_PIXELS = 1 << 20  # of a strip, of which intermediate copies are made
_WHOLE_PIXELS = 4 << 20  # a picture up to this size that is already RGB is copied in one piece, three times as fast
_ORIENTATION = 0x0112
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")
_WITH_PROFILE = ("RGB", "RGBA", "CMYK", "L")
_ON_WHITE = "alpha composed on white"
_TURNS: dict[int, Callable[[RgbArray], RgbArray]] = {  # EXIF orientation -> upright
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.swapaxes(0, 1),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: rgb[::-1, ::-1].swapaxes(0, 1),
    8: lambda rgb: np.rot90(rgb),
}


def jpeg_pixels(payload: bytes, image: Image.Image) -> RgbArray | None:
    """Pixels (height, width, 3) of a JPEG that Pillow has opened and not loaded; None if Pillow shall read it.

    They are what Pillow would give, bit for bit (both have libjpeg-turbo), without its copy of four bytes a pixel.
    Files of other colour spaces are Pillow's, and so are damaged ones: it says what is wrong, or tolerates it.
    """
    if image.mode != "RGB" or _is_foreign(image.info.get("icc_profile")):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(payload)
        if (width, height) != image.size or colours != "YCbCr":
            return None
        return np.asarray(simplejpeg.decode_jpeg(payload, strict=True), dtype=np.uint8)
    except ValueError:
        return None


def completed_jpeg(payload: bytes, mode: str) -> bytes | None:
    """A JPEG that lacks nothing but its end marker, with one; None if it lacks more.

    The decoder fills what is missing with grey and warns, so only if it warns of nothing are all rows there.
    """
    mended = jpeg.with_end(payload)
    colours = {"L": "GRAY", "CMYK": "CMYK"}.get(mode, "RGB")
    try:
        simplejpeg.decode_jpeg(mended, colorspace=colours, strict=True)
    except ValueError:
        return None
    return mended


def to_srgb(image: Image.Image, notes: list[str]) -> RgbArray:
    """The current frame of a loaded image as (height, width, 3); adds to `notes` what was done to it."""
    width, height = image.size
    convert = _converter(image, notes)
    if convert is None and width * height <= _WHOLE_PIXELS:
        return np.asarray(image, dtype=np.uint8)
    rgb = np.empty((height, width, 3), np.uint8)
    translucent = False
    for top, strip in _strips(image):
        colours, alpha = convert(strip) if convert else (strip, None)
        if alpha is not None and alpha.getextrema() != (255, 255):
            translucent = True
            white = Image.new("RGB", strip.size, (255, 255, 255))
            colours = Image.composite(colours, white, alpha)
        rgb[top : top + strip.height] = np.asarray(colours, dtype=np.uint8)
    if translucent:
        notes.append(_ON_WHITE)
    return rgb


def upright(rgb: RgbArray, image: Image.Image) -> RgbArray:
    """The pixels of `image`, (height, width, 3), turned upright as its EXIF orientation says."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block must not cost the picture
        return rgb
    return rgb if turn is None else np.ascontiguousarray(turn(rgb))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(_STRIP_PIXELS // image.width, 1)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _converter(
    image: Image.Image, notes: list[str]
) -> Callable[[Image.Image], tuple[Image.Image, Image.Image | None]] | None:
    """A function from a strip to its RGB and alpha, or None if the image is sRGB already."""
    eight_bit = _eight_bit(image, notes)
    grey = eight_bit is not None
    with_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or (not grey and "transparency" in image.info)
    palette = image.mode == "P"  # its colours are RGB, in the colour space of its profile
    mode = "RGBA" if with_alpha else "L" if grey else "RGB" if palette else image.mode
    transform = _transform(image.info.get("icc_profile"), mode, notes)
    if transform is None and image.mode == "RGB" and not with_alpha:
        return None

    def convert(strip: Image.Image) -> tuple[Image.Image, Image.Image | None]:
        if eight_bit is not None:
            strip = eight_bit(strip)
        alpha = None
        if with_alpha:
            strip = strip.convert("RGBA")
            alpha, strip = strip.getchannel("A"), strip.convert("RGB")
        elif palette:
            strip = strip.convert("RGB")
        if transform is not None:
            return ImageCms.applyTransform(strip, transform) or strip, alpha
        return strip.convert("RGB"), alpha

    return convert


def _eight_bit(image: Image.Image, notes: list[str]) -> Callable[[Image.Image], Image.Image] | None:
    """A function that scales 16-bit or floating-point grey to 8 bits, which Pillow would clip; None for other modes."""
    if image.mode in _SIXTEEN_BIT:
        notes.append("16-bit scaled to 8-bit")
        return _from_sixteen_bit
    if image.mode != "F":
        return None
    notes.append("floating point scaled to 8-bit")
    most = max(float(_finite(strip).max(initial=0.0)) for _, strip in _strips(image))
    top = 1.0 if most <= 1.0 else 255.0 if most <= 255.0 else 65535.0
    return lambda strip: Image.fromarray((_finite(strip).clip(0, top) * (255 / top)).round().astype(np.uint8))


def _from_sixteen_bit(strip: Image.Image) -> Image.Image:
    values = np.asarray(strip)
    if values.dtype != np.uint16:
        values = values.clip(0, 65535)
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _finite(strip: Image.Image) -> npt.NDArray[np.float32]:
    return np.nan_to_num(np.asarray(strip, dtype=np.float32), nan=0.0, posinf=1e9, neginf=0.0)


def _is_foreign(profile: object) -> TypeGuard[bytes]:
    """Whether an ICC profile is there and of another colour space than sRGB."""
    return isinstance(profile, bytes) and bool(profile) and b"sRGB" not in profile[:4096]


def _transform(profile: object, mode: str, notes: list[str]) -> ImageCms.ImageCmsTransform | None:
    if mode not in _WITH_PROFILE or not _is_foreign(profile):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colours = "RGB" if mode == "RGBA" else mode
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), colours, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("broken ICC profile ignored")
        return None
    notes.append("ICC profile converted to sRGB")
    return transform
