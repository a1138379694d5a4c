from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, photo
from PIL import Image, ImageCms

from zhentu.errors import (
    PictureEmpty,
    PictureError,
    PictureNotFound,
    PictureTooLarge,
    PictureTooSmall,
    PictureTruncated,
    UnsupportedFormat,
)
from zhentu.intake.decode import DecodeLimits, decode, keep_memory, read_file


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "MPO"])
def test_every_format_is_read_as_rgb(form: str) -> None:
    picture = decode(encoded(photo(), form))
    assert picture.rgb.shape == (64, 96, 3)
    assert picture.rgb.dtype == np.uint8
    assert picture.format in (form, "JPEG")


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(photo(), "JPEG", exif=exif))
    assert (turned.width, turned.height) == (64, 96)


def test_alpha_is_composed_on_white_and_said_so() -> None:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    picture = decode(encoded(image, "PNG"))
    assert picture.rgb.min() == 255
    assert "alpha composed on white" in picture.notes


def test_palette_transparency_is_composed_too() -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0] * 256)
    assert decode(encoded(image, "PNG", transparency=0)).rgb.min() == 255


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    picture = decode(encoded(Image.fromarray(values), "PNG"))
    assert abs(int(picture.rgb[32, 32, 0]) - 130) < 4
    assert picture.rgb.max() == 255


def test_cmyk_becomes_rgb() -> None:
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    r, g, b = decode(encoded(red, "JPEG", quality=95)).rgb[30, 30].tolist()
    assert r > 200
    assert max(g, b) < 60


def test_wide_gamut_profile_is_converted_to_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    broken = decode(encoded(photo(), "JPEG", icc_profile=profile.tobytes()))
    assert "broken ICC profile ignored" in broken.notes


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = decode(encoded(photo(), "PNG")), decode(encoded(photo(), "PNG", icc_profile=profile))
    assert np.abs(plain.rgb.astype(int) - tagged.rgb).max() <= 1


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [photo(seed=seed) for seed in (1, 2, 3)]
    payload = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert "first of several frames" in decode(payload).notes


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_truncated_picture_is_refused(form: str) -> None:
    payload = encoded(photo((400, 300)), form)
    with pytest.raises(PictureError):
        decode(payload[: len(payload) * 2 // 3])


def test_a_truncated_jpeg_has_its_own_name() -> None:
    payload = encoded(photo((400, 300)), "JPEG")
    with pytest.raises(PictureTruncated, match="upload it again"):
        decode(payload[: len(payload) // 2])


def test_zero_bytes_are_named() -> None:
    with pytest.raises(PictureEmpty):
        decode(b"")


def test_pixels_are_capped_before_decoding() -> None:
    huge = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(huge, "PNG")
    with pytest.raises(PictureTooLarge, match="megapixels"):
        decode(huge.getvalue())


def test_bytes_are_capped() -> None:
    with pytest.raises(PictureTooLarge, match="MiB"):
        decode(b"x" * 2000, DecodeLimits(max_bytes=1999))


def test_a_tiny_picture_is_refused() -> None:
    with pytest.raises(PictureTooSmall):
        decode(encoded(photo((31, 64)), "PNG"))


def test_what_is_no_picture_is_unsupported() -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG"):
        decode(b"<svg xmlns='http://www.w3.org/2000/svg'/>")


def test_a_large_tail_after_a_jpeg_is_noted() -> None:
    picture = decode(encoded(photo(), "JPEG") + b"PK\x03\x04" * 20_000)
    assert any("after the end" in note for note in picture.notes)


def test_reading_a_missing_file_and_a_device_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", Path("/dev/zero"), tmp_path):
        with pytest.raises(PictureNotFound):
            read_file(path, DecodeLimits())


def test_the_memory_of_a_picture_serves_the_next() -> None:
    payload = encoded(photo((900, 700)), "PNG")
    reused = {}
    for kept in (1, 0):
        keep_memory(kept)
        decode(payload)
        Image.core.reset_stats()
        decode(payload)
        reused[kept] = Image.core.get_stats()["reused_blocks"]
    assert reused[1] > 0 == reused[0]
