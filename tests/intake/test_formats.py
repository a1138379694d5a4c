"""Formats that phones and designers send, and what is refused on a look at the header."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, photo
from PIL import Image

from zhentu.errors import (
    PdfUnsupported,
    PictureError,
    PictureTooLarge,
    PictureTruncated,
    SvgUnsupported,
    UnsupportedFormat,
)
from zhentu.intake.containers.jpeg import scans_of
from zhentu.intake.decode import DecodeLimits, decode, decode_frames
from zhentu.intake.formats import jxl_header
from zhentu.intake.sniff import FileKind, kind_of

HEIF = Path(__file__).parent / "heif"  # red left half, blue right half, a white bar on top; made with pillow-heif
RED, BLUE, WHITE = (220, 20, 20), (20, 20, 220), (255, 255, 255)


def colours(name: str) -> tuple[tuple[int, int], list[list[int]], tuple[str, ...]]:
    """Size, and the colours at the left, at the right and at the top."""
    picture = decode((HEIF / name).read_bytes())
    middle, across = picture.height * 2 // 3, picture.width
    places = (picture.rgb[middle, 5], picture.rgb[middle, across - 5], picture.rgb[3, across // 2 - 8])
    return (picture.width, picture.height), [place.tolist() for place in places], picture.notes


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("plain.heic", (96, 64), (RED, BLUE, WHITE)),
        ("ten_bit.heic", (96, 64), (RED, BLUE, WHITE)),
        ("mirrored.heic", (96, 64), (BLUE, RED, WHITE)),
        ("rotated.heic", (64, 96), (BLUE, WHITE, RED)),
        ("alpha.heic", (96, 64), (WHITE, WHITE, WHITE)),
    ],
)
def test_what_an_iphone_writes_is_read_upright(
    name: str, size: tuple[int, int], expected: tuple[tuple[int, int, int], ...]
) -> None:
    found_size, found, _ = colours(name)
    assert found_size == size
    assert np.abs(np.array(found) - np.array(expected)).max() < 12


def test_of_a_burst_the_primary_picture_counts_and_the_note_says_so() -> None:
    picture = decode((HEIF / "burst.heic").read_bytes())
    assert "primary of several pictures" in picture.notes
    assert picture.rgb[40, 10].tolist()[0] < 60  # the second one, in other colours, is the primary one
    assert len(decode_frames((HEIF / "burst.heic").read_bytes())) == 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_heic_that_breaks_off_is_refused(share: float) -> None:
    payload = (HEIF / "plain.heic").read_bytes()
    with pytest.raises(PictureError):
        decode(payload[: int(len(payload) * share)])


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("shape", [(64, 96, 3), (100, 77, 4), (300, 1000, 3), (33, 40), (1280, 720, 3)])
def test_jpeg_xl_is_read_and_its_size_known_before(container: bool, shape: tuple[int, ...]) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="install zhentu[jxl]")
    pixels = np.full(shape, 200, np.uint8)
    payload = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=container)
    header = jxl_header(payload)
    assert (header.height, header.width, header.still) == (*shape[:2], True)
    picture = decode(payload)
    assert (picture.format, picture.rgb.shape) == ("JXL", (*shape[:2], 3))
    with pytest.raises(PictureTooLarge):
        decode(payload, DecodeLimits(max_pixels=1024))
    with pytest.raises(PictureTruncated):
        decode(payload[: len(payload) * 2 // 3])


def test_an_animated_jpeg_xl_is_refused_by_name() -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="install zhentu[jxl]")
    frames = np.random.default_rng(1).integers(0, 255, (3, 64, 96, 3), dtype=np.uint8)
    with pytest.raises(UnsupportedFormat, match="animated JPEG XL"):
        decode(imagecodecs.jpegxl_encode(frames))


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n<!DOCTYPE svg PUBLIC 'x' 'y'>\n<svg>",
        "<svg width='9'>".encode("utf-16"),
        b"<!--" * 200 + b"--><svg>",
    ],
)
def test_a_drawing_is_named(content: bytes) -> None:
    with pytest.raises(SvgUnsupported, match="PNG or JPEG"):
        decode(content)


def test_a_document_is_named() -> None:
    with pytest.raises(PdfUnsupported, match="JPEG or PNG"):
        decode(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")


@pytest.mark.parametrize("content", [b"<html><svg></svg></html>", b"BMW is a car and no bitmap.", b"", b"\x00" * 40])
def test_what_only_looks_like_it_is_no_picture(content: bytes) -> None:
    assert kind_of(content) is FileKind.OTHER


def progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan is written again and again."""
    payload = encoded(photo((200, 150)), "JPEG", progressive=True)
    last = payload.rfind(b"\xff\xda")
    return payload[:-2] + payload[last:-2] * scans + b"\xff\xd9"


def test_scans_are_counted_and_capped_before_any_is_decoded() -> None:
    assert scans_of(encoded(photo(), "JPEG")).count == 1
    assert scans_of(progressive(6_000)).count > 6_000
    assert decode(progressive(20)).width == 200
    with pytest.raises(PictureTooLarge, match=r"scans.*baseline"):
        decode(progressive(6_000))
    with pytest.raises(PictureTooLarge, match="scans"):
        decode(progressive(60), DecodeLimits(max_pixels=64_000))


def test_what_stands_behind_the_picture_has_no_scans() -> None:
    video = np.random.default_rng(2).integers(0, 256, 20_000_000, dtype=np.uint8).tobytes()
    assert video.count(b"\xff\xda") > 100
    assert scans_of(encoded(photo(), "JPEG") + video).count == 1


_PEAK = r"""
import io, re, sys
import numpy as np
from PIL import Image
from zhentu.intake.decode import decode
from conftest import encoded, photo
side = 4000
def peak():  # of this program; ru_maxrss begins with what the one that started it held
    return int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]) * 1024
def deep(): return encoded(Image.fromarray(np.zeros((side, side), np.uint16)), "PNG")
def floating():
    return encoded(Image.fromarray(np.zeros((side, side), np.float32)), "TIFF", compression="tiff_adobe_deflate")
def turned():
    exif = Image.Exif(); exif[0x0112] = 6
    return encoded(Image.new("RGB", (side, side)), "JPEG", exif=exif)
kind = sys.argv[1]
if len(sys.argv) == 3:
    open(sys.argv[2], "wb").write({"deep": deep, "floating": floating, "turned": turned}[kind]())
else:
    payload = sys.stdin.buffer.read()
    decode(encoded(photo(), "JPEG"))
    before = peak()
    decode(payload)
    print((peak() - before) / side**2)
"""


@pytest.mark.parametrize("kind", ["deep", "floating", "turned"])
def test_a_picture_costs_a_few_bytes_a_pixel_whatever_its_depth(kind: str, tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    paths = [str(tests), str(tests.with_name("scripts")), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", _PEAK, kind]
    subprocess.run([*command, str(tmp_path / "big")], env=environment, check=True)
    with (tmp_path / "big").open("rb") as stream:
        found = subprocess.run(command, env=environment, check=True, stdin=stream, capture_output=True)
    assert float(found.stdout) < 14  # 4 of Pillow's, 3 of ours, 3 to turn it; it was 30


def test_strips_change_no_pixel() -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (1500, 1100, 4), dtype=np.uint8)  # more than one strip
    payload = encoded(Image.fromarray(pixels), "PNG")
    with Image.open(io.BytesIO(payload)) as image:
        white = Image.new("RGB", image.size, (255, 255, 255))
        expected = Image.composite(image.convert("RGB"), white, image.getchannel("A"))
    assert np.array_equal(decode(payload).rgb, np.asarray(expected))
