from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient

from zhentu.gate.app import create_app
from zhentu.record.keys import KeyStore
from zhentu.settings import Settings
from zhentu.types import Role


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    labelling = {"label.propagator": "PLATFORM-7", "appeal.url": "https://shop.example/a/{record_id}"}
    with TestClient(create_app(settings.changed(labelling))) as client:
        yield client


def picture(content: bytes) -> dict[str, tuple[str, bytes, str]]:
    return {"picture": ("a", content, "application/octet-stream")}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF"])
def test_a_label_survives_upload_gate_mark_verify(client: TestClient, form: str) -> None:
    original = encoded(photo((400, 300)), form)
    screened = client.post("/v1/screen", files=picture(original), data={"declared_ai": "true"}).json()
    marking = {"record_id": screened["record_id"]}
    labelled = client.post("/v1/labels/apply", files=picture(original), data=marking)
    assert labelled.status_code == 200, labelled.text
    assert labelled.headers["content-type"] == f"image/{form.lower()}"
    assert (labelled.headers["zhentu-label-state"], labelled.headers["zhentu-label-changed"]) == ("2", "true")
    verified = client.post("/v1/labels/verify", files=picture(labelled.content)).json()
    assert verified["conforms"], verified
    assert verified["implicit"][0]["fields"]["PropagateID"] == screened["record_id"]
    assert verified["explicit"]["ink_ratio"] >= 0.05
    again = client.post("/v1/labels/apply", files=picture(labelled.content), data=marking)
    assert again.content == labelled.content
    assert again.headers["zhentu-label-changed"] == "false"
    uploaded = client.post("/v1/screen", files=picture(labelled.content)).json()
    assert (uploaded["action"], uploaded["notice"]["state"]) == ("label", 2)


def test_a_picture_that_owes_no_label_comes_back_as_it_was(client: TestClient) -> None:
    original = encoded(photo(), "PNG")
    screened = client.post("/v1/screen", files=picture(original)).json()
    assert screened["notice"] is None
    answer = client.post("/v1/labels/apply", files=picture(original), data={"record_id": screened["record_id"]})
    assert (answer.content, answer.headers["zhentu-label-state"]) == (original, "none")


def test_a_record_labels_no_other_picture(client: TestClient) -> None:
    marking = {"record_id": client.post("/v1/screen", files=picture(encoded(photo(), "PNG"))).json()["record_id"]}
    answer = client.post("/v1/labels/apply", files=picture(encoded(photo(seed=9), "PNG")), data=marking)
    assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")


def test_a_state_labels_without_a_record_and_the_badge_can_be_left_off(client: TestClient) -> None:
    original = encoded(photo(), "PNG")
    answer = client.post("/v1/labels/apply", files=picture(original), data={"state": "1", "visible": "false"})
    assert (answer.headers["zhentu-label-implicit"], answer.headers["zhentu-label-visible"]) == ("written", "off")
    found = client.post("/v1/labels/verify", files=picture(answer.content)).json()
    assert (found["implicit"][0]["state"], found["implicit_problems"], found["conforms"]) == (1, [], False)


@pytest.mark.parametrize(
    ("content", "data", "status", "code"),
    [
        (encoded(photo(), "PNG"), {}, 400, "usage_error"),
        (encoded(photo(), "PNG"), {"state": "4"}, 400, "usage_error"),
        (encoded(photo(), "PNG"), {"record_id": "none"}, 404, "record_not_found"),
        (b"no picture", {"state": "1"}, 415, "unsupported_format"),
        (encoded(photo(), "BMP"), {"state": "1"}, 422, "label_unwritable"),
    ],
)
def test_what_cannot_be_labelled_is_a_named_problem(
    client: TestClient, content: bytes, data: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("/v1/labels/apply", files=picture(content), data=data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_labelled_picture_of_a_record_comes_from_the_picture_store(settings: Settings, tmp_path: Path) -> None:
    kept = {"label.propagator": "PLATFORM-7", "store.pictures": str(tmp_path / "kept")}
    original = encoded(photo((300, 200)), "PNG")
    with TestClient(create_app(settings.changed(kept))) as client:
        screened = client.post("/v1/screen", files=picture(original), data={"declared_ai": "true"}).json()
        answer = client.get(f"/v1/records/{screened['record_id']}/labelled")
        by_bytes = client.post("/v1/labels/apply", files=picture(original), data={"record_id": screened["record_id"]})
    assert answer.status_code == 200, answer.text
    assert answer.content == by_bytes.content != original


def test_a_picture_that_is_not_kept_is_a_named_problem(client: TestClient) -> None:
    screened = client.post("/v1/screen", files=picture(encoded(photo(), "PNG"))).json()
    assert client.get(f"/v1/records/{screened['record_id']}/labelled").json()["code"] == "not_found"


def test_a_raw_body_is_labelled_as_a_form_is(client: TestClient) -> None:
    original = encoded(photo(), "PNG")
    form = client.post("/v1/labels/apply", files=picture(original), data={"state": "3"})
    raw = client.post("/v1/labels/apply?state=3", content=original, headers={"Content-Type": "image/png"})
    assert raw.content == form.content
    assert (
        client.post("/v1/labels/apply?stat=3", content=original, headers={"Content-Type": "image/png"}).status_code
        == 400
    )


def test_labels_need_a_key_like_everything_else(settings: Settings) -> None:
    closed = settings.changed({"gate.open": False, "label.propagator": "PLATFORM-7"})
    with TestClient(create_app(closed)) as client:
        assert client.post("/v1/labels/apply", files=picture(b"x"), data={"state": "1"}).status_code == 401
        assert client.post("/v1/labels/verify", files=picture(b"x")).status_code == 401
        assert client.get("/v1/records/0/notice").status_code == 401
        _, token = KeyStore(client.app.state.gate.store.database).create("shop", Role.SCREEN, None)
        bearer = {"Authorization": f"Bearer {token}"}
        verified = client.post("/v1/labels/verify", files=picture(encoded(photo(), "PNG")), headers=bearer)
        assert verified.status_code == 200


def test_a_gate_without_a_propagator_says_what_to_set(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        answer = client.post("/v1/labels/apply", files=picture(encoded(photo(), "PNG")), data={"state": "1"})
    assert answer.status_code == 400
    assert "label.propagator" in answer.json()["detail"]


def test_the_notice_of_a_record_is_json_and_an_html_fragment(client: TestClient) -> None:
    screened = client.post("/v1/screen", files=picture(encoded(photo(), "PNG")), data={"declared_ai": "true"}).json()
    url = f"/v1/records/{screened['record_id']}/notice"
    body = client.get(url, params={"audience": "seller"}).json()
    assert (body["needed"], body["state"]) == (True, 2)
    assert [each["language"] for each in body["notices"]] == ["zh-Hans", "en"]
    assert body["notices"][0]["appeal_url"] == f"https://shop.example/a/{screened['record_id']}"
    page = client.get(url, params={"language": "zh", "format": "html"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.startswith('<section class="zhentu-notice" role="note" lang="zh-Hans"')
    assert page.text == client.get(url, params={"language": "zh"}).json()["notices"][0]["html"]
    assert client.get("/v1/records/none/notice").json()["code"] == "record_not_found"
