from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from zhentu.client import AsyncClient, Client
from zhentu.errors import DependencyError, Forbidden, PictureTruncated, Unauthenticated, UsageError
from zhentu.types import Action, Listing, OnError

GOOD = {
    "action": "label",
    "decided": "label",
    "record_id": "r1",
    "sha256": "0" * 64,
    "reasons": [{"code": "c", "en": "why", "zh": "为何"}],
    "scores": {"forged": 0.9},
    "notice": {"en": "AI", "zh": "人工智能生成内容"},
}
Handler = Callable[[httpx.Request], httpx.Response]


class Gate:
    """A gate that answers as it is told, one after another; the last answer is repeated."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.seen = list(answers), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A copy: the stream of one that was given to a synchronous client cannot be given to an asynchronous one.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "told"}, headers=headers)


def client(gate: Handler, **options: object) -> Client:
    chosen = {"on_error": OnError.BLOCK, "budget_s": 60.0} | options
    return Client("http://gate", "zt_a_b", transport=httpx.MockTransport(gate), **chosen)


@dataclass
class Clock:
    """Time that passes by waiting alone, on a machine of any speed."""

    now: float = 100.0
    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("zhentu.client.client.time", made)
    return made


def test_an_answer_is_read_and_the_listing_sent() -> None:
    gate = Gate(httpx.Response(200, json=GOOD))
    listing = Listing("L1", "S1", "apparel", "衬衫", True, {"material": "cotton"})
    answer = client(gate).screen(b"bytes", name="a.jpg", listing=listing, references=[b"r"])
    assert (answer.action, answer.record_id, answer.notice_zh) == (Action.LABEL, "r1", "人工智能生成内容")
    request = gate.seen[0]
    assert request.headers["authorization"] == "Bearer zt_a_b"
    for part in (b"L1", "衬衫".encode(), b'{"material": "cotton"}', b'name="reference"', b'filename="a.jpg"'):
        assert part in request.content


def test_it_tries_again_with_the_same_key_and_waits_as_told(clock: Clock) -> None:
    gate = Gate(
        httpx.ConnectError("no"), problem(503, "overloaded", **{"Retry-After": "1"}), httpx.Response(200, json=GOOD)
    )
    assert client(gate).screen(b"x").record_id == "r1"
    backed_off, told = clock.waits
    assert 0 < backed_off < 1 <= told
    assert len({each.headers["idempotency-key"] for each in gate.seen}) == 1
    assert len(gate.seen) == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(422, "picture_truncated"), PictureTruncated),
        (problem(401, "unauthenticated"), Unauthenticated),
        (problem(400, "config_error"), UsageError),
        (httpx.Response(404, text="<html>"), UsageError),
    ],
)
def test_what_trying_again_cannot_mend_is_raised_at_once(answer: httpx.Response, kind: type[Exception]) -> None:
    gate = Gate(answer)
    with pytest.raises(kind):
        client(gate).screen(b"x")
    assert len(gate.seen) == 1


def test_what_is_no_gate_is_an_error() -> None:
    with pytest.raises(DependencyError, match="not a zhentu gate"):
        client(Gate(httpx.Response(200, text="hello"))).screen(b"x")


def test_a_gate_that_is_not_reached_blocks_where_told_so_within_the_budget(clock: Clock) -> None:
    began = clock.now
    answer = client(Gate(httpx.ReadTimeout("slow")), budget_s=0.5, attempts=9).screen(b"x")
    assert (answer.action, answer.assumed, answer.record_id) == (Action.BLOCK, True, "")
    assert 0 < clock.now - began < 0.5
    assert answer.reasons[0].zh


def test_a_long_retry_after_is_not_waited_for(clock: Clock) -> None:
    assert client(Gate(problem(429, "rate_limited", **{"Retry-After": "60"}))).screen(b"x").assumed
    assert clock.waits == []


def test_pictures_let_through_wait_in_the_queue_and_are_sent_later(tmp_path: Path) -> None:
    gate = Gate(httpx.ConnectError("no"))
    kept = client(gate, on_error=OnError.ALLOW_AND_QUEUE, queue_dir=tmp_path / "q", attempts=1)
    for picture in (b"\xff\x00one", b"two"):
        assert kept.screen(picture, listing=Listing("L1")).action is Action.ALLOW
    keys = [each.headers["idempotency-key"] for each in gate.seen]
    assert kept.flush() == 0
    gate.answers = [httpx.Response(200, json=GOOD), problem(422, "picture_corrupt")]
    gate.seen.clear()
    assert kept.flush() == 1, "one was screened, the other is none"
    assert [each.headers["idempotency-key"] for each in gate.seen] == keys
    assert b"\xff\x00one" in gate.seen[0].content
    assert list((tmp_path / "q").glob("*.json")) == []
    assert len(list((tmp_path / "q" / "refused").glob("*.json"))) == 1


def test_allow_and_queue_without_a_queue_is_refused() -> None:
    with pytest.raises(UsageError, match="queue_dir"):
        Client("http://gate", on_error=OnError.ALLOW_AND_QUEUE)


def test_the_async_client_does_the_same(tmp_path: Path) -> None:
    async def run() -> tuple[object, object]:
        gate = Gate(problem(503, "overloaded"), httpx.Response(200, json=GOOD))
        options = {"on_error": OnError.ALLOW_AND_QUEUE, "queue_dir": tmp_path}
        async with AsyncClient("http://gate", transport=httpx.MockTransport(gate), **options) as good:
            first = await good.screen(b"x")
        dead = httpx.MockTransport(Gate(httpx.ConnectError("no")))
        async with AsyncClient("http://gate", transport=dead, attempts=1, **options) as bad:
            return first, await bad.screen(b"y")

    first, second = asyncio.run(run())
    assert (first.record_id, first.assumed) == ("r1", False)
    assert (second.action, second.assumed) == (Action.ALLOW, True)
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["upload"]["idempotency_key"]


def kept_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*.json"))


def waiting(folder: Path, count: int = 2) -> Client:
    away = client(Gate(httpx.ConnectError("away")), on_error=OnError.ALLOW_AND_QUEUE, queue_dir=folder, attempts=1)
    for number in range(count):
        away.screen(f"picture {number}".encode(), name=f"{number}.jpg")
    return away


@pytest.mark.parametrize(
    "answer",
    [
        problem(401, "unauthenticated"),
        problem(403, "forbidden"),
        problem(429, "rate_limited"),
        problem(503, "overloaded"),
        problem(500, "internal_error"),
        httpx.Response(200, json={"not": "a gate"}),
        httpx.ConnectError("away"),
        RuntimeError("a bug"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_could_not_be_sent_stays_in_the_queue(answer: object, kind: type, tmp_path: Path) -> None:
    waiting(tmp_path)
    before = kept_in(tmp_path)
    options = {
        "on_error": OnError.ALLOW_AND_QUEUE,
        "queue_dir": tmp_path,
        "transport": httpx.MockTransport(Gate(answer)),
    }
    with contextlib.suppress(Unauthenticated, Forbidden, RuntimeError):
        flushed(kind("http://gate", "zt_a_b", **options))
    assert kept_in(tmp_path) == before


def flushed(chosen: Client | AsyncClient) -> int:
    made = chosen.flush()
    return asyncio.run(made) if asyncio.iscoroutine(made) else made


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_picture_that_the_gate_refuses_is_set_aside_with_its_reason(kind: type, tmp_path: Path) -> None:
    waiting(tmp_path)
    gate = Gate(problem(422, "picture_truncated"), httpx.Response(200, json=GOOD))
    options = {"on_error": OnError.ALLOW_AND_QUEUE, "queue_dir": tmp_path, "transport": httpx.MockTransport(gate)}
    assert flushed(kind("http://gate", "zt_a_b", **options)) == 1
    assert kept_in(tmp_path) == []
    (reason,) = (tmp_path / "refused").glob("*.txt")
    assert "picture_truncated" in reason.read_text(encoding="utf-8")
    assert len(kept_in(tmp_path / "refused")) == 1


def test_a_queue_of_the_previous_release_is_sent_and_what_nobody_knows_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes((Path(__file__).parent / "queue_0.1.json").read_bytes())
    (tmp_path / "2.json").write_text('{"version": 99, "upload": {}}', encoding="utf-8")
    (tmp_path / "3.json").write_text('{"cut', encoding="utf-8")
    gate = Gate(httpx.Response(200, json=GOOD))
    sender = client(gate, on_error=OnError.ALLOW_AND_QUEUE, queue_dir=tmp_path)
    assert sender.flush() == 1
    assert gate.seen[0].headers["idempotency-key"] == "key-1"
    assert b"reference-0" in gate.seen[0].content
    assert kept_in(tmp_path / "refused") == ["2.json", "3.json"]


def test_the_queue_is_nobody_elses_business(tmp_path: Path) -> None:
    waiting(tmp_path / "q", 1)
    assert (tmp_path / "q").stat().st_mode & 0o077 == 0
    assert all(each.stat().st_mode & 0o077 == 0 for each in (tmp_path / "q").iterdir())


KINDS = pytest.mark.parametrize("kind", [Client, AsyncClient])


@KINDS
@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:18191", "htp://gate", "gate", "", "http://", "https:///v1", "http://gate:99999999", "http://gate/?a=1"],
)
def test_an_address_that_cannot_work_is_no_gate_that_is_away(kind, url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base_url"):
        kind(url, "zt_a_b", on_error=OnError.ALLOW_AND_QUEUE, queue_dir=tmp_path)


@KINDS
@pytest.mark.parametrize("key", ["zt_a\nb", "zt_\u5bc6", "zt a", "zt_\ud800", "zt_\x00"])
def test_a_key_that_no_header_can_hold_is_named_without_being_shown(kind, key: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="api_key") as caught:
        kind("http://gate", key, on_error=OnError.ALLOW_AND_QUEUE, queue_dir=tmp_path)
    assert "zt_" not in str(caught.value)


def test_white_space_around_key_and_address_is_dropped(tmp_path: Path) -> None:
    gate = Gate(httpx.Response(200, json=GOOD))
    sender = Client(
        " http://gate/ ",
        "zt_a_b\n",
        on_error=OnError.ALLOW_AND_QUEUE,
        queue_dir=str(tmp_path),
        transport=httpx.MockTransport(gate),
    )
    assert sender.screen(b"x").record_id == "r1"
    assert (str(gate.seen[0].url), gate.seen[0].headers["authorization"]) == ("http://gate/v1/screen", "Bearer zt_a_b")


def test_on_error_by_name_is_what_it_says() -> None:
    away = Gate(httpx.ConnectError("away"))
    assert client(away, on_error="block", attempts=1).screen(b"x").action is Action.BLOCK
    with pytest.raises(UsageError, match="on_error 'alow': must be allow_and_queue or block"):
        client(away, on_error="alow")
    with pytest.raises(UsageError, match="queue_dir"):
        client(away, on_error="allow_and_queue")


def test_a_queue_by_name_keeps_pictures_and_one_that_cannot_is_refused(tmp_path: Path) -> None:
    options = {"on_error": OnError.ALLOW_AND_QUEUE, "attempts": 1}
    away = client(Gate(httpx.ConnectError("away")), queue_dir=str(tmp_path / "q"), **options)
    assert away.screen(b"x").action is Action.ALLOW
    assert len(list((tmp_path / "q").glob("*.json"))) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="queue_dir"):
        client(Gate(httpx.ConnectError("away")), queue_dir=tmp_path / "file", **options)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("name", {"name": "a\udc80.jpg"}),
        ("title", {"listing": Listing(title="\ud83d")}),
        ("declared_attributes", {"listing": Listing(declared_attributes={"material": "\udfff"})}),
        ("idempotency_key", {"idempotency_key": "a b\n"}),
    ],
)
def test_text_that_cannot_be_sent_is_named(field: str, given: dict[str, object], tmp_path: Path) -> None:
    gate = Gate(httpx.Response(200, json=GOOD))
    with pytest.raises(UsageError, match=field):
        client(gate, on_error=OnError.ALLOW_AND_QUEUE, queue_dir=tmp_path).screen(b"x", **given)
    assert gate.seen == []
