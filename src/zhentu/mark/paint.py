"""Paint a badge into the pixels and encode the picture as it was: quality, subsampling, ICC, orientation, frames.

JPEG keeps its quantisation tables, subsampling and progressive mode; metadata is carried over byte by byte, not
through the codec. PNG and lossless WebP stay lossless; lossy WebP and AVIF, which do not record their quality, are
encoded at 90. What the encoders cannot keep (gain maps, high dynamic range, more than 8 bits) is removed together with
everything that announces it, and a note says so.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, ImageSequence, JpegImagePlugin

from zhentu.errors import LabelUnwritable, PictureCorrupt, PictureError
from zhentu.intake.containers import BlockKind, bmff, gif, jpeg, png, webp
from zhentu.intake.containers.block import ColourCoding
from zhentu.mark.carriers import cleared_exif, labelled_tags
from zhentu.mark.gainmap import announces
from zhentu.mark.losses import lost
from zhentu.mark.splice import apply
from zhentu.mark.tone import to_srgb

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF")
_QUALITY = 90
_MOST_FRAME_PIXELS = 100_000_000  # of all frames together
_MOST_FRAMES = 1000
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
_HDR_CHUNKS = frozenset({b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"iCCP", b"gAMA", b"cHRM", b"sRGB"})
_TIED_CHUNKS = {b"bKGD", b"sBIT", b"hIST", b"sPLT"}  # they mean something else in another colour type
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769
_TIFF_TAGS = {270, 271, 272, 305, 306, 315, 33432, 33723, 700}  # texts, IPTC and XMP; pixels are stored upright
_WEBP_KNOWN = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "}


@dataclass(frozen=True, slots=True)
class Overlay:
    """Grey plate pixels, uint8 (height, width), and where they go in the upright picture: left, top."""

    pixels: npt.NDArray[np.uint8]
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Painted:
    """A file after painting. notes: what could not be kept, one clause each."""

    payload: bytes
    notes: tuple[str, ...] = ()


def paint(payload: bytes, picture_format: str, overlay: Overlay, xmp: bytes | None = None) -> Painted:
    """The file with the overlay on every frame. xmp: for AVIF and TIFF, the packet to write beside it.

    Raises LabelUnwritable if the format cannot be encoded or has too many frames, PictureError when it is broken.
    """
    form = "JPEG" if picture_format == "MPO" else picture_format
    encoder = _ENCODERS.get(form)
    if encoder is None:
        raise LabelUnwritable(
            f"zhentu paints labels into {', '.join(FORMATS)}, not into {picture_format}; convert the picture"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            readable = {"PNG": lambda: png.lightened(payload)[0], "JPEG": lambda: jpeg.with_end(payload)}.get(
                form, lambda: payload
            )()
            with Image.open(io.BytesIO(readable), formats=(form,)) as image:
                painted = encoder(payload, image, overlay, xmp)
            return Painted(painted, tuple(lost(payload, painted, form)))
    except PictureError:
        raise
    except Exception as error:  # Pillow's plugins may raise nearly anything on hostile files
        raise PictureCorrupt(f"the picture cannot be encoded again ({error}); export it again") from error


def _painted(image: Image.Image, overlay: Overlay) -> Image.Image:
    """A copy with the overlay, in stored orientation; modes that cannot show black and white are widened."""
    image.load()  # TIFF is turned upright here and then tagged so
    orientation = image.getexif().get(_ORIENTATION, 1)
    upright = ImageOps.exif_transpose(image) if orientation in _BACK else image.copy()
    keyed = "transparency" in upright.info  # a transparent colour may be the label's own
    if upright.mode not in _PASTE or keyed:
        upright = upright.convert("RGBA" if keyed or upright.mode in ("PA", "La", "RGBa") else "RGB")
    plate = _PASTE[upright.mode](overlay.pixels)
    upright.paste(plate, (overlay.left, overlay.top))
    return upright.transpose(_BACK[orientation]) if orientation in _BACK else upright


def _grey(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels)


def _wide_grey(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint16) * 257)


_PASTE: Mapping[str, Callable[[npt.NDArray[np.uint8]], Image.Image]] = {
    "L": _grey,
    "LA": lambda pixels: _grey(pixels).convert("LA"),
    "RGB": lambda pixels: _grey(pixels).convert("RGB"),
    "RGBA": lambda pixels: _grey(pixels).convert("RGBA"),
    "CMYK": lambda pixels: Image.merge("CMYK", [_grey(255 - pixels)] * 4),
    "I;16": _wide_grey,
}


def _jpeg(payload: bytes, image: Image.Image, overlay: Overlay, _: bytes | None) -> bytes:
    assert isinstance(image, JpegImagePlugin.JpegImageFile)  # noqa: S101 - opened with this format alone
    subsampling = JpegImagePlugin.get_sampling(image)
    options: dict[str, object] = {"qtables": image.quantization, "progressive": bool(image.info.get("progressive"))}
    painted = _painted(image, overlay)
    if subsampling >= 0 and painted.mode == "RGB":
        options["subsampling"] = subsampling
    stream = io.BytesIO()
    painted.save(stream, "JPEG", optimize=True, **options)
    encoded = stream.getvalue()
    # Tables and scans come from the new file, all segments that describe the picture from the old one.
    # Adobe's APP14 tells how these scans are coded; a gain map and its index are not kept.
    own = [block for block in jpeg.blocks(encoded) if block.key != "APP14"]
    old = (block for block in jpeg.blocks(payload) if block.key != "APP14" and not announces(block))
    kept = b"".join(payload[block.start : block.end] for block in old)
    bare = apply(encoded, [(block.start, block.end, b"") for block in own])
    return bare[:2] + kept + bare[2:]


def _png(payload: bytes, image: Image.Image, overlay: Overlay, _: bytes | None) -> bytes:
    coding = png.colour_coding(payload)
    encoded = _animated(image, overlay, "PNG", {}, coding)
    announced = _HDR_CHUNKS if coding and coding.curve else frozenset()
    changed = encoded[24:26] != payload[24:26]  # bit depth and colour type
    fresh = [(kind, encoded[start:end]) for kind, start, end in png.chunks(encoded) if kind in _PIXEL_CHUNKS]
    old = [
        (kind, payload[start:end])
        for kind, start, end in png.chunks(payload)
        if kind not in _PIXEL_CHUNKS and kind not in announced and not (changed and kind in _TIED_CHUNKS)
    ]
    # IHDR, what describes the picture (ICC must stand before PLTE), pixels, IEND
    return b"".join([png.SIGNATURE, fresh[0][1], *(body for _, body in old), *(body for _, body in fresh[1:])])


def _webp(payload: bytes, image: Image.Image, overlay: Overlay, _: bytes | None) -> bytes:
    kinds = {kind for kind, _, _ in webp.chunks(payload)}
    frames = [payload[start + 24 : start + 28] for kind, start, _ in webp.chunks(payload) if kind == b"ANMF"]
    lossless = b"VP8L" in kinds or (bool(frames) and all(frame == b"VP8L" for frame in frames))
    options: dict[str, object] = {"lossless": lossless, "quality": _QUALITY, "exact": lossless}
    for name in ("icc_profile", "exif", "xmp"):
        if image.info.get(name):
            options[name] = image.info[name]
    encoded = _animated(image, overlay, "WEBP", options)
    rest = b"".join(payload[start:end] for kind, start, end in webp.chunks(payload) if kind not in _WEBP_KNOWN)
    written = encoded + rest
    return written[:4] + (len(written) - 8).to_bytes(4, "little") + written[8:]


def _gif(payload: bytes, image: Image.Image, overlay: Overlay, _: bytes | None) -> bytes:
    encoded = _animated(image, overlay, "GIF", {"comment": image.info.get("comment", b"")})
    packets = [block for block in gif.blocks(payload) if block.kind is BlockKind.XMP]
    place = gif.first_picture(encoded)
    kept = b"".join(payload[block.start : block.end] for block in packets)
    return b"GIF89a" + encoded[6:place] + kept + encoded[place:]


def _avif(payload: bytes, image: Image.Image, overlay: Overlay, xmp: bytes | None) -> bytes:
    coding = bmff.colour_coding(payload)
    converted = coding is not None and bool(coding.curve)
    kept = ("exif",) if converted else ("icc_profile", "exif")
    options = {name: image.info[name] for name in kept if image.info.get(name)}
    if "exif" in options:
        options["exif"] = cleared_exif(options["exif"])
    options["quality"] = _QUALITY
    if xmp or image.info.get("xmp"):
        options["xmp"] = xmp or image.info["xmp"]
    return _animated(image, overlay, "AVIF", options, coding)


def _tiff(payload: bytes, image: Image.Image, overlay: Overlay, xmp: bytes | None) -> bytes:
    if getattr(image, "is_animated", False):
        raise LabelUnwritable("zhentu does not label TIFF files of several pages; send each page by itself")
    labelled = labelled_tags(payload)
    items = image.tag_v2.items()  # type: ignore[attr-defined]
    tags = {tag: value for tag, value in items if tag in _TIFF_TAGS and tag not in labelled}
    details = {tag: value for tag, value in image.getexif().get_ifd(_EXIF_IFD).items() if tag not in labelled}
    if details:
        tags[_EXIF_IFD] = details  # libtiff, which compresses, takes no directory within a directory
    if xmp:
        tags[700] = xmp
    options: dict[str, object] = {"tiffinfo": tags, "compression": "raw" if details else "tiff_adobe_deflate"}
    for name in ("icc_profile", "dpi"):
        if image.info.get(name):
            options[name] = image.info[name]
    stream = io.BytesIO()
    _painted(image, overlay).save(stream, "TIFF", **options)
    return stream.getvalue()


def _animated(
    image: Image.Image, overlay: Overlay, form: str, options: dict[str, object], coding: ColourCoding | None = None
) -> bytes:
    count = int(getattr(image, "n_frames", 1))
    if count > _MOST_FRAMES or count * image.width * image.height > _MOST_FRAME_PIXELS:
        raise LabelUnwritable(
            f"the animation has {count} frames of {image.width}x{image.height} pixels, the limits are {_MOST_FRAMES} "
            f"frames and {_MOST_FRAME_PIXELS // 10**6} megapixels in all; send fewer frames"
        )
    stream = io.BytesIO()
    if count == 1:
        _painted(_ordinary(image, coding), overlay).save(stream, form, **options)
        return stream.getvalue()
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(_painted(_ordinary(frame, coding), overlay))
        durations.append(int(frame.info.get("duration", 100) or 0))  # known once the frame is loaded
    options |= {"save_all": True, "append_images": frames[1:], "duration": durations}
    if "loop" in image.info and form != "AVIF":  # a GIF without the extension plays once
        options["loop"] = image.info["loop"]
    if form == "GIF":
        options["disposal"] = 2 if any(frame.mode == "RGBA" for frame in frames) else 1
    frames[0].save(stream, form, **options)
    return stream.getvalue()


def _ordinary(image: Image.Image, coding: ColourCoding | None) -> Image.Image:
    """The picture in sRGB if its values follow a high dynamic range curve; otherwise unchanged."""
    if coding is None or not coding.curve or image.mode not in ("RGB", "RGBA"):
        return image
    brought = Image.fromarray(to_srgb(np.asarray(image.convert("RGB")), coding))
    if image.mode == "RGBA":
        brought.putalpha(image.getchannel("A"))
    brought.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return brought


_ENCODERS: Mapping[str, Callable[[bytes, Image.Image, Overlay, bytes | None], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "AVIF": _avif,
    "GIF": _gif,
    "TIFF": _tiff,
}
