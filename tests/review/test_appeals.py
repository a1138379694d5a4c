"""Appeals and banks over HTTP, as a platform sees them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import encoded
from fakes import FakeComparer, FakeDetector
from fastapi.testclient import TestClient
from pictures import recoloured, waves
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import text

from zhentu.bootstrap.screener import limits_of
from zhentu.errors import ReviewConflict
from zhentu.gate.app import create_app
from zhentu.record import audit
from zhentu.record.keys import KeyStore
from zhentu.record.outbox import Outbox
from zhentu.review.items import ItemKind, ReviewOutcome
from zhentu.screen import Screener
from zhentu.types import Action, Role


def png(seed: int = 1, form: str = "PNG") -> bytes:
    return encoded(Image.fromarray(waves(120, 160, seed)), form)


@pytest.fixture
def client(settings, entry, policy, tmp_path) -> Iterator[TestClient]:
    settings = settings.changed(
        {
            "gate.open": False,
            "store.pictures": str(tmp_path / "kept"),
            "review.second_ratio": 0.0,
            "webhook.secret": SecretStr("k" * 32),
        }
    )
    line = Screener(FakeDetector(entry, 0.95), policy, limits_of(settings), comparer=FakeComparer(0.12, 0.9))
    with TestClient(create_app(settings, lambda _: line)) as opened:
        keys = KeyStore(opened.app.state.desk.store.database)
        for role in Role:
            opened.headers[f"x-{role.value}"] = keys.create(role.value, role)[1]
        yield opened


def auth(client: TestClient, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {client.headers[f'x-{role}']}"}


@pytest.fixture
def record_id(client: TestClient) -> str:
    answer = client.post(
        "/v1/screen", files={"picture": ("a.png", png())}, data={"seller_id": "shop"}, headers=auth(client, "screen")
    )
    assert answer.json()["action"] == "review"
    return answer.json()["record_id"]


def appeal(client: TestClient, about: str, photos: int = 2, **form: str):
    files = [("references", (f"{number}.jpg", png(number + 5, "JPEG"))) for number in range(photos)]
    values = {"record_id": about, "reason": "这是实拍图", "callback_url": "https://shop.example/hook"} | form
    return client.post("/v1/appeals", data=values, files=files or None, headers=auth(client, "screen"))


def test_an_appeal_is_compared_reviewed_by_somebody_else_and_called_back(client: TestClient, record_id: str):
    desk = client.app.state.desk
    desk.filler.fill()
    (first,) = desk.queue.claim("ann")
    desk.queue.decide(first.item_id, "ann", ReviewOutcome.UPHOLD)
    answer = appeal(client, record_id)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["state"], body["comparison"]["mismatch"], len(body["references"])) == ("open", 0.12, 2)
    assert (body["comparison"]["answer"], body["comparison"]["agreeing"], body["comparison"]["compared"]) == (
        "same",
        2,
        2,
    )
    assert client.get("/v1/appeals/counts", headers=auth(client, "screen")).json() == {"open": 1, "overdue": 0}
    assert desk.queue.claim("ann") == ()
    (item,) = desk.queue.claim("bob")
    assert item.kind is ItemKind.APPEAL
    desk.queue.decide(item.item_id, "bob", ReviewOutcome.OVERTURN, note="genuine photos")
    closed = client.get(f"/v1/appeals/{body['appeal_id']}", headers=auth(client, "screen")).json()
    assert (closed["state"], closed["outcome_reason"]) == ("overturned", "genuine photos")
    (message,) = Outbox(desk.store.database).list()
    assert (message.kind, message.url) == ("appeal.decided", "https://shop.example/hook")
    told = json.loads(message.body)
    assert set(told) == {"type", "timestamp", "tenant", "data"}, "the envelope of every webhook"
    assert (told["type"], told["tenant"], told["data"]["state"]) == ("appeal.decided", "default", "overturned")
    assert told["data"]["appeal_id"] == closed["appeal_id"]


def test_an_overturned_picture_passes_the_next_time(client: TestClient, record_id: str):
    desk = client.app.state.desk
    appeal(client, record_id, 0)
    (item,) = [each for each in desk.queue.claim("bob") if each.kind is ItemKind.APPEAL]
    desk.queue.decide(item.item_id, "bob", ReviewOutcome.OVERTURN)
    desk.banks.refresh()
    answer = client.post("/v1/screen", files={"picture": ("b.png", png())}, headers=auth(client, "screen"))
    assert answer.json()["action"] == "allow"
    assert "bank_allowed" in [each["name"] for each in answer.json()["evidence"]]


def test_undoing_the_outcome_opens_the_appeal_again_and_says_so(client: TestClient, record_id: str):
    desk = client.app.state.desk
    appeal(client, record_id, 0)
    (item,) = desk.queue.claim("bob")
    desk.queue.decide(item.item_id, "bob", ReviewOutcome.UPHOLD)
    desk.queue.undo("bob")
    assert {message.kind for message in Outbox(desk.store.database).list()} == {"appeal.decided", "appeal.reopened"}
    assert desk.queue.counts().appeals_open == 1


def test_an_appeal_takes_the_place_of_the_first_look_that_still_waits(client: TestClient, record_id: str):
    desk = client.app.state.desk
    desk.filler.fill()
    (waiting,) = desk.queue.claim("ann")
    appeal(client, record_id, 0)
    with pytest.raises(ReviewConflict):
        desk.queue.decide(waiting.item_id, "ann", ReviewOutcome.UPHOLD)
    (item,) = desk.queue.claim("ann")
    assert item.kind is ItemKind.APPEAL


def test_a_decision_is_appealed_once(client: TestClient, record_id: str):
    assert appeal(client, record_id, 0).status_code == 201
    answer = appeal(client, record_id, 0)
    assert (answer.status_code, answer.json()["code"]) == (409, "review_conflict")


@pytest.mark.parametrize(
    ("form", "photos", "status", "word"),
    [
        ({"record_id": "none"}, 0, 404, "none"),
        ({"reason": " "}, 0, 400, "reason"),
        ({"callback_url": "javascript:alert(1)"}, 0, 400, "callback_url"),
        ({"seller_id": "other"}, 0, 400, "another seller"),
        ({}, 7, 400, "at most 6"),
    ],
)
def test_what_is_wrong_with_an_appeal_is_said(client: TestClient, record_id: str, form, photos, status, word):
    answer = appeal(client, record_id, photos, **form)
    assert (answer.status_code, word in answer.json()["detail"]) == (status, True)


def test_no_photo_of_an_appeal_vanishes(client: TestClient, record_id: str):
    def send(field: str, **form: str):
        values = {"record_id": record_id, "reason": "x"} | form
        photos = [(field, ("a.jpg", png(5, "JPEG")))]
        return client.post("/v1/appeals", data=values, files=photos, headers=auth(client, "screen"))

    unknown = send("photo")
    assert (unknown.status_code, "photo: unknown field" in unknown.json()["detail"]) == (400, True)
    assert "references" in unknown.json()["detail"]
    assert send("references", callback="https://x.example").status_code == 400
    as_screen_names_it = send("reference")
    assert (as_screen_names_it.status_code, len(as_screen_names_it.json()["references"])) == (201, 1)


def test_a_callback_that_nobody_could_sign_is_refused(client: TestClient, record_id: str):
    gate = client.app.state.gate
    without = replace(gate, settings=gate.settings.changed({"webhook.secret": None}))
    client.app.state.gate = without
    answer = appeal(client, record_id, 0)
    assert (answer.status_code, "ZHENTU_WEBHOOK_SECRET" in answer.json()["detail"]) == (400, True)
    assert appeal(client, record_id, 0, callback_url="").status_code == 201


def test_an_appeal_as_json_is_told_to_send_a_form(client: TestClient, record_id: str):
    answer = client.post("/v1/appeals", json={"record_id": record_id, "reason": "x"}, headers=auth(client, "screen"))
    assert (answer.status_code, "multipart/form-data" in answer.json()["detail"]) == (415, True)
    plain = client.post("/v1/appeals", data={"record_id": record_id, "reason": "x"}, headers=auth(client, "screen"))
    assert plain.status_code == 201


def test_the_statement_of_reasons_names_grounds_and_redress_but_no_reviewer(client: TestClient, record_id: str):
    desk = client.app.state.desk
    desk.filler.fill()
    (item,) = desk.queue.claim("ann-secret-name")
    desk.queue.decide(item.item_id, "ann-secret-name", ReviewOutcome.UPHOLD, "scene_distortion", "two shadows")
    answer = client.get(f"/v1/records/{record_id}/statement", headers=auth(client, "screen"))
    body = answer.json()
    assert body["reasons"][0]["zh"]
    assert body["automated_decision"] is False
    (review,) = body["reviews"]
    assert (review["category_en"], review["note"]) == ("Distorted scene", "two shadows")
    assert body["redress"]["available"] is True
    assert len(body["evidence"]) > 0
    for each in body["evidence"]:
        assert all(re.search("[\u4e00-\u9fff]", each[name]) for name in ("name_zh", "detail_zh", "trust_zh")), each
    assert "ann-secret-name" not in answer.text


def test_what_was_allowed_cannot_be_appealed_and_the_picture_is_no_photo_of_its_goods(
    client: TestClient, record_id: str, monkeypatch: pytest.MonkeyPatch
):
    values, photo = {"record_id": record_id, "reason": "real"}, [("references", ("a.png", png()))]
    own = client.post("/v1/appeals", data=values, files=photo, headers=auth(client, "screen"))
    assert (own.status_code, "photo 1 is the picture itself" in own.json()["detail"]) == (400, True)
    store = client.app.state.desk.appeals._store
    record = store.get(record_id)
    allowed = replace(record, decision=replace(record.decision, action=Action.ALLOW))
    monkeypatch.setattr(store, "get", lambda *_: allowed)
    assert "nothing to appeal" in appeal(client, record_id).json()["detail"]
    desk = client.app.state.desk
    desk.filler.fill()
    (item,) = desk.queue.claim("ann")
    desk.queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD)  # a person stopped it all the same
    assert appeal(client, record_id).status_code == 201


def test_after_an_overturned_decision_no_notice_is_left(client: TestClient, record_id: str):
    desk, path, seen = client.app.state.desk, f"/v1/records/{record_id}", auth(client, "screen")
    assert client.get(f"{path}/notice", headers=seen).json()["needed"] is True
    desk.filler.fill()
    (item,) = desk.queue.claim("ann")
    desk.queue.decide(item.item_id, "ann", ReviewOutcome.OVERTURN)
    for audience in ("buyer", "seller"):
        told = client.get(f"{path}/notice", params={"audience": audience}, headers=seen).json()
        assert (told["needed"], told["state"]) == (False, None)


def test_banks_over_http_from_registration_to_an_altered_copy(client: TestClient):
    admin, review = auth(client, "admin"), auth(client, "review")
    settings = {"kind": "brand_original", "brand": "Acme", "owners": ["acme-shop"]}
    assert client.put("/v1/banks/acme", json=settings, headers=admin).status_code == 200
    added = client.post("/v1/banks/acme/entries", files={"picture": ("a.png", png())}, headers=review).json()
    assert len(added["entry_ids"]) == 1
    asked = {"picture": ("b.png", encoded(Image.fromarray(recoloured(waves(120, 160, 1))), "PNG"))}
    (match,) = client.post("/v1/banks/lookup", files=asked, data={"seller_id": "thief"}, headers=review).json()
    assert (match["how"], match["brand"]) == ("altered", "Acme")
    assert client.post("/v1/banks/lookup", files=asked, data={"seller_id": "acme-shop"}, headers=review).json() == []
    exported = client.get("/v1/banks/acme/export", headers=admin).text
    assert exported.count("\n") == 3
    again = {"file": ("x.csv", io.BytesIO(exported.encode() + b"md5,zz,,,\n"))}
    taken = client.post("/v1/banks/acme/import", files=again, headers=admin).json()
    assert taken["entry_ids"] == []
    assert "md5" in taken["problems"][0]
    client.delete(f"/v1/banks/entries/{added['entry_ids'][0]}", headers=review)
    (acme,) = [each for each in client.get("/v1/banks", headers=review).json() if each["name"] == "acme"]
    assert acme["entries"] == 0
    assert client.put("/v1/banks/acme", json=settings, headers=review).status_code == 403


def test_a_dry_run_over_http(client: TestClient, record_id: str):
    run = client.post(
        "/v1/banks/allowed/dry-run", files={"picture": ("a.png", png())}, headers=auth(client, "review")
    ).json()
    assert (run["looked_at"], run["exact"]) == (1, 1)


def test_the_page_wants_a_reviewers_key_and_its_own_token(client: TestClient, record_id: str):
    assert client.get("/review", follow_redirects=False).headers["location"] == "/review/sign-in"
    assert client.post("/review/sign-in", data={"key": client.headers["x-screen"]}).status_code == 403
    cross = {"sec-fetch-site": "cross-site"}
    assert client.post("/review/sign-in", data={"key": client.headers["x-review"]}, headers=cross).status_code == 403
    page = client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    item = client.get("/review/items").json()["items"][0]
    path = f"/review/items/{item['id']}/decide"
    assert client.post(path, json={"outcome": "uphold"}).status_code == 403
    csrf = page.text.split('name="csrf" content="')[1].split('"')[0]
    token = {"x-csrf-token": csrf}
    assert client.post(path, json={"outcome": "uphold"}, headers=token | cross).status_code == 403
    misspelt = client.post(path, json={"outcome": "uphold", "catgory": "scene_distortion"}, headers=token)
    assert (misspelt.status_code, "catgory" in misspelt.json()["detail"]) == (400, True)
    assert client.post(path, json={"outcome": "overturn"}, headers=token).status_code == 200
    sent = {"files": {"picture": ("a.png", png())}, "headers": auth(client, "screen")}
    assert client.post("/v1/screen", **sent).json()["action"] == "allow"  # at once, not at the banks' next round
    assert client.post("/review/undo", headers=token).status_code == 200
    assert client.post("/v1/screen", **sent).json()["action"] == "review"
    client.post("/review/sign-out", data={"csrf": csrf})
    assert client.get("/review/items").status_code == 401


def test_previews_are_encoded_anew_and_signed_in_people_only_see_them(client: TestClient, record_id: str):
    desk = client.app.state.desk
    desk.filler.fill()
    (item,) = desk.queue.claim("ann")
    path = f"/review/items/{item.item_id}/preview.jpg"
    assert client.get(path).status_code == 401
    client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    answer = client.get(path)
    assert answer.content[:3] == b"\xff\xd8\xff"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/review/items/{item.item_id}/references/{'0' * 64}.jpg").status_code == 404


def test_a_revoked_key_ends_the_session(client: TestClient):
    client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    assert client.get("/review/items").status_code == 200
    keys = KeyStore(client.app.state.desk.store.database)
    (key,) = (each for each in keys.list() if each.role is Role.REVIEW)
    keys.revoke(key.key_id)
    assert client.get("/review/items").status_code == 401


def test_a_reverse_proxy_may_name_the_reviewer_and_nobody_else_may(client: TestClient):
    import ipaddress

    from zhentu.review.sessions import ProxySignIn

    proxy = ProxySignIn("x-forwarded-user", (ipaddress.ip_network("10.0.0.0/8"),))
    assert proxy.name("anna", "10.1.2.3") == "anna"
    assert proxy.name("anna", "192.0.2.1") == ""
    assert proxy.name("anna", "testclient") == ""
    client.app.state.desk = replace(client.app.state.desk, proxy=proxy)
    assert client.get("/review/items", headers={"x-forwarded-user": "anna"}).status_code == 401
    vouched = client.app.state.desk.sessions.vouched("anna")
    assert vouched == client.app.state.desk.sessions.vouched("anna")
    assert vouched.role is Role.REVIEW
    acts = [(each.actor, each.act) for each in audit.entries(client.app.state.desk.store.database, "proxy")]
    assert acts == [("anna", "session.open")]


def test_an_item_whose_record_was_pruned_leaves_the_queue_and_blocks_nobody(client: TestClient, record_id: str):
    desk = client.app.state.desk
    desk.filler.fill()
    with desk.store.database.begin() as connection:
        connection.execute(text("INSERT INTO retention_pass VALUES ('p')"))
        connection.execute(text("DELETE FROM records"))
        connection.execute(text("DELETE FROM retention_pass"))
    client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    answer = client.get("/review/items")
    assert (answer.status_code, answer.json()["items"], answer.json()["open"]) == (200, [], 0)


def test_a_copy_of_a_brand_original_is_shown_beside_it_and_compared(client: TestClient):
    admin, review = auth(client, "admin"), auth(client, "review")
    client.put("/v1/banks/acme", json={"kind": "brand_original", "brand": "Acme <b>"}, headers=admin)
    client.post("/v1/banks/acme/entries", files={"picture": ("a.png", png())}, headers=review)
    copy = encoded(Image.fromarray(recoloured(waves(120, 160, 1))), "PNG")
    client.post("/v1/screen", files={"picture": ("c.png", copy)}, data={"seller_id": "thief"}, headers=review)
    client.app.state.desk.banks.refresh()
    client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    (item,) = client.get("/review/items").json()["items"]
    assert "Altered copy of an original of Acme &lt;b&gt;" in item["html"]
    assert "colour distance" in item["html"]
    assert "material mismatch 0.12" in item["html"]
    shown = client.get(f"/review/items/{item['id']}/original.jpg")
    assert (shown.status_code, shown.content[:3]) == (200, b"\xff\xd8\xff")
    sides = [client.get(f"/review/items/{item['id']}/unlike/{side}.jpg") for side in ("picture", "reference")]
    assert [side.content[:3] for side in sides] == [b"\xff\xd8\xff"] * 2
    assert sides[0].content != sides[1].content


def test_the_page_says_in_words_what_differs_from_the_sellers_photos(client: TestClient, record_id: str):
    client.app.state.desk.comparer().score = 0.7
    client.app.state.desk.filler.fill()
    assert appeal(client, record_id).status_code == 201
    client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    (item,) = client.get("/review/items").json()["items"]
    assert "differs" in item["html"]
    assert "the colour" in item["html"]
    assert "0/2 photos agree" in item["html"]
    assert f"/review/items/{item['id']}/unlike/reference.jpg" in item["html"]


def test_an_item_without_references_has_no_sides_to_show(client: TestClient, record_id: str):
    client.app.state.desk.filler.fill()
    client.post("/review/sign-in", data={"key": client.headers["x-review"]})
    (item,) = client.get("/review/items").json()["items"]
    assert "unlike/" not in item["html"]
    missing = client.get(f"/review/items/{item['id']}/unlike/picture.jpg")
    assert missing.status_code == 404
    assert "neither photos" in missing.json()["detail"]


def test_what_no_bank_can_mean_is_refused_by_name(client: TestClient) -> None:
    admin = auth(client, "admin")
    half = client.put("/v1/banks/acme", json={"kind": "allowed", "enabled_ratio": False}, headers=admin)
    assert half.status_code == 400
    assert "enabled_ratio" in half.json()["detail"]
    assert client.delete(f"/v1/banks/entries/{2**70}", headers=admin).status_code == 400


def test_a_wrong_method_is_answered_with_every_right_one(client: TestClient) -> None:
    assert client.options("/v1/appeals").headers["Allow"] == "GET, POST"
    assert client.options("/v1/banks/lookup").headers["Allow"] == "POST"
