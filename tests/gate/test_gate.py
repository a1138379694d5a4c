from __future__ import annotations

from pathlib import Path

import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient
from served import picture

from zhentu.errors import ConfigError
from zhentu.gate.app import create_app
from zhentu.settings import Settings


def test_a_picture_is_answered_and_its_record_can_be_read_again(client: TestClient) -> None:
    answer = client.post("/v1/screen", files=picture(), data={"listing_id": "L1", "goods": "apparel"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["action"] in ("allow", "label", "review")
    assert set(body["scores"]) >= {"cutout_artifact", "forged"}
    assert body["evidence"][-1]["name"] == "model_scores"
    again = client.get(f"/v1/records/{body['record_id']}").json()
    assert again == body


def test_a_statement_to_a_seller_names_no_other_record(client: TestClient) -> None:
    first = client.post("/v1/screen", files=picture(), data={"seller_id": "one"}).json()["record_id"]
    again = client.post("/v1/screen", files=picture(), data={"seller_id": "other"}).json()
    assert first in str(again["evidence"]), "the platform sees where the score comes from"
    answer = client.get(f"/v1/records/{again['record_id']}/statement")
    assert first not in answer.text
    (known,) = [each for each in answer.json()["evidence"] if each["name"] == "known_picture"]
    assert "before; the model was not run" in known["detail"]
    assert known["location"] == ""


def test_a_declaration_owes_the_notice_possibly(client: TestClient) -> None:
    body = client.post("/v1/screen", files=picture(), data={"declared_ai": "true"}).json()
    assert (body["action"], body["notice"]["state"]) == ("label", 2)
    assert body["notice"]["zh"] == "可能为人工智能生成内容"
    assert body["label"] == {"en": "Possibly AI-generated", "zh": "可能为AI生成", "aigc_label": "2"}


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


def test_the_raw_body_and_the_form_give_the_same_record(client: TestClient) -> None:
    payload = picture()["picture"][1]
    raw = client.post("/v1/screen?goods=apparel", content=payload, headers={"content-type": "image/jpeg"})
    form = client.post("/v1/screen", files=picture(), data={"goods": "apparel"})
    assert raw.json()["record_id"] == form.json()["record_id"]
    assert form.headers["idempotency-replayed"] == "true"


def test_references_without_a_comparison_are_said_to_be_unused(client: TestClient) -> None:
    files = [("picture", picture()["picture"]), ("reference", picture(2)["picture"])]
    body = client.post("/v1/screen", files=files).json()
    assert "reference_not_compared" in [each["name"] for each in body["evidence"]]


def test_declared_attributes_are_recorded(client: TestClient) -> None:
    data = {"declared_attributes": '{"material": "cotton"}', "listing_id": "L9"}
    body = client.post("/v1/screen", files=picture(), data=data).json()
    record = client.app.state.gate.store.get(body["record_id"])
    assert record.listing.declared_attributes == {"material": "cotton"}


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"declared_attributes": "[1]"}, "declared_attributes"),
        ({"declared_attributes": "{"}, "declared_attributes"),
        ({"declared_ai": "perhaps"}, "declared_ai"),
        ({"goods": "x" * 301}, "goods"),
        ({"title": "a\x00b"}, "title"),
        ({"colour": "red"}, "colour"),
        ({"url": "https://a.example/x.jpg"}, "exactly one"),
    ],
)
def test_a_wrong_field_is_named(client: TestClient, data: dict[str, str], named: str) -> None:
    answer = client.post("/v1/screen", files=picture(), data=data)
    assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"url": "ftp://a"}', b'{"url": "https://a", "x": 1}', b"\xff", b'"\\ud800"']
)
def test_json_that_does_not_fit_is_named(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/screen", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")


def test_a_url_that_leads_inside_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/screen", json={"url": "http://169.254.169.254/latest/meta-data"})
    assert (answer.status_code, answer.json()["code"]) == (422, "fetch_refused")


def test_a_batch_answers_each_picture_by_itself(client: TestClient) -> None:
    files = [("picture", picture(1)["picture"]), ("picture", ("b.jpg", b"no picture", "image/jpeg"))]
    listings = '[{"listing_id": "L1"}, {"listing_id": "L2", "declared_ai": true}]'
    items = client.post("/v1/screen/batch", files=files, data={"listings": listings}).json()["items"]
    assert [each["status"] for each in items] == ["done", "failed"]
    assert items[1]["problem"]["code"] == "unsupported_format"
    record = client.app.state.gate.store.get(items[0]["answer"]["record_id"])
    assert record.listing.listing_id == "L1"


@pytest.mark.parametrize(
    ("count", "listings", "named"),
    [
        (66, "", "picture: too many files, the limit is 64"),
        (65, "", "the limit is 64"),
        (0, "", "send 1 to 64"),
        (2, "[{}]", "2 pictures"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(client: TestClient, count: int, listings: str, named: str) -> None:
    files = [("picture", picture()["picture"])] * count or {"listings": (None, "")}
    answer = client.post("/v1/screen/batch", files=files, data={"listings": listings} if listings else {})
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_the_heatmap_needs_the_picture_to_be_kept(settings: Settings, tmp_path: Path) -> None:
    kept = settings.changed({"store.pictures": str(tmp_path / "pictures")})
    for chosen, status in ((settings, 404), (kept, 200)):
        with TestClient(create_app(chosen)) as client:
            body = client.post("/v1/screen", files=picture(), data={"title": str(status)}).json()
            answer = client.get(f"/v1/records/{body['record_id']}/heatmap.png?category=cutout_artifact")
            assert answer.status_code == status
    assert answer.content.startswith(b"\x89PNG")
    assert answer.headers["x-zhentu-model"] == "tiny@1"


def test_every_path_that_is_none_of_ours_is_a_problem(client: TestClient) -> None:
    assert client.get("/v1/nothing").json()["code"] == "not_found"
    wrong = client.get("/v1/screen")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]
    client.request("BREW", "/v1/screen")
    assert 'method="other"' in client.get("/metrics").text


def test_every_error_has_an_example_in_openapi(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    shown = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for media in answer.get("content", {}).values()
        for code in media.get("examples", {})
    }
    expected = {"unauthenticated", "forbidden", "rate_limited", "overloaded", "deadline_exceeded", "body_too_large"}
    expected |= {"idempotency_conflict", "fetch_refused", "picture_truncated", "store_unavailable", "model_unusable"}
    assert expected <= shown
    assert "HTTPValidationError" not in str(document)


def test_a_client_that_does_not_choose_on_error_is_told_to(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="allow_and_queue"):
        create_app(settings.changed({"gate.on_error": None}))
