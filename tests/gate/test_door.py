"""Who may do what, how often, and how much at once."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from served import listening, picture

from zhentu.errors import ConfigError, Overloaded, RateLimited, StoreError, Unauthenticated
from zhentu.gate.app import create_app
from zhentu.gate.auth import Caller, Doorkeeper, is_loopback
from zhentu.gate.budget import Budget
from zhentu.gate.routes import ROUTERS
from zhentu.gate.rules import Rules
from zhentu.record.database import Database
from zhentu.record.keys import ApiKey, KeyStore
from zhentu.settings import Settings
from zhentu.types import Role


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return settings.changed({"gate.open": False})


@pytest.fixture
def closed(keyed: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(keyed)) as client:
        yield client


@pytest.fixture
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is counted by the second: on a machine that stalls, a bucket would fill up again meanwhile."""
    monkeypatch.setattr("zhentu.gate.auth.time", SimpleNamespace(monotonic=lambda: 1.0))


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


@pytest.mark.usefixtures("_no_time_passes")
def test_a_key_that_asks_too_often_waits(closed: TestClient, keyed: Settings) -> None:
    headers = key(keyed, Role.SCREEN, 0.5)
    statuses = [closed.get("/v1/records/r", headers=headers) for _ in range(2)]
    assert [each.status_code for each in statuses] == [404, 429]
    assert int(statuses[1].headers["retry-after"]) >= 1


@pytest.mark.usefixtures("_no_time_passes")
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
        TestClient(create_app(settings.changed({"gate.host": host}))),
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
    with pytest.raises(Unauthenticated, match="unknown or revoked"):
        asyncio.run(door.admit(token, Role.SCREEN))
    with pytest.raises(Unauthenticated, match="an API key is needed"):
        asyncio.run(door.admit("", Role.SCREEN))


def test_one_line_a_request_and_never_a_key(
    closed: TestClient, keyed: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    headers = key(keyed, Role.SCREEN)
    token = headers["Authorization"].split()[1]
    with caplog.at_level(logging.INFO, "zhentu.gate"):
        raw = headers | {"Content-Type": "image/jpeg"}
        closed.post(f"/v1/screen?title={token}", content=picture()["picture"][1], headers=raw)
        closed.post("/v1/screen", files=picture(), headers={"X-API-Key": token + "x"})
        closed.get("/livez")
    lines = [json.loads(each.message) for each in caplog.records if each.message.startswith("{")]
    assert [each["status"] for each in lines] == [200, 401]
    assert {"record", "action", "key", "ms", "bytes_in", "request_id"} <= set(lines[0])
    assert token.split("_", 2)[2] not in caplog.text


def sent_to(app: FastAPI, chunk: bytes, more: bool, **headers: str) -> tuple[int, int]:
    """The status of a POST to /v1/screen, and how many chunks were taken of a body that has `more` for ever."""
    taken, answers = [], []

    async def receive() -> dict[str, object]:
        taken.append(1)
        return {"type": "http.request", "body": chunk, "more_body": more}

    async def send(message: dict[str, object]) -> None:
        answers.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/screen",
        "raw_path": b"/v1/screen",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *named],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    asyncio.run(app(scope, receive, send))
    return answers[0]["status"], len(taken)


def test_a_body_is_counted_while_it_streams_in(settings: Settings) -> None:
    small = settings.changed({"decode.max_bytes": 1024 * 1024})
    with TestClient(create_app(small)) as client:
        status, taken = sent_to(client.app, b"\xff\xd8\xff".ljust(65536, b"\0"), True, content_type="image/jpeg")
        assert (status, taken < 100) == (413, True), f"{taken} chunks of 64 KiB were read"
        announced = {"content_type": "image/jpeg", "content_length": "999999999"}
        assert sent_to(client.app, b"x", False, **announced) == (413, 0)


def test_a_body_that_drips_in_is_given_up(settings: Settings) -> None:
    app = create_app(settings.changed({"gate.body_timeout_s": 0.3}))
    with listening(app) as port, socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(
            b"POST /v1/screen HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 999\r\n\r\nabc"
        )
        caller.settimeout(60)
        assert b"408" in caller.recv(4096).split(b"\r\n")[0]


def test_a_body_without_a_key_is_never_read(closed: TestClient) -> None:
    headers = {"content_type": "application/json", "content_length": "59000000"}
    assert sent_to(closed.app, b"{}", False, **headers) == (401, 0)


@pytest.mark.parametrize("path", ["/v1/appeals", "/v1/banks/x/entries", "/v1/labels/apply", "/v1/banks/x"])
def test_forms_that_the_framework_reads_are_guarded_as_well(closed: TestClient, path: str) -> None:
    method = "PUT" if path == "/v1/banks/x" else "POST"
    answer = closed.request(method, path, content=b"x" * 10, headers={"content-type": "multipart/form-data"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_every_route_but_probes_pages_and_documents_asks_for_a_role(settings: Settings) -> None:
    rules = Rules([each for router in ROUTERS for each in router.routes], 1, 1, 10**9)
    free = {route.path for route, rule in rules._routes if rule.role is None}
    front = {"/", "/try", "/try/label", "/try/samples/{name}", "/try/static/{name}"}  # open mode asks for its token
    others = {each for each in free if not each.startswith("/review")} - front
    assert others == {"/livez", "/readyz", "/metrics", "/docs"}


def test_a_body_that_no_route_expects_is_small(client: TestClient) -> None:
    answer = client.put("/v1/banks/x", content=b"x" * 70_000, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    answer = client.post("/v1/screen", content=b" " * 2_000_000, headers={"content-type": "application/json"})
    assert "1 MiB" in answer.json()["detail"]


@pytest.mark.parametrize("length", ["-1", "1e9", "9" * 400, "abc"])
def test_a_length_that_is_none_is_refused(client: TestClient, length: str) -> None:
    answer = client.post("/v1/screen", content=b"x", headers={"content-type": "image/jpeg", "content-length": length})
    assert answer.status_code in (400, 413)


def test_room_is_taken_before_a_body_is_read_and_given_back(settings: Settings) -> None:
    budget = Budget(100)
    with budget.hold("a") as hold:
        hold.grow(50)
        with pytest.raises(Overloaded, match="one caller"):
            budget.hold("a").grow(1)
        other = budget.hold("b")
        other.grow(50)
        with pytest.raises(Overloaded, match="holds as many"):
            budget.hold("c").grow(1)
    assert budget.held == 50


@pytest.mark.usefixtures("_no_time_passes")
def test_wrong_keys_are_throttled_and_right_ones_open(closed: TestClient, keyed: Settings) -> None:
    headers = key(keyed, Role.SCREEN, 0)
    wrong = [closed.get("/v1/records/r", headers={"X-API-Key": f"zt_{n:012x}_x"}).status_code for n in range(40)]
    assert wrong[0] == 401
    assert wrong[-1] == 429
    assert closed.get("/v1/records/r", headers=headers).status_code == 404, "a key nobody has seen yet, too"


def test_a_batch_passes_however_low_the_rate_and_is_paid_off(closed: TestClient, keyed: Settings) -> None:
    headers = key(keyed, Role.SCREEN, 0.01)
    files = [("picture", picture(seed)["picture"]) for seed in range(3)]
    assert closed.post("/v1/screen/batch", files=files, headers=headers).status_code == 200
    refused = closed.post("/v1/screen/batch", files=files, headers=headers)
    assert (refused.status_code, int(refused.headers["retry-after"]) >= 5) == (429, True)


def test_open_mode_answers_its_own_machine_and_no_other_sites_page(client: TestClient) -> None:
    assert client.get("/livez", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/livez", headers={"Host": "127.0.0.1.evil.example"}).status_code == 421
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        assert client.get("/livez", headers={"Host": host}).status_code == 200
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = client.put("/v1/banks/good", json={"kind": "allowed"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    same = {"Origin": "http://testserver"}
    assert client.put("/v1/banks/good", json={"kind": "allowed"}, headers=same).status_code == 200


def test_with_keys_hosts_are_listed_where_the_settings_list_them(keyed: Settings) -> None:
    named = keyed.changed({"gate.allowed_hosts": ("gate.example",)})
    with TestClient(create_app(named)) as client:
        assert client.get("/livez").status_code == 421
        assert client.get("/livez", headers={"Host": "gate.example:443"}).status_code == 200


def test_the_review_page_of_open_mode_wants_the_token_of_this_start(client: TestClient) -> None:
    assert client.get("/review", follow_redirects=False).headers["location"] == "/review/sign-in"
    assert client.post("/review/undo", headers={"X-CSRF-Token": "open"}).status_code == 401
    assert client.post("/review/sign-in", data={"key": "open"}).status_code == 401
    token = client.app.state.open_token
    opened = client.get(f"/review/sign-in?token={token}", follow_redirects=False)
    assert "zhentu_review" in opened.headers["set-cookie"]
    assert token not in opened.headers["set-cookie"]
    assert client.get("/review", follow_redirects=False).status_code == 200
    assert client.post("/review/undo", headers={"X-CSRF-Token": "open"}).status_code == 403


def test_a_key_in_the_wrong_place_is_not_logged(closed: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zhentu.gate"):
        closed.get("/v1/records/zt_0a1b2c3d4e5f_supersecret")
        closed.get("/v1/%C2%9B31m%1B%5D0;x")
    assert "supersecret" not in caplog.text
    assert "\x1b" not in caplog.text
    assert "\u009b" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join(b'"k%d":1' % n for n in range(5000)) + b"}",
        b'{"pictures": [' + b",".join([b"{}"] * 5000) + b"]}",
        b'{"a":' * 50 + b"1" + b"}" * 50,
        b"[" * 100_000,
    ],
)
def test_json_that_no_call_needs_is_refused_before_it_is_looked_at(client: TestClient, body: bytes) -> None:
    for path in ("/v1/screen", "/v1/screen/batch", "/v1/jobs"):
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")
        assert len(answer.text) < 2000
