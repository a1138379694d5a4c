"""What a file is, by its first bytes: names lie, object keys may have no suffix, and a web page may be called x.jpg."""

from __future__ import annotations

from enum import StrEnum

SNIFF_BYTES = 1024  # enough for every signature below, the list of brands and a prologue before <svg>
_HEIF_BRANDS = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"]
)
_AVIF_BRANDS = frozenset([b"avif", b"avis"])
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of the header after the file's own, by version
_BEFORE_SVG = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!", b">"))  # what may come before the root, and how it ends


class FileKind(StrEnum):
    """What the first bytes say. `PICTURES` are what people see in a listing, whether or not zhentu can read them."""

    JPEG = "JPEG"
    PNG = "PNG"
    GIF = "GIF"
    WEBP = "WebP"
    AVIF = "AVIF"
    HEIF = "HEIF"
    JXL = "JPEG XL"
    BMP = "BMP"
    TIFF = "TIFF"
    BIG_TIFF = "BigTIFF"
    JPEG_2000 = "JPEG 2000"
    ICON = "icon"
    PHOTOSHOP = "Photoshop"
    SVG = "SVG"
    PDF = "PDF"
    OTHER = "other"


PICTURES = frozenset(FileKind) - {FileKind.PDF, FileKind.OTHER}
_SIGNATURES = (
    (b"\xff\xd8\xff", FileKind.JPEG),
    (b"\x89PNG\r\n\x1a\n", FileKind.PNG),
    (b"GIF87a", FileKind.GIF),
    (b"GIF89a", FileKind.GIF),
    (b"\xff\x0a", FileKind.JXL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", FileKind.JXL),
    (b"II*\x00", FileKind.TIFF),
    (b"MM\x00*", FileKind.TIFF),
    (b"II+\x00", FileKind.BIG_TIFF),
    (b"MM\x00+", FileKind.BIG_TIFF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", FileKind.JPEG_2000),
    (b"\xff\x4f\xff\x51", FileKind.JPEG_2000),
    (b"\x00\x00\x01\x00", FileKind.ICON),
    (b"8BPS", FileKind.PHOTOSHOP),
)


def kind_of(start: bytes) -> FileKind:
    """The kind of a file that begins with `start`; SNIFF_BYTES of it are enough."""
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return FileKind.WEBP
    if start[4:8] == b"ftyp":
        return _by_brands(start)
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return FileKind.BMP
    if start.lstrip(b"\xef\xbb\xbf\r\n\t \0").startswith(b"%PDF-"):
        return FileKind.PDF
    return FileKind.SVG if _is_svg(_text_of(start)) else FileKind.OTHER


def _by_brands(start: bytes) -> FileKind:
    """ISO base media files say in `ftyp` what they are: the major brand first, then the compatible ones."""
    length = min(int.from_bytes(start[:4], "big"), len(start))
    brands = [start[8:12], *(start[place : place + 4] for place in range(16, length - 3, 4))]
    if _AVIF_BRANDS.intersection(brands):
        return FileKind.AVIF
    return FileKind.HEIF if _HEIF_BRANDS.intersection(brands) else FileKind.OTHER


def _text_of(start: bytes) -> bytes:
    """The beginning as ASCII-like bytes, if it is UTF-16 text or has a byte order mark."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return start.decode("utf-16", "ignore").encode("utf-8", "ignore")
    return start.removeprefix(b"\xef\xbb\xbf")


def _is_svg(text: bytes) -> bool:
    while text := text.lstrip():
        end = next((closed for opened, closed in _BEFORE_SVG if text.startswith(opened)), None)
        if end is None:
            return text.startswith((b"<svg", b"<SVG")) and text[4:5] in (b" ", b"\t", b"\r", b"\n", b">", b"/", b":")
        text = text.partition(end)[2]
    return False
