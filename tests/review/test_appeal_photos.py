"""What may be sent as a photo of the real goods: another photograph, not the picture once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import encoded
from fakes import FakeDetector
from fastapi.testclient import TestClient
from PIL import Image

from zhentu.bootstrap.screener import limits_of
from zhentu.gate.app import create_app
from zhentu.intake.decode import decode
from zhentu.samples import read_sample
from zhentu.screen import Screener

CUP, CAT = read_sample("genuine_cup.jpg"), read_sample("genuine_cat.jpg")
Appealed = Callable[..., object]


def saved_again(payload: bytes, trim: int = 0) -> bytes:
    image = Image.fromarray(decode(payload).rgb)
    image = image.crop((trim, trim, image.width - trim, image.height - trim))
    return encoded(image.resize((image.width * 3 // 4, image.height * 3 // 4)), "JPEG", quality=70)


@pytest.fixture(params=[True, False], ids=["kept", "not kept"])
def shop(request: pytest.FixtureRequest, settings, entry, policy, tmp_path) -> Iterator[TestClient]:
    """A gate that keeps the pictures it has seen, or none."""
    kept = {"store.pictures": str(tmp_path / "kept")} if request.param else {}
    line = Screener(FakeDetector(entry, 0.95), policy, limits_of(settings))
    with TestClient(create_app(settings.changed(kept), lambda _: line)) as client:
        client.keeps = request.param
        yield client


def appealed(client: TestClient, picture: bytes, *photos: bytes):
    record_id = client.post("/v1/screen", files={"picture": ("a.jpg", picture)}).json()["record_id"]
    client.app.state.desk.banks.refresh()
    files = [("references", (f"{number}.jpg", each)) for number, each in enumerate(photos)]
    answer = client.post("/v1/appeals", data={"record_id": record_id, "reason": "实拍"}, files=files)
    return answer, client.get("/v1/appeals/counts").json()["open"]


def test_a_near_copy_is_refused_in_both_languages_where_the_picture_is_kept(shop: TestClient) -> None:
    answer, waiting = appealed(shop, CUP, CAT, saved_again(CUP))
    if not shop.keeps:  # fingerprints alone would refuse photographs, too
        assert (answer.status_code, waiting) == (201, 1)
        return
    told = answer.json()
    assert (answer.status_code, waiting) == (400, 0)
    assert "photo 2 is a copy of the picture" in told["detail"]
    assert "up to 31 count as the same picture" in told["detail"]
    assert "第 2 张照片与被申诉的图片相同" in told["zh"]
    assert "换一个角度拍摄" in told["zh"]


def test_a_trimmed_copy_is_refused_where_the_picture_is_kept(shop: TestClient) -> None:
    answer, waiting = appealed(shop, CUP, saved_again(CUP, trim=20))
    assert (answer.status_code, waiting) == ((400, 0) if shop.keeps else (201, 1))


def test_the_very_bytes_are_refused_in_both_languages(shop: TestClient) -> None:
    answer, _ = appealed(shop, CUP, CUP)
    assert "photo 1 is the picture itself" in answer.json()["detail"]
    assert "第 1 张照片就是被申诉的图片本身" in answer.json()["zh"]


def test_photographs_of_the_goods_are_taken(shop: TestClient) -> None:
    answer, waiting = appealed(
        shop, read_sample("forged_material_mismatch_stool.jpg"), read_sample("rendered_stool.jpg")
    )
    assert (answer.status_code, waiting) == (201, 1), answer.text
    assert len(answer.json()["references"]) == 1


def test_a_broken_photo_is_a_named_error_and_no_appeal(shop: TestClient) -> None:
    answer, waiting = appealed(shop, CUP, CAT, b"no picture")
    assert (answer.json()["code"], waiting) == ("unsupported_format", 0)
    assert answer.json()["zh"]
