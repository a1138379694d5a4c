from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from conftest import encoded, photo
from fakes import FakeDetector
from fastapi.testclient import TestClient

from zhentu.bootstrap import Screener, build_screener
from zhentu.gate.app import create_app
from zhentu.settings import Settings
from zhentu.types import Picture, Verdict


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def picture(seed: int = 1) -> dict[str, tuple[str, bytes, str]]:
    return {"picture": ("a.jpg", encoded(photo(seed=seed), "JPEG"), "image/jpeg")}


def test_a_picture_is_answered_and_its_record_can_be_read_again(client: TestClient) -> None:
    answer = client.post("/v1/screen", files=picture(), data={"listing_id": "L1", "goods": "apparel"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["action"] in ("allow", "label", "review")
    assert set(body["scores"]) >= {"cutout_artifact", "forged"}
    again = client.get(f"/v1/records/{body['record_id']}").json()
    assert again == body


def test_a_declaration_owes_the_notice_possibly(client: TestClient) -> None:
    body = client.post("/v1/screen", files=picture(), data={"declared_ai": "true"}).json()
    assert (body["action"], body["notice"]["state"]) == ("label", 2)
    assert body["notice"]["zh"] == "可能为人工智能生成内容"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "picture_empty"),
        (b"no picture", 415, "unsupported_format"),
        (encoded(photo((400, 300)), "JPEG")[:3000], 422, "picture_truncated"),
        (b"\xff\xd8\xff" + b"0" * 40_000_000, 413, "picture_too_large"),
    ],
)
def test_a_bad_picture_is_a_named_problem(client: TestClient, content: bytes, status: int, code: str) -> None:
    answer = client.post("/v1/screen", files={"picture": ("a.jpg", content, "image/jpeg")})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_call_without_a_picture_says_what_is_missing(client: TestClient) -> None:
    answer = client.post("/v1/screen", data={"goods": "apparel"})
    assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")
    assert "picture" in answer.json()["detail"]


def test_an_unknown_record_is_a_404(client: TestClient) -> None:
    assert client.get("/v1/records/none").json()["code"] == "record_not_found"


def test_probes_metrics_and_documents_answer(client: TestClient) -> None:
    client.post("/v1/screen", files=picture())
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json()["model"] == "tiny@1"
    metrics = client.get("/metrics").text
    assert 'zhentu_score_count{output="forged"} 1.0' in metrics
    assert "zhentu_queue_depth 0.0" in metrics
    assert "/v1/screen" in client.get("/openapi.json").json()["paths"]


def test_a_store_that_fails_makes_the_gate_unready(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        broken = replace(client.app.state.gate, store=BrokenStore())
        client.app.state.gate = broken
        assert client.get("/readyz").status_code == 503
        assert client.post("/v1/screen", files=picture()).json()["code"] == "store_unavailable"


class BrokenStore:
    def check(self) -> None:
        from zhentu.errors import StoreError

        raise StoreError("gone")

    def append(self, record: object) -> None:
        self.check()

    def close(self) -> None:
        pass


class SlowDetector(FakeDetector):
    def __init__(self, inner: FakeDetector) -> None:
        super().__init__(inner.entry)
        self.go_on = threading.Event()

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        self.go_on.wait(10)
        return super().detect(picture)


def slow_app(settings: Settings) -> tuple[TestClient, SlowDetector]:
    screener = build_screener(settings)
    slow = SlowDetector(FakeDetector(screener.detector.entry))
    app = create_app(settings, lambda _: Screener(slow, screener.policy, screener.limits))
    return TestClient(app), slow


def test_a_full_queue_is_refused_at_once_and_the_process_still_answers(settings: Settings) -> None:
    client, slow = slow_app(settings.model_copy(update={"workers": 1, "queue_size": 1}))
    with client, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.post, "/v1/screen", files=picture(seed)) for seed in range(2)]
        while client.app.state.gate.capacity.under_way < 2:
            time.sleep(0.01)
        began = time.perf_counter()
        refused = client.post("/v1/screen", files=picture())
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/livez").status_code == 200
        assert time.perf_counter() - began < 1
        slow.go_on.set()
        assert [future.result().status_code for future in waiting] == [200, 200]
        assert client.post("/v1/screen", files=picture()).status_code == 200


def test_a_deadline_is_answered_and_the_slot_comes_back(settings: Settings) -> None:
    client, slow = slow_app(settings.model_copy(update={"workers": 1, "queue_size": 1, "deadline_s": 0.05}))
    with client:
        assert client.post("/v1/screen", files=picture()).status_code == 503
        slow.go_on.set()
        while client.app.state.gate.capacity.under_way:
            time.sleep(0.01)
        assert client.post("/v1/screen", files=picture()).status_code == 200
