"""Pictures that are no plain ones are decoded where they can be broken off."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from conftest import encoded, photo

from zhentu.errors import DeadlineExceeded, PictureError, PictureTooLarge, PictureTooSlow
from zhentu.intake import cell
from zhentu.intake.cell import DecodeCells, Room
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.intake.extent import check_together, extent_of, is_plain

FORMS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")


@pytest.fixture
def cells():
    made = DecodeCells(1, 120.0, 2**30)
    yield made
    made.close()


@pytest.mark.parametrize("form", FORMS)
def test_the_header_tells_how_large_a_picture_is(form: str) -> None:
    extent = extent_of(encoded(photo((96, 64)), form))
    assert (extent.width, extent.height) == (96, 64)


def test_only_common_still_pictures_of_few_passes_are_plain() -> None:
    assert all(is_plain(encoded(photo(), form)) for form in ("JPEG", "PNG", "WEBP", "BMP"))
    assert not any(is_plain(encoded(photo(), form)) for form in ("AVIF", "GIF", "TIFF"))
    frames = {"save_all": True, "append_images": [photo(seed=2)], "duration": 50}
    assert not is_plain(encoded(photo(), "WEBP", **frames))
    assert not is_plain(encoded(photo(), "PNG", **frames))
    large = encoded(photo((2000, 1500)), "JPEG", progressive=True)
    assert extent_of(large).passes >= 10
    scan = large[large.rindex(b"\xff\xda") : -2]
    assert not is_plain(large[:-2] + scan * 20 + b"\xff\xd9")


@pytest.mark.parametrize("payload", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"RIFF", b"GIF8", b"II*\0\xff\xff\xff\xff"])
def test_what_does_not_say_how_large_it_is_is_not_plain(payload: bytes) -> None:
    assert not is_plain(payload)


def test_a_cell_imports_nothing_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zhentu", "numpy", "struct"):  # what a child process imports first
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    cells = DecodeCells(1, 120.0, 2**30)
    try:
        assert cells.decode(encoded(photo((120, 80)), "TIFF")).width == 120
    finally:
        cells.close()


def test_a_cell_gives_what_the_decoder_gives(cells: DecodeCells) -> None:
    for form in ("AVIF", "TIFF"):
        payload = encoded(photo((120, 80)), form)
        there, here = cells.decode(payload), decode(payload)
        assert (there.rgb == here.rgb).all()
        assert (there.sha256, there.format, there.notes) == (here.sha256, here.format, here.notes)
    with pytest.raises(PictureError) as told:
        cells.decode(b"II*\0" + bytes(100))
    with pytest.raises(PictureError) as known:
        decode(b"II*\0" + bytes(100))
    assert (type(told.value), str(told.value)) == (type(known.value), str(known.value))


def test_a_picture_that_takes_too_long_is_broken_off_and_the_next_one_decoded(cells: DecodeCells) -> None:
    cells.warm()
    (child,) = cells._idle.queue
    os.kill(child._process.pid, signal.SIGSTOP)  # a picture that never ends, on a machine of any speed
    cells._seconds = 0.1
    with pytest.raises(PictureTooSlow):
        cells.decode(encoded(photo(), "TIFF"))
    assert not child.lives
    cells._seconds = 120.0
    assert cells.decode(encoded(photo(), "AVIF")).format == "AVIF"


def test_a_bomb_finds_no_memory(cells: DecodeCells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "_SCRATCH", 0)
    monkeypatch.setattr(cell, "_PER_PIXEL", 0)
    with pytest.raises(PictureError):
        cells.decode(encoded(photo((4000, 4000)), "TIFF", compression="jpeg"))


def test_a_child_has_no_secret_of_its_parent(cells: DecodeCells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHENTU_STORE_URL", "postgresql://zhentu:hunter2@postgres/zhentu")
    cells.warm()
    (child,) = cells._idle.queue
    with open(f"/proc/{child._process.pid}/environ", "rb") as file:  # noqa: PTH123
        assert b"hunter2" not in file.read()
    assert os.getpid() != child._process.pid


def test_who_finds_no_room_waits_and_is_told() -> None:
    room, inside = Room(100), threading.Event()
    with room.take(80, 1.0), pytest.raises(DeadlineExceeded), room.take(80, 0.01):
        inside.set()
    assert not inside.is_set()
    with room.take(10_000, 0.01):  # more than there is: alone
        pass


def test_references_have_the_pixels_of_one_picture_together() -> None:
    photos = [encoded(photo((1000, 1000)), "JPEG")] * 3
    check_together(photos, 3_000_000)
    with pytest.raises(PictureTooLarge, match="megapixels together"):
        check_together(photos, 2_999_999)


def test_the_limits_hold_in_a_cell_too(cells: DecodeCells) -> None:
    with pytest.raises(PictureTooLarge):
        cells.decode(encoded(photo((200, 200)), "TIFF"), DecodeLimits(max_pixels=10_000))
