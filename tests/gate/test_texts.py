"""A text that cannot be kept is refused by name wherever a caller may put one; it is never the gate's own failure."""

from __future__ import annotations

import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient
from served import picture

JPEG = encoded(photo(seed=1), "JPEG")
JSON = {"content-type": "application/json"}
LONE = '"\\ud800"'
URL = '"url": "https://x.example/a"'


def utf7(name: bytes, body: bytes, filename: bytes = b"") -> dict[str, object]:
    """A form whose own charset gives a lone surrogate for +2AA-."""
    named = b'; filename="' + filename + b'"' if filename else b""
    part = (
        b'--b\r\nContent-Disposition: form-data; name="' + name + b'"' + named + b"\r\n\r\n" + body + b"\r\n--b--\r\n"
    )
    return {"content": part, "headers": {"content-type": "multipart/form-data; boundary=b; charset=utf-7"}}


def told(answer, word: str) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert word in answer.json()["detail"], answer.text
    assert answer.json()["zh"]


@pytest.mark.parametrize("field", ["title", "goods", "listing_id", "seller_id", "\\ud800"])
@pytest.mark.parametrize("path", ["/v1/screen", "/v1/screen/batch", "/v1/jobs"])
def test_json_of_a_listing(client: TestClient, path: str, field: str) -> None:
    one = f'{{{URL}, "{field}": {LONE}}}'
    body = one if path == "/v1/screen" else f'{{"pictures": [{one}]}}'
    told(client.post(path, content=body, headers=JSON), "")


@pytest.mark.parametrize("attributes", [f'{{"a": {LONE}}}', f'{{{LONE}: "a"}}', f'{{{LONE}: "a", {LONE}: "b"}}'])
def test_json_in_a_field_of_a_form(client: TestClient, attributes: str) -> None:
    form = {"declared_attributes": attributes}
    told(client.post("/v1/screen", files=picture(), data=form), "")
    told(client.post("/v1/screen/batch", files=picture(), data={"listings": f'[{{"title": {LONE}}}]'}), "listings.0")
    assert client.post("/try", files=picture(), data=form).status_code < 500


@pytest.mark.parametrize(
    "path", ["/v1/screen", "/v1/screen/batch", "/v1/jobs", "/v1/labels/verify", "/v1/banks/lookup"]
)
def test_the_name_of_a_file(client: TestClient, path: str) -> None:
    told(client.post(path, **utf7(b"picture", JPEG, b"+2AA-.jpg")), "picture: the file's name")


def test_names_and_values_of_forms(client: TestClient) -> None:
    told(client.post("/v1/screen", **utf7(b"+2AA-", b"x")), "\\ud800: unknown field")
    told(client.post("/v1/appeals", **utf7(b"reason", b"+2AA-")), "reason")
    told(client.post("/v1/appeals", data={"record_id": "1", "reason": "a\0b"}), "reason: has a NUL")
    told(client.post("/review/sign-in", **utf7(b"key", b"+2AA-")), "key: has a lone surrogate")
    told(client.post("/review/sign-out", **utf7(b"csrf", b"+2AA-")), "csrf")


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (f'"note": {LONE}', "note"),
        (f'"owners": [{LONE}]', "owners"),
        (f"{LONE}: 1", "body"),
        ('"note": "\\u0000"', "NUL"),
    ],
)
def test_settings_of_a_bank(client: TestClient, said: str, word: str) -> None:
    answer = client.put("/v1/banks/acme", content=f'{{"kind": "allowed", {said}}}', headers=JSON)
    told(answer, word)


@pytest.mark.parametrize("part", [f'"note": {LONE}', f'"category": {LONE}', f"{LONE}: 1", f'"outcome": {LONE}'])
def test_a_reviewers_decision(client: TestClient, part: str) -> None:
    answer = client.post("/review/items/x/decide", content=f'{{"outcome": "uphold", {part}}}', headers=JSON)
    assert 400 <= answer.status_code < 500


def test_the_path(client: TestClient) -> None:
    told(client.get("/v1/appeals/%00"), "NUL character")
    assert client.get("/v1/appeals/%ED%A0%80").status_code == 404


@pytest.mark.parametrize(
    "header", ["X-Api-Key", "Idempotency-Key", "Cookie", "X-CSRF-Token", "Authorization", "Referer", "Accept-Language"]
)
def test_headers_of_any_bytes_fail_nothing(client: TestClient, header: str) -> None:
    headers = [(header.encode(), b"\xed\xa0\x80"), (b"content-type", b"image/jpeg")]
    assert client.post("/v1/screen", content=JPEG, headers=headers).status_code < 500
    assert client.get("/review/items", headers=headers[:1]).status_code < 500
