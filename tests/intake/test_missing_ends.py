"""Files that lack their last bytes: complete pictures are taken with a note, incomplete ones are named truncated."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import encoded, photo
from PIL import Image

from zhentu.errors import PictureCorrupt, PictureTruncated
from zhentu.intake.containers.jpeg import scans_of
from zhentu.intake.decode import decode
from zhentu.mark import LabelSpec, label_picture
from zhentu.types import AiState

NOTE = "the end marker is missing"
WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "baseline": ("RGB", {}),
    "progressive": ("RGB", {"progressive": True}),
    "restart markers": ("RGB", {"restart_marker_blocks": 2}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
}


def jpeg(way: str) -> bytes:
    mode, options = WAYS[way]
    return encoded(photo((160, 120)).convert(mode), "JPEG", **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_without_its_end_marker_is_complete(way: str, cut: int) -> None:
    whole = jpeg(way)
    found = decode(whole[:-cut])
    assert NOTE in found.notes
    assert np.array_equal(found.rgb, decode(whole).rgb)
    assert NOTE not in decode(whole).notes


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cut", [3, 4, 6, 40])
def test_a_jpeg_that_lacks_picture_data_is_truncated(way: str, cut: int) -> None:
    with pytest.raises(PictureTruncated):
        decode(jpeg(way)[:-cut])


def test_a_progressive_jpeg_that_breaks_off_between_two_scans_is_truncated() -> None:
    whole = jpeg("progressive")
    last = whole.rindex(b"\xff\xda")
    start = whole.rindex(b"\xff\xc4", 0, last)  # the table of the last scan
    assert scans_of(whole).whole
    assert not scans_of(whole[:start]).whole
    with pytest.raises(PictureTruncated):
        decode(whole[:start])


def test_the_end_of_a_picture_is_found_before_what_follows() -> None:
    whole = jpeg("baseline")
    assert scans_of(whole).end == scans_of(whole + whole).end == len(whole)
    assert scans_of(whole[:-2]).end == -1


def test_a_label_is_painted_into_a_jpeg_without_its_end_marker() -> None:
    marked = label_picture(jpeg("baseline")[:-2], AiState.IS, LabelSpec(propagator="P"))
    assert NOTE not in decode(marked.payload).notes


@pytest.mark.parametrize("left", [14, 40, 0.5, -1])
def test_a_webp_that_ends_early_is_truncated(left: float) -> None:
    whole = encoded(photo((400, 300)), "WEBP")
    with pytest.raises(PictureTruncated, match="bytes before the picture does"):
        decode(whole[: int(len(whole) * left) if left == 0.5 else int(left)])


def test_formats_have_their_article() -> None:
    avif = encoded(Image.new("RGB", (64, 64)), "AVIF")
    with pytest.raises(PictureCorrupt, match="an AVIF picture"):
        decode(avif[:40])
