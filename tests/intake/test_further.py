"""Files behind the picture of a JPEG are noted, and have no say in a decision."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import FakeDetector
from PIL import Image

from zhentu.bootstrap.screener import limits_of
from zhentu.decide.evidence_words import told
from zhentu.intake.provenance import read_provenance
from zhentu.screen import Screener
from zhentu.types import Evidence, Inquiry

FIRST, SECOND = encoded(photo(), "JPEG"), encoded(photo(seed=2), "JPEG")
VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08mdat"


def noted(payload: bytes, form: str = "JPEG") -> list[Evidence]:
    return [each for each in read_provenance(payload, form) if each.name == "further_files"]


def mpo() -> bytes:
    stream = io.BytesIO()
    photo().save(stream, "MPO", save_all=True, append_images=[photo(seed=3)])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("payload", "words", "zh"),
    [
        (FIRST + SECOND, "one further file (JPEG) behind the picture", "图片之后还有 1 个文件（JPEG）"),
        (FIRST + bytes(40) + SECOND, "(JPEG) behind the picture, the first 40 bytes behind its end", "40 字节"),
        (FIRST + SECOND + SECOND, "2 further files (JPEG)", "还有 2 个文件"),
        (FIRST + VIDEO, "one further file (MP4)", "（MP4）"),
        (FIRST + SECOND + VIDEO, "2 further files (JPEG, MP4)", "（JPEG, MP4）"),
    ],
)
def test_what_stands_behind_the_picture_is_noted(payload: bytes, words: str, zh: str) -> None:
    (found,) = noted(payload)
    assert words in found.detail
    assert zh in told(found, "zh").detail
    assert told(found, "zh").place == "图片数据之后"
    assert found.ai_state is None


def test_a_multi_picture_file_is_noted() -> None:
    (found,) = noted(mpo(), "MPO")
    assert "one further file (JPEG)" in found.detail


def test_the_thumbnail_within_the_metadata_is_no_further_file() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\x00\x00\x00" + SECOND + VIDEO
    assert noted(encoded(photo(), "JPEG", exif=exif)) == []
    assert noted(FIRST) == []
    assert noted(FIRST + b"trailing bytes, no file") == []


def test_a_gain_map_is_a_further_file() -> None:
    payload = (Path(__file__).parents[1] / "cases" / "ultrahdr_synth.jpg").read_bytes()
    assert len(noted(payload)) == 1


def test_it_changes_no_decision(entry, policy, settings) -> None:
    screener = Screener(FakeDetector(entry, 0.2), policy, limits_of(settings))
    plain, more = (screener.screen(Inquiry.of(each)).record for each in (FIRST, FIRST + SECOND))
    assert [each.name for each in more.evidence if each not in plain.evidence] == ["further_files"]
    assert (plain.decision, plain.verdict) == (more.decision, more.verdict)


def test_only_so_many_beginnings_are_counted() -> None:
    assert "16 further files" in noted(FIRST + b"\xff\xd8\xff" * 5000)[0].detail
