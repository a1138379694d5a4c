"""No parameter of a query vanishes, on any route; probes alone ignore theirs."""

from __future__ import annotations

import re

import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient
from served import picture

from zhentu.gate.routes import ROUTERS
from zhentu.gate.rules import PROBES

ROUTES = sorted(
    {(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods}
    - {("GET", path) for path in PROBES}
)


def address(path: str) -> str:
    return re.sub("{[^}]+}", "1", path)


@pytest.fixture
def reviewer(client: TestClient) -> TestClient:
    client.get("/", params={"token": client.app.state.open_token})
    csrf = client.get("/review").text.split('name="csrf" content="')[1].split('"')[0]
    client.headers["x-csrf-token"] = csrf
    return client


def sent(path: str) -> dict[str, object]:
    """A body that the route takes, as far as it must be one before the query is looked at."""
    if path.endswith("/decide"):
        return {"json": {"outcome": "uphold"}}
    if path.startswith("/review"):
        return {"data": {"csrf": "x", "key": "x"}} if "sign" in path else {}
    if path == "/v1/banks/{name}":
        return {"json": {"kind": "allowed"}}
    if path == "/v1/appeals":
        return {"data": {"record_id": "1", "reason": "x"}}
    if path.endswith("/import"):
        return {"files": {"file": ("a.csv", b"x")}}
    return {"files": picture()}


def test_every_route_refuses_an_unknown_parameter(reviewer: TestClient) -> None:
    for method, path in ROUTES:
        body = sent(path) if method in ("POST", "PUT") else {}
        answer = reviewer.request(method, f"{address(path)}?nonsense=1", follow_redirects=False, **body)
        told = answer.text
        assert (answer.status_code, "nonsense" in told) == (400, True), (method, path, told[:300])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("/v1/appeals?statsu=open", ("'statsu' is unknown here; did you mean state? known are state",)),
        ("/v1/records/1/notice?audeince=seller", ("did you mean audience?", "format", "language")),
        ("/v1/banks?kind=allowed", ("'kind' is unknown here; there are none here",)),
        ("/review/items?cuont=2", ("did you mean count?", "score_from")),
        ("/v1/appeals?state=open&state=upheld", ("state: was sent 2 times",)),
        ("/v1/appeals?state=%ED%A0%80", ("query: must be percent-encoded UTF-8",)),
        ("/review/items?goods=%00", ("the URL holds a NUL character",)),
    ],
)
def test_what_is_wrong_with_a_query_is_said(reviewer: TestClient, asked: str, words: tuple[str, ...]) -> None:
    answer = reviewer.get(asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")
    assert all(word in answer.json()["detail"] for word in words), answer.json()["detail"]


def test_a_misspelt_field_is_told_what_was_meant(client: TestClient) -> None:
    raw = {"content": encoded(photo(), "JPEG"), "headers": {"content-type": "image/jpeg"}}
    assert "did you mean seller_id?" in client.post("/v1/screen?seler_id=S", **raw).json()["detail"]
    form = client.post("/v1/screen", files=picture(), data={"titel": "x"})
    assert "did you mean title?" in form.json()["detail"]


def test_the_review_pages_own_form_is_taken_with_empty_fields(reviewer: TestClient) -> None:
    fields = "category=&kind=&order=priority&goods=&seller=S-7&group=&job=&score_from=0.5&score_to="
    assert reviewer.get(f"/review?{fields}").status_code == 200
    assert 'value="S-7"' in reviewer.get(f"/review?{fields}").text
    assert reviewer.get(f"/review/items?{fields}&count=1").status_code == 200
    assert "filter" in reviewer.get("/review?score_from=much").json()["detail"]


@pytest.mark.parametrize("path", PROBES)
def test_probes_ignore_what_balancers_append(client: TestClient, path: str) -> None:
    assert client.get(f"{path}?source=balancer").status_code == 200
