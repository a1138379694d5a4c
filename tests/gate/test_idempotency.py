from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from served import picture

from zhentu.intake.fetch import Outbound

KEY = {"Idempotency-Key": "order-1"}


def test_the_same_key_and_request_give_the_same_record(client: TestClient) -> None:
    first = client.post("/v1/screen", files=picture(), headers=KEY)
    second = client.post("/v1/screen", files=picture(), headers=KEY)
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_a_key_for_another_body_is_an_error(client: TestClient) -> None:
    client.post("/v1/screen", files=picture(), headers=KEY)
    for changed in ({"files": picture(2)}, {"files": picture(), "data": {"goods": "shoes"}}):
        answer = client.post("/v1/screen", headers=KEY, **changed)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


def test_without_a_key_the_same_picture_and_listing_give_the_same_record(client: TestClient) -> None:
    ids = [client.post("/v1/screen", files=picture(), data={"listing_id": "L1"}).json()["record_id"] for _ in range(2)]
    assert ids[0] == ids[1]
    assert client.app.state.gate.metrics.replayed._value.get() == 1


def test_the_same_picture_in_another_listing_is_another_record_without_asking_the_model(client: TestClient) -> None:
    first = client.post("/v1/screen", files=picture(), data={"listing_id": "L1"}).json()
    second = client.post("/v1/screen", files=picture(), data={"listing_id": "L2"}).json()
    assert first["record_id"] != second["record_id"]
    assert first["scores"] == second["scores"]
    assert second["evidence"][-1]["name"] == "known_picture"
    assert first["record_id"] in second["evidence"][-1]["detail"]


def test_a_picture_that_was_refused_may_be_tried_again_under_its_key(client: TestClient) -> None:
    broken = {"picture": ("a.jpg", b"none", "image/jpeg")}
    assert client.post("/v1/screen", files=broken, headers=KEY).status_code == 415
    assert client.post("/v1/screen", files=picture(), headers=KEY).status_code == 200


def test_a_key_that_is_none_is_refused(client: TestClient) -> None:
    for key in ("", "a b", "x" * 256):
        answer = client.post("/v1/screen", files=picture(), headers={"Idempotency-Key": key})
        assert answer.status_code == 400, key


def test_a_key_for_another_reference_url_is_an_error_too(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetched(self: Outbound, url: str, *others: object) -> bytes:
        return picture(7)["picture"][1]

    monkeypatch.setattr(Outbound, "get_picture", fetched)
    first = client.post("/v1/screen", files=picture(), data={"reference_url": "https://a.example/1.jpg"}, headers=KEY)
    again = client.post("/v1/screen", files=picture(), data={"reference_url": "https://a.example/2.jpg"}, headers=KEY)
    assert (first.status_code, again.status_code, again.json()["code"]) == (200, 409, "idempotency_conflict")


def test_the_key_wins_where_the_content_was_answered_by_another_record(client: TestClient) -> None:
    keyed = client.post("/v1/screen", files=picture(), headers=KEY).json()["record_id"]
    gate = client.app.state.gate
    limits = replace(gate.active.screener.limits, min_side=33)  # not followed from a file while the test runs
    gate.active.screener = replace(gate.active.screener, limits=limits)
    fresh = client.post("/v1/screen", files=picture()).json()["record_id"]
    assert fresh != keyed
    assert client.post("/v1/screen", files=picture(), headers=KEY).json()["record_id"] == keyed
