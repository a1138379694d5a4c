from __future__ import annotations

import io
import time

import pytest
from conftest import encoded, photo
from PIL import Image

from zhentu.errors import PictureError, PictureTooLarge
from zhentu.intake.decode import DecodeLimits, decode_frames


def gif(frames: list[Image.Image], milliseconds: int = 100) -> bytes:
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds)
    return stream.getvalue()


def test_a_still_picture_is_one_picture_without_a_frame() -> None:
    (picture,) = decode_frames(encoded(photo(), "JPEG"))
    assert picture.frame is None


def test_the_default_image_of_an_apng_is_looked_at_though_players_do_not_show_it() -> None:
    stream = io.BytesIO()
    frames = [photo(seed=seed) for seed in (1, 2, 3)]
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:], default_image=True, duration=500)
    seen = [picture.frame for picture in decode_frames(stream.getvalue())]
    assert [(frame.index, frame.shown_s) for frame in seen if frame] == [(0, 0.0), (1, 0.5), (2, 0.5)]


def test_pages_of_a_tiff_may_differ_in_size_and_previews_do_not_count() -> None:
    stream = io.BytesIO()
    pages = [photo((96, 64), 1), photo((16, 12), 2), photo((64, 120), 3)]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    assert [(each.width, each.height) for each in decode_frames(stream.getvalue())] == [(96, 64), (64, 120)]


def test_further_pictures_of_an_mpo_are_no_frames() -> None:
    stream = io.BytesIO()
    photo(seed=1).save(stream, "MPO", save_all=True, append_images=[photo(seed=2)])
    (picture,) = decode_frames(stream.getvalue())
    assert "primary of several pictures" in picture.notes


def test_a_bomb_of_frames_is_refused_before_it_is_played() -> None:
    payload = gif([photo((40, 40), seed % 3) for seed in range(60)])
    with pytest.raises(PictureTooLarge, match="more than 50 frames"):
        decode_frames(payload, DecodeLimits(max_frames=50))
    with pytest.raises(PictureTooLarge, match="megapixels over all of them"):
        decode_frames(payload, DecodeLimits(max_pixels=4_000))


def test_five_hundred_frames_cost_a_bounded_time() -> None:
    base = photo((200, 200)).quantize(32)
    frames = []
    for number in range(500):
        frame = base.copy()
        frame.paste(number % 32, (number % 180, 10, number % 180 + 20, 30))
        frames.append(frame)
    payload, began = gif(frames, 40), time.thread_time()
    pictures = decode_frames(payload)
    assert len(pictures) <= 8
    assert time.thread_time() - began < 10  # about 0.6 s on one quiet core


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_that_breaks_off_is_refused_for_a_player_might_show_more(form: str) -> None:
    stream = io.BytesIO()
    frames = [photo((200, 150), seed) for seed in range(6)]
    frames[0].save(stream, form, save_all=True, append_images=frames[1:], duration=100)
    payload = stream.getvalue()
    with pytest.raises(PictureError):
        decode_frames(payload[: len(payload) * 3 // 4])
