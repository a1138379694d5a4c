"""Jobs end with a callback; messages are signed, tried again, and dead ones replayed."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from served import picture, until
from sqlalchemy import update
from standardwebhooks.webhooks import Webhook

from zhentu.errors import ConfigError
from zhentu.gate.app import create_app
from zhentu.gate.deliver import _signer
from zhentu.record.database import Database, now
from zhentu.record.outbox import Outbox, new_message
from zhentu.record.schema import outbox
from zhentu.settings import Settings
from zhentu.types import Action, MessageState

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


@dataclass
class Receiver:
    port: int = 0
    status: int = 200
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            received.got.append(({key.lower(): value for key, value in self.headers.items()}, body))
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield received
    server.shutdown()


@pytest.fixture
def hooked(settings: Settings, receiver: Receiver) -> Settings:
    changes = {
        "webhook.url": receiver.url,
        "webhook.secret": SecretStr(SECRET),
        "webhook.actions": (Action.LABEL,),
        "fetch.ports": (receiver.port,),
        "fetch.allow": "127.0.0.1/32",
    }
    return settings.changed(changes)


def test_a_decision_is_sent_signed_and_others_are_not(hooked: Settings, receiver: Receiver) -> None:
    with TestClient(create_app(hooked)) as client:
        client.post("/v1/screen", files=picture())
        body = client.post("/v1/screen", files=picture(), data={"declared_ai": "true"}).json()
        until(lambda: bool(receiver.got))
        headers, text = receiver.got[0]
        told = Webhook(SECRET).verify(text, headers)
        assert (told["type"], told["data"]["record_id"]) == ("picture.screened", body["record_id"])
        box = Outbox(client.app.state.gate.store.database)
        until(lambda: box.waiting() == 0)
        assert [each.state for each in box.list()] == [MessageState.DELIVERED]


def test_a_message_that_is_refused_is_tried_again_and_a_dead_one_replayed(hooked: Settings, receiver: Receiver) -> None:
    receiver.status = 500
    with TestClient(create_app(hooked)) as client:
        database = client.app.state.gate.store.database
        box = Outbox(database)
        client.post("/v1/screen", files=picture(), data={"declared_ai": "true"})
        until(lambda: bool(box.list()) and "500" in box.list()[0].last_error)
        until(lambda: bool(box.list(MessageState.DEAD)) or _last_try_now(database))
        receiver.status = 204
        box.replay()
        until(lambda: bool(box.list(MessageState.DELIVERED)))
        ids = {headers["webhook-id"] for headers, _ in receiver.got}
        assert len(ids) == 1, "a message keeps its id, so that receivers can recognise it"


def _last_try_now(database: Database) -> bool:
    """Said again and again: a try that was under way writes its own count over this one."""
    with database.begin() as connection:
        pending = outbox.c.state == MessageState.PENDING.value
        connection.execute(update(outbox).where(pending).values(attempts=99, due_at=now()))
    return False


def test_a_job_is_worked_off_and_calls_back(hooked: Settings, receiver: Receiver) -> None:
    with TestClient(create_app(hooked)) as client:
        files = [("picture", picture(1)["picture"]), ("picture", ("b.jpg", b"none", "image/jpeg"))]
        accepted = client.post("/v1/jobs", files=files, data={"callback_url": receiver.url})
        assert accepted.status_code == 202
        path = f"/v1/jobs/{accepted.json()['job_id']}"
        until(lambda: client.get(path).json()["finished"])
        items = client.get(path).json()["items"]
        assert [each["status"] for each in items] == ["done", "failed"]
        assert items[0]["answer"]["record_id"]
        assert (items[1]["problem"]["code"], items[1]["problem"]["status"]) == ("unsupported_format", 415)
        until(lambda: bool(receiver.got))
        told = Webhook(SECRET).verify(receiver.got[0][1], receiver.got[0][0])
        assert (told["type"], told["data"]["finished"]) == ("job.finished", True)
        assert json.dumps(told["data"]["items"]) == json.dumps(items)


def test_a_callback_without_a_secret_to_sign_it_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/jobs", files=picture(), data={"callback_url": "https://a.example"})
    assert (answer.status_code, "ZHENTU_WEBHOOK_SECRET" in answer.json()["detail"]) == (400, True)
    assert client.get("/v1/jobs/0193a0b0").json()["code"] == "not_found"


def test_a_job_survives_a_restart(settings: Settings) -> None:
    busy = settings.changed({"workers": 1})
    with TestClient(create_app(busy)) as client:
        client.app.state.gate.capacity.drain()  # nothing is worked off any more
        job_id = client.post("/v1/jobs", files=picture()).json()["job_id"]
    with TestClient(create_app(busy)) as client:
        until(lambda: client.get(f"/v1/jobs/{job_id}").json()["finished"])


def test_webhooks_without_a_secret_do_not_start(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"webhook\.secret"):
        create_app(settings.changed({"webhook.url": "https://a.example"}))


def _of(length: int) -> str:
    return base64.b64encode(b"\xfb\xff" * 40)[: length * 4 // 3].decode()


@pytest.mark.parametrize("secret", ["whsec_!", "abc", "correct horse battery staple!!", _of(21), _of(66), "_-" * 16])
def test_a_secret_that_signs_weakly_does_not_start(settings: Settings, secret: str) -> None:
    wrong = {"webhook.url": "https://a.example", "webhook.secret": SecretStr(secret)}
    with pytest.raises(ConfigError, match="base64 of 24 to 64 bytes"), TestClient(create_app(settings.changed(wrong))):
        pass


@pytest.mark.parametrize(
    "secret", [_of(24), f"whsec_{_of(63)}", base64.b64encode(b"k" * 32).decode() + "\n", SECRET.rstrip("=")]
)
def test_a_secret_is_taken_with_or_without_prefix_and_padding(secret: str) -> None:
    moment = now()
    assert _signer(secret).sign("m", moment, "{}") == Webhook(secret.strip()).sign("m", moment, "{}")


def test_a_receiver_that_hangs_holds_up_nobody_elses_messages(hooked: Settings, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as tarpit:
        slow = f"http://127.0.0.1:{tarpit.getsockname()[1]}/hook"
        ports = (receiver.port, tarpit.getsockname()[1])
        chosen = hooked.changed({"fetch.ports": ports, "fetch.timeout_s": 240.0})
        with TestClient(create_app(chosen)) as client:
            box = Outbox(client.app.state.gate.store.database)
            box.put([new_message("job.finished", slow, "{}", "mallory") for _ in range(40)])
            box.put([new_message("job.finished", receiver.url, "{}", "shop")])
            until(lambda: bool(receiver.got))
            under_way = [each for each in box.list(MessageState.SENDING) if each.url == slow]
            assert len(under_way) <= 4, "the others wait in the table"
