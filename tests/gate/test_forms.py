"""What callers send does not vanish: unknown and repeated fields, queries beside a body, text that is not UTF-8."""

from __future__ import annotations

import json

import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient
from served import picture

JPEG = encoded(photo(seed=1), "JPEG")
JSON, RAW = {"content-type": "application/json"}, {"content-type": "image/jpeg"}


def refused(answer, *words: str, status: int = 400) -> None:
    detail = answer.json()["detail"]
    assert answer.status_code == status, detail
    assert all(word in detail for word in words), detail


@pytest.mark.parametrize(
    "path", ["/v1/screen", "/v1/screen/batch", "/v1/jobs", "/v1/labels/verify", "/v1/labels/apply", "/v1/banks/lookup"]
)
def test_a_query_beside_a_form_is_refused_by_name(client: TestClient, path: str) -> None:
    refused(client.post(f"{path}?nonsense=1&declared_ai=true", files=picture()), "nonsense", "declared_ai", "body")


@pytest.mark.parametrize("path", ["/v1/screen", "/v1/screen/batch", "/v1/jobs"])
def test_a_query_beside_json_is_refused(client: TestClient, path: str) -> None:
    one = {"url": "https://shop.example/a.jpg"}
    body = one if path == "/v1/screen" else {"pictures": [one]}
    refused(client.post(f"{path}?declared_ai=true", json=body), "declared_ai")


@pytest.mark.parametrize("field", ["declared_ai", "listing_id", "declared_attributes"])
def test_a_field_sent_twice_is_refused(client: TestClient, field: str) -> None:
    files = [*picture().items(), (field, (None, "true")), (field, (None, "false"))]
    refused(client.post("/v1/screen", files=files), field, "2 times")
    refused(client.post(f"/v1/screen?{field}=true&{field}=false", content=JPEG, headers=RAW), field, "2 times")


def test_the_label_route_takes_each_field_once_as_well(client: TestClient) -> None:
    files = [*picture().items(), ("state", (None, "1")), ("state", (None, "3"))]
    refused(client.post("/v1/labels/apply", files=files), "state", "2 times")
    refused(client.post("/v1/labels/apply?state=1&state=3", content=JPEG, headers=RAW), "state", "2 times")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/screen", '{"url": "https://shop.example/a.jpg", "declared_ai": true, "declared_ai": false}'),
        ("/v1/jobs", '{"pictures": [{"url": "https://x.example/a", "declared_ai": true, "declared_ai": false}]}'),
    ],
)
def test_a_json_key_given_twice_is_refused(client: TestClient, path: str, body: str) -> None:
    refused(client.post(path, content=body, headers=JSON), "declared_ai", "2 times")


def test_a_key_given_twice_in_the_json_of_a_field_is_refused(client: TestClient) -> None:
    form = {"declared_attributes": '{"material": "silk", "material": "nylon"}'}
    refused(client.post("/v1/screen", files=picture(), data=form), "material", "2 times")


@pytest.mark.parametrize("empty", [False, True])
def test_a_batch_says_that_jobs_call_back(client: TestClient, empty: bool) -> None:
    url = "" if empty else "https://shop.example/hook"
    one = {"pictures": [{"url": "https://shop.example/a.jpg"}], "callback_url": url}
    refused(client.post("/v1/screen/batch", json=one), "callback_url", "/v1/jobs")
    refused(client.post("/v1/screen/batch", files=picture(), data={"callback_url": url}), "callback_url", "/v1/jobs")


def test_text_that_is_not_utf8_is_refused(client: TestClient) -> None:
    files = [*picture().items(), ("goods", (None, "衬衫".encode("gbk")))]
    refused(client.post("/v1/screen", files=files), "goods", "UTF-8")
    refused(client.post("/v1/screen?goods=%E9", content=JPEG, headers=RAW), "query", "UTF-8")
    form = {"content-type": "application/x-www-form-urlencoded"}
    refused(client.post("/v1/screen", content=b"url=https://x.example/a&goods=%E9", headers=form), "goods", "UTF-8")


@pytest.mark.parametrize(("charset", "text"), [("utf-7", b"+2AA-"), ("base64", b"eA=="), ("utf-16-le", b"abc")])
def test_a_forms_own_charset_must_give_text_that_can_be_kept(client: TestClient, charset: str, text: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="goods"\r\n\r\n' + text + b"\r\n--b--\r\n"
    headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    refused(client.post("/v1/screen", content=body, headers=headers), "goods: is not", "UTF-8")


def test_an_unknown_parameter_of_a_raw_body_is_told_the_known_ones(client: TestClient) -> None:
    refused(client.post("/v1/screen?declared=true", content=JPEG, headers=RAW), "declared: unknown", "declared_ai")


def test_a_form_in_utf8_is_read_as_it_was_sent(client: TestClient) -> None:
    files = [*picture().items(), ("title", (None, "衬衫".encode()))]
    form, raw = (
        client.post("/v1/screen", files=files),
        client.post("/v1/screen?title=%E8%A1%AC%E8%A1%AB", content=JPEG, headers=RAW),
    )
    assert (form.status_code, raw.status_code) == (200, 200)
    assert form.json()["record_id"] == raw.json()["record_id"]  # the same listing


def test_the_ninth_reference_is_told_the_limit(client: TestClient) -> None:
    files = [*picture().items(), *[("reference", (f"{n}.jpg", JPEG)) for n in range(9)]]
    refused(client.post("/v1/screen", files=files), "reference", "the limit is 8")


def test_errors_of_a_batch_name_the_position(client: TestClient) -> None:
    two = [picture(1)["picture"], picture(2)["picture"]]
    files = [("picture", each) for each in two]
    listings = json.dumps([{}, {"goods": 7}])
    refused(client.post("/v1/screen/batch", files=files, data={"listings": listings}), "listings.1.goods")
    refused(client.post("/v1/screen/batch", files=files, data={"listings": "[{}, 3]"}), "listings.1")
    text = [files[0], ("picture", (None, "no file"))]
    refused(client.post("/v1/screen/batch", files=text), "picture.1", "file part")
    large = [files[0], ("picture", ("b.jpg", b"0" * (31 * 2**20)))]
    refused(client.post("/v1/screen/batch", files=large), "picture.1", status=413)


def test_bank_forms_and_settings_refuse_what_they_do_not_know(client: TestClient) -> None:
    put = client.put("/v1/banks/acme", json={"kind": "allowed", "treshold": 3})
    refused(put, "treshold")
    twice = client.put("/v1/banks/acme", content='{"kind": "allowed", "kind": "known_bad"}', headers=JSON)
    refused(twice, "kind", "2 times")
    assert client.put("/v1/banks/acme", json={"kind": "allowed"}).status_code == 200
    path = "/v1/banks/acme/entries"
    refused(client.post(path, files=picture(), data={"expires": "2030-01-01"}), "expires", "expires_at")
    refused(client.post(path, files=[*picture().items(), ("note", (None, "a")), ("note", (None, "b"))]), "note")
    refused(client.post(path, json={"picture": "x"}), "multipart/form-data", status=415)
    assert client.post(path, files=picture(), data={"note": "说明"}).status_code == 200


def test_jobs_take_no_idempotency_key(client: TestClient) -> None:
    answer = client.post("/v1/jobs", files=picture(), headers={"Idempotency-Key": "k1"})
    refused(answer, "Idempotency-Key", "jobs take none")
