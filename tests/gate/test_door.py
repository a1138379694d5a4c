"""Who may do what, how often, and how much at once."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from served import listening, picture

from zhentu.errors import ConfigError, RateLimited, StoreError, Unauthenticated
from zhentu.gate.app import create_app
from zhentu.gate.auth import Caller, Doorkeeper, is_loopback
from zhentu.record.database import Database
from zhentu.record.keys import ApiKey, KeyStore
from zhentu.settings import Settings
from zhentu.types import Role


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return settings.model_copy(update={"open": False})


@pytest.fixture
def closed(keyed: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(keyed)) as client:
        yield client


def key(settings: Settings, role: Role, rate: float | None = None) -> dict[str, str]:
    database = Database(settings.store_url)
    _, token = KeyStore(database).create("shop", role, rate)
    database.close()
    return {"Authorization": f"Bearer {token}"}


def test_without_a_key_nothing_is_answered_but_probes(closed: TestClient) -> None:
    answer = closed.post("/v1/screen", files=picture())
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert closed.get("/v1/records/r").status_code == 401
    assert closed.get("/livez").status_code == 200


def test_a_key_opens_by_either_header_and_only_its_role(closed: TestClient, keyed: Settings) -> None:
    headers = key(keyed, Role.SCREEN)
    assert closed.post("/v1/screen", files=picture(), headers=headers).status_code == 200
    token = headers["Authorization"].split()[1]
    assert closed.post("/v1/screen", files=picture(), headers={"X-API-Key": token}).status_code == 200
    refused = closed.get("/v1/in-force", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert closed.get("/v1/in-force", headers=key(keyed, Role.ADMIN)).json()["model"] == "tiny@1"


def test_a_key_that_asks_too_often_waits(closed: TestClient, keyed: Settings) -> None:
    headers = key(keyed, Role.SCREEN, 0.5)
    statuses = [closed.get("/v1/records/r", headers=headers) for _ in range(2)]
    assert [each.status_code for each in statuses] == [404, 429]
    assert int(statuses[1].headers["retry-after"]) >= 1


def test_a_batch_counts_every_picture(settings: Settings, database: Database) -> None:
    door = Doorkeeper(KeyStore(database), settings)
    caller = Caller("k", "shop", Role.SCREEN, 10.0)
    door.spend(caller, 64)
    with pytest.raises(RateLimited) as refused:
        door.spend(caller, 1)
    assert refused.value.retry_after_s > 5


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gate.example"])  # noqa: S104 - what must be refused
def test_open_mode_on_a_public_address_does_not_start(settings: Settings, host: str) -> None:
    with (
        pytest.raises(ConfigError, match="anybody"),
        TestClient(create_app(settings.model_copy(update={"host": host}))),
    ):
        pass


def test_loopback_addresses_are_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost")))


class StubKeys:
    def __init__(self, key: ApiKey) -> None:
        self.key: ApiKey | None = key
        self.down = False

    def find(self, key_id: str) -> ApiKey | None:
        if self.down:
            raise StoreError("gone")
        return self.key


def test_known_keys_open_while_the_store_is_down_and_revoked_ones_soon_do_not(
    keyed: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, token = KeyStore(database).create("shop", Role.SCREEN)
    stub = StubKeys(made)
    door = Doorkeeper(stub, keyed)
    assert asyncio.run(door.admit(token, Role.SCREEN)).key_id == made.key_id
    monkeypatch.setattr("zhentu.gate.auth._FRESH_S", 0.0)
    stub.down = True
    assert asyncio.run(door.admit(token, Role.SCREEN)).key_id == made.key_id
    stub.down, stub.key = False, None
    with pytest.raises(Unauthenticated):
        asyncio.run(door.admit(token, Role.SCREEN))


def test_one_line_a_request_and_never_a_key(
    closed: TestClient, keyed: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    headers = key(keyed, Role.SCREEN)
    token = headers["Authorization"].split()[1]
    with caplog.at_level(logging.INFO, "zhentu.gate"):
        closed.post(f"/v1/screen?title={token}", files=picture(), headers=headers)
        closed.post("/v1/screen", files=picture(), headers={"X-API-Key": token + "x"})
        closed.get("/livez")
    lines = [json.loads(each.message) for each in caplog.records if each.message.startswith("{")]
    assert [each["status"] for each in lines] == [200, 401]
    assert {"record", "action", "key", "ms", "bytes_in", "request_id"} <= set(lines[0])
    assert token.split("_")[2] not in caplog.text


def test_a_body_is_counted_while_it_streams_in(settings: Settings) -> None:
    small = settings.model_copy(update={"max_bytes": 1024 * 1024})

    def endless() -> Iterator[bytes]:
        yield b"\xff\xd8\xff"
        for _ in range(10_000):
            yield b"\x00" * 65536

    with TestClient(create_app(small)) as client:
        began = time.perf_counter()
        answer = client.post("/v1/screen", content=endless(), headers={"content-type": "image/jpeg"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        announced = {"content-type": "image/jpeg", "content-length": "999999999"}
        assert client.post("/v1/screen", content=b"x", headers=announced).status_code == 413
        assert time.perf_counter() - began < 10


def test_a_body_that_drips_in_is_given_up(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"body_timeout_s": 0.3}))
    with listening(app) as port, socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(
            b"POST /v1/screen HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 999\r\n\r\nabc"
        )
        caller.settimeout(5)
        assert b"408" in caller.recv(4096).split(b"\r\n")[0]
