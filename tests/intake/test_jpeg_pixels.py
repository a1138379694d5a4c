"""JPEGs that go round Pillow: the same pixels, the same errors, and only those that are sound and plain."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import encoded
from PIL import Image, ImageCms, ImageFile

from zhentu.errors import PictureError, PictureTruncated
from zhentu.intake import decode as decoding
from zhentu.intake.decode import decode

WAYS: dict[str, dict[str, object]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "optimised": {"optimize": True, "quality": 40},
    "sRGB profile": {"icc_profile": bytes(36) + b"acsp" + bytes(300) + b"sRGB IEC61966-2.1"},
    "several pictures": {"append_images": [Image.new("RGB", (40, 40))], "save_all": True},
}


def textured(mode: str = "RGB", size: tuple[int, int] = (97, 71)) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1] // 3 + 1, size[0] // 3 + 1, 3), np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)


def by_pillow(payload: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))


def forbid_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("Pillow was asked for pixels"))


@pytest.mark.parametrize("way", WAYS)
def test_pixels_are_pillows_bit_for_bit(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = encoded(textured(), "MPO" if way == "several pictures" else "JPEG", **WAYS[way])
    expected = by_pillow(payload)
    forbid_pillow(monkeypatch)
    assert np.array_equal(decode(payload).rgb, expected)


def test_a_turned_jpeg_is_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_pillow(monkeypatch)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(textured(size=(96, 64)), "JPEG", exif=exif)).rgb.shape == (96, 64, 3)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colour_spaces_are_pillows(mode: str) -> None:
    payload = encoded(textured(mode), "JPEG")
    assert np.array_equal(decode(payload).rgb, by_pillow(payload))


def test_rgb_that_was_never_turned_into_ycbcr_is_pillows() -> None:
    payload = encoded(textured(), "JPEG", keep_rgb=True)
    assert np.array_equal(decode(payload).rgb, by_pillow(payload))


def test_a_foreign_profile_is_still_converted() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"mine")
    assert "ICC profile converted to sRGB" in decode(encoded(textured(), "JPEG", icc_profile=profile)).notes


@pytest.mark.parametrize("progressive", [False, True])
def test_a_file_that_ends_early_is_named_as_before(progressive: bool) -> None:
    payload = encoded(textured(size=(400, 300)), "JPEG", progressive=progressive)
    with pytest.raises(PictureTruncated):
        decode(payload[: len(payload) // 2])


def _outcome(payload: bytes) -> tuple[object, ...]:
    try:
        picture = decode(payload)
    except PictureError as error:
        return type(error).__name__, str(error)
    return picture.rgb.shape, picture.rgb.tobytes(), picture.notes


@pytest.mark.parametrize("way", ["4:2:0", "progressive", "restart markers"])
def test_damaged_files_have_pillows_outcome(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, rng = encoded(textured(), "JPEG", **WAYS[way]), np.random.default_rng(11)
    damaged = []
    for _ in range(150):
        payload = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            payload[int(rng.integers(2, len(payload)))] = int(rng.integers(256))
        damaged.append(bytes(payload[: int(rng.integers(len(payload) // 2, len(payload) + 1))]))
    damaged += [whole + b"\xff\xd8 more", whole[:-2], whole[:-1], whole[:2] + b"\xff\xff" + whole[2:]]
    found = [_outcome(payload) for payload in damaged]
    monkeypatch.setattr(decoding, "jpeg_pixels", lambda *_: None)
    assert found == [_outcome(payload) for payload in damaged]
    assert len({outcome[0] for outcome in found}) > 2
