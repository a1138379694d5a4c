"""Two tenants and the house: every route of the application, asked for a tenant's row by everybody who may not see it.

The table below has a row for every route; a route without one fails. Each row and column is a test.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from conftest import encoded, photo
from fakes import FakeComparer, FakeDetector, tiny_model
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import select
from starlette.routing import Route

from zhentu.bootstrap.screener import limits_of
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.gate.app import create_app
from zhentu.gate.routes import ROUTERS
from zhentu.record.job_store import JobStore
from zhentu.record.keys import KeyStore
from zhentu.review.items import Filters, ReviewOutcome
from zhentu.review.schema import review_items
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import CATEGORIES, Heatmap, OnError, Picture, Role, Verdict

OWN, OTHER, CLERK, HOUSE = "own", "other", "clerk", "house"
KEYS = {OWN: ("shop-a", Role.SCREEN), OTHER: ("shop-b", Role.SCREEN), CLERK: ("default", Role.SCREEN)}
REASON = {"reason": "these are real photos"}


class WarmDetector(FakeDetector):
    """Has heatmaps, and scores that are found again."""

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        maps = tuple(Heatmap(np.eye(4, dtype=np.float32), each) for each in CATEGORIES) if with_heatmaps else ()
        return replace(super().detect(picture), heatmaps=maps, model=self.entry.ref)


class World:
    """A gate with keys of two tenants and of the house, and a reviewer who is signed in."""

    def __init__(self, client: TestClient, settings: Settings) -> None:
        self.client, self.settings, self._numbers = client, settings, itertools.count(1)
        keys = KeyStore(client.app.state.gate.store.database)
        self.tokens = {who: keys.create(who, role, 0, tenant=tenant)[1] for who, (tenant, role) in KEYS.items()}
        self.tokens[HOUSE] = keys.create("house", Role.ADMIN, 0)[1]
        self.desk = client.app.state.desk
        self._cookie = self.desk.sessions.sign_in(self.tokens[HOUSE])
        self._csrf = self.desk.sessions.find(self._cookie).csrf

    def picture(self) -> tuple[str, bytes, str]:
        """A picture that nobody has sent before."""
        return ("a.png", encoded(photo((64, 64), seed=next(self._numbers)), "PNG"), "image/png")

    def ask(self, who: str, method: str, path: str, **options: Any) -> Response:
        """Ask as somebody. A reviewer's cookie is the house's alone: nobody else can have one."""
        self.client.cookies.clear()
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        if who == HOUSE:
            self.client.cookies.set("zhentu_review", self._cookie)
            headers["X-CSRF-Token"] = self._csrf
        return self.client.request(method, path, headers=headers, follow_redirects=False, **options)

    def record(self) -> str:
        """A record of the first tenant, of a picture that is kept and goes to review."""
        answer = self.ask(OWN, "POST", "/v1/screen", files={"picture": self.picture()}, data={"seller_id": "S-7"})
        assert answer.json()["action"] == "review"
        return str(answer.json()["record_id"])

    def appeal(self) -> str:
        photos = [("references", self.picture())]
        about = REASON | {"record_id": self.record()}
        return str(self.ask(OWN, "POST", "/v1/appeals", data=about, files=photos).json()["appeal_id"])

    def job(self) -> str:
        return str(self.ask(OWN, "POST", "/v1/jobs", files={"picture": self.picture()}).json()["job_id"])

    def item(self) -> str:
        """A review item of the first tenant: an appeal with a photo."""
        return str(self.desk.appeals.get(self.appeal()).item_id)

    def leased(self) -> str:
        """The same, leased to the reviewer."""
        item_id = self.item()
        group = self.desk.queue.item(item_id).group_id
        claimed = self.desk.queue.claim("house", Filters(group_id=group), 1)
        assert [each.item_id for each in claimed] == [item_id]
        return item_id

    def decided(self) -> None:
        self.desk.queue.decide(self.leased(), "house", ReviewOutcome.UPHOLD)

    def bank(self) -> str:
        name = f"bank-{next(self._numbers)}"
        made = self.ask(
            HOUSE, "PUT", f"/v1/banks/{name}", json={"kind": "brand_original", "brand": "Acme", "owners": ["S-7"]}
        )
        assert made.status_code == 200
        return name

    def entry(self, name: str = "") -> int:
        path = f"/v1/banks/{name or self.bank()}/entries"
        return int(self.ask(HOUSE, "POST", path, files={"picture": self.picture()}).json()["entry_ids"][0])


@dataclass(frozen=True)
class Row:
    """What a route answers. ask: the request, for a row of the first tenant where the route is about a row.

    own: to the key of that tenant.  other: to another tenant's, and to the house's own clerk.  house: to who reviews
    or administers.
    """

    own: int
    other: int
    house: int
    ask: Callable[[World], dict[str, Any]] = lambda world: {}


def picture(world: World) -> dict[str, Any]:
    return {"files": {"picture": world.picture()}}


def at(**makers: Callable[[World], object]) -> Callable[[World], dict[str, Any]]:
    """A request for a path whose fields are made anew."""
    return lambda world: {"fields": {name: make(world) for name, make in makers.items()}}


def both(*asked: Callable[[World], dict[str, Any]]) -> Callable[[World], dict[str, Any]]:
    return lambda world: {name: value for each in asked for name, value in each(world).items()}


def about_item(make: Callable[[World], str] = World.item, **fields: str) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"fields": {"item_id": make(world)} | fields}


def photo_of(world: World) -> dict[str, Any]:
    item_id = world.item()
    return {"fields": {"item_id": item_id, "sha256": world.desk.appeals.for_item(item_id).references[0]}}


def branded(world: World) -> dict[str, Any]:
    """An item whose picture is a copy of a brand's original."""
    name, sent = world.bank(), world.picture()
    assert world.ask(HOUSE, "POST", f"/v1/banks/{name}/entries", files={"picture": sent}).status_code == 200
    answer = world.ask(OWN, "POST", "/v1/screen", files={"picture": sent}, data={"seller_id": "thief"})
    world.desk.banks.refresh()  # what was seen is kept, so that the copy is found again
    world.desk.filler.fill()
    record_id = answer.json()["record_id"]
    items = world.desk.queue.claim("house", count=20)
    return {"fields": {"item_id": next(each.item_id for each in items if each.record_id == record_id)}}


def verdict(world: World) -> dict[str, Any]:
    return {"json": {"outcome": "uphold"}}


OF_A_ROW = (200, 404, 200)
OF_THE_HOUSE = (403, 403, 200)
PAGE = (401, 401, 200)  # nobody but who reviews or administers can sign in
ANYBODY = (200, 200, 200)
OPEN_MODE = (404, 404, 404)  # the front page is there in open mode only

TABLE: dict[tuple[str, str], Row] = {
    ("POST", "/v1/screen"): Row(*ANYBODY, picture),
    ("POST", "/v1/screen/batch"): Row(*ANYBODY, picture),
    ("POST", "/v1/jobs"): Row(202, 202, 202, picture),
    ("GET", "/v1/jobs/{job_id}"): Row(*OF_A_ROW, at(job_id=World.job)),
    ("GET", "/v1/records/{record_id}"): Row(*OF_A_ROW, at(record_id=World.record)),
    ("GET", "/v1/records/{record_id}/heatmap.png"): Row(*OF_A_ROW, at(record_id=World.record)),
    ("GET", "/v1/records/{record_id}/labelled"): Row(*OF_A_ROW, at(record_id=World.record)),
    ("GET", "/v1/records/{record_id}/notice"): Row(*OF_A_ROW, at(record_id=World.record)),
    ("GET", "/v1/records/{record_id}/statement"): Row(*OF_A_ROW, at(record_id=World.record)),
    ("POST", "/v1/labels/verify"): Row(*ANYBODY, picture),
    # With another picture than the record's: who may see the record is told so, who may not is told there is none.
    ("POST", "/v1/labels/apply"): Row(
        400, 404, 400, both(picture, lambda world: {"data": {"record_id": world.record()}})
    ),
    ("POST", "/v1/appeals"): Row(201, 404, 201, lambda world: {"data": REASON | {"record_id": world.record()}}),
    ("GET", "/v1/appeals"): Row(*OF_THE_HOUSE),
    ("GET", "/v1/appeals/counts"): Row(*ANYBODY),
    ("GET", "/v1/appeals/{appeal_id}"): Row(*OF_A_ROW, at(appeal_id=World.appeal)),
    ("GET", "/v1/in-force"): Row(*OF_THE_HOUSE),
    ("POST", "/v1/policy/reload"): Row(*OF_THE_HOUSE),
    ("GET", "/v1/banks"): Row(*OF_THE_HOUSE),
    ("PUT", "/v1/banks/{name}"): Row(
        *OF_THE_HOUSE, both(at(name=World.bank), lambda _: {"json": {"kind": "brand_original", "brand": "Acme"}})
    ),
    ("POST", "/v1/banks/{name}/entries"): Row(*OF_THE_HOUSE, both(at(name=World.bank), picture)),
    ("POST", "/v1/banks/{name}/import"): Row(
        *OF_THE_HOUSE, both(at(name=World.bank), lambda _: {"files": {"file": b"signal_type,signal_str\n"}})
    ),
    ("GET", "/v1/banks/{name}/export"): Row(*OF_THE_HOUSE, at(name=World.bank)),
    ("DELETE", "/v1/banks/entries/{entry_id}"): Row(403, 403, 204, at(entry_id=World.entry)),
    ("POST", "/v1/banks/lookup"): Row(*OF_THE_HOUSE, picture),
    ("POST", "/v1/banks/{name}/dry-run"): Row(*OF_THE_HOUSE, both(at(name=World.bank), picture)),
    ("GET", "/livez"): Row(*ANYBODY),
    ("GET", "/readyz"): Row(*ANYBODY),
    ("GET", "/metrics"): Row(*ANYBODY),
    ("GET", "/docs"): Row(*ANYBODY),
    ("GET", "/openapi.json"): Row(*ANYBODY),
    ("GET", "/review"): Row(303, 303, 200),
    ("GET", "/review/sign-in"): Row(*ANYBODY),
    ("POST", "/review/sign-in"): Row(403, 403, 303),  # with the key of who asks; see `asked`
    ("POST", "/review/sign-out"): Row(401, 401, 303),
    ("GET", "/review/language/{language}"): Row(303, 303, 303, lambda _: {"fields": {"language": "en"}}),
    ("GET", "/review/items"): Row(*PAGE),
    ("POST", "/review/items/{item_id}/decide"): Row(*PAGE, both(about_item(World.leased), verdict)),
    ("POST", "/review/items/{item_id}/skip"): Row(*PAGE, about_item(World.leased)),
    ("POST", "/review/undo"): Row(*PAGE, lambda world: {"fields": {"": world.decided()}}),
    ("POST", "/review/renew"): Row(*PAGE),
    ("GET", "/review/items/{item_id}/preview.jpg"): Row(*PAGE, about_item()),
    ("GET", "/review/items/{item_id}/heatmap.jpg"): Row(
        *PAGE, both(about_item(), lambda _: {"params": {"category": "cutout_artifact"}})
    ),
    ("GET", "/review/items/{item_id}/references/{sha256}.jpg"): Row(*PAGE, photo_of),
    ("GET", "/review/items/{item_id}/original.jpg"): Row(*PAGE, branded),
    ("GET", "/review/items/{item_id}/unlike/{side}.jpg"): Row(*PAGE, about_item(side="picture")),
    ("GET", "/review/items/{item_id}/statement.json"): Row(*PAGE, about_item()),
    ("GET", "/review/appeals"): Row(303, 303, 200),
    ("GET", "/review/dashboard"): Row(303, 303, 200),
    ("GET", "/review/static/{name}"): Row(*ANYBODY, lambda _: {"fields": {"name": "review.css"}}),
    ("GET", "/"): Row(303, 303, 303),
    ("POST", "/try"): Row(*OPEN_MODE, picture),
    ("POST", "/try/label"): Row(*OPEN_MODE, both(picture, lambda _: {"data": {"state": "1"}})),
    ("GET", "/try/samples/{name}"): Row(*OPEN_MODE, lambda _: {"fields": {"name": "cat.jpg"}}),
    ("GET", "/try/static/{name}"): Row(*ANYBODY, lambda _: {"fields": {"name": "front.css"}}),
}


def routes() -> set[tuple[str, str]]:
    """What the application answers: its routers' routes, and those that FastAPI adds."""
    app = create_app(Settings().changed({"gate.open": True, "gate.on_error": OnError.BLOCK}))
    found = [each for each in app.routes if isinstance(each, Route)]
    found += [each for router in ROUTERS for each in router.routes if isinstance(each, Route)]
    return {(method, each.path) for each in found for method in (each.methods or ()) if method != "HEAD"}


def test_every_route_of_the_application_stands_in_the_table() -> None:
    assert routes() == set(TABLE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tenants")
    entry = tiny_model(folder / "models")
    settings = Settings().changed(
        {
            "data_dir": folder,
            "models.dir": folder / "models",
            "store.url": f"sqlite:///{folder}/records.db",
            "store.spool_dir": folder / "spool",
            "store.pictures": str(folder / "kept"),
            "workers": 2,
            "gate.on_error": OnError.BLOCK,
            "gate.single_tenant": False,
            "gate.allowed_hosts": ("testserver",),
            "review.second_ratio": 0.0,
            "label.propagator": "platform",
        }
    )
    policy = load_policy(default_policy_path())
    line = Screener(WarmDetector(entry, 0.95), policy, limits_of(settings), comparer=FakeComparer(0.12, 0.9))
    with TestClient(create_app(settings, lambda _: line)) as client:
        yield World(client, settings)


def asked(world: World, who: str, method: str, path: str) -> Response:
    options = TABLE[method, path].ask(world)
    if (method, path) == ("POST", "/review/sign-in"):
        options = {"data": {"key": world.tokens[who]}}
    return world.ask(who, method, path.format(**options.pop("fields", {})), **options)


@pytest.mark.parametrize("who", [OWN, OTHER, CLERK, HOUSE])
@pytest.mark.parametrize(("method", "path"), sorted(TABLE))
def test_each_route_answers_each_caller_as_the_table_says(world: World, who: str, method: str, path: str) -> None:
    row = TABLE[method, path]
    expected = {OWN: row.own, OTHER: row.other, CLERK: row.other, HOUSE: row.house}[who]
    answer = asked(world, who, method, path)
    assert answer.status_code == expected, answer.text[:300]
    world._cookie = world.desk.sessions.sign_in(world.tokens[HOUSE])  # signing out is one of the routes
    world._csrf = world.desk.sessions.find(world._cookie).csrf


@pytest.mark.parametrize("path", [path for (_, path), row in sorted(TABLE.items()) if row.own != row.other == 404])
def test_somebody_elses_row_cannot_be_told_from_none(world: World, path: str) -> None:
    """The same words, the identifier apart, as for a row that never was."""
    method = next(method for method, each in TABLE if each == path)
    options = TABLE[method, path].ask(world)
    fields, form = options.pop("fields", {}), options.pop("data", None)
    (name, value), none = next(iter((fields or form).items())), "01234567-89ab-7def-8123-456789abcdef"
    if form and "record_id" in form:
        name, value = "record_id", form["record_id"]
    answers = []
    for each in (value, none):
        asked_for = path.format(**(fields | {name: each})) if fields else path
        data = {"data": form | {name: each}} if form else {}
        answers.append(world.ask(OTHER, method, asked_for, **options, **data))
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].text.replace(str(value), none) == answers[1].text


def test_identical_content_shares_scores_and_never_records(world: World) -> None:
    sent = {"picture": world.picture()}
    first, second, again = (world.ask(who, "POST", "/v1/screen", files=sent) for who in (OWN, OTHER, OTHER))
    assert first.json()["scores"] == second.json()["scores"]
    assert first.json()["record_id"] != second.json()["record_id"] == again.json()["record_id"]
    assert "idempotency-replayed" not in second.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json()["record_id"] not in second.text, "nothing says whose record the scores stand in"
    assert "the model was not run" in second.text


def test_nobody_says_of_himself_whose_he_is(world: World) -> None:
    answer = world.ask(OTHER, "POST", "/v1/screen", files={"picture": world.picture()}, data={"tenant": "shop-a"})
    assert (answer.status_code, "tenant" in answer.json()["detail"]) == (400, True)


def test_one_idempotency_key_of_two_tenants_is_two(world: World) -> None:
    made = []
    for who in (OWN, OTHER):
        made.append(
            world.client.post(
                "/v1/screen",
                files={"picture": world.picture()},
                headers={"Authorization": f"Bearer {world.tokens[who]}", "Idempotency-Key": "order-1"},
            )
        )
    assert [each.status_code for each in made] == [200, 200], "another content under it would be a conflict"


def test_kept_pictures_are_each_tenants_own(world: World) -> None:
    sent = {"picture": world.picture()}
    sha256 = {who: world.ask(who, "POST", "/v1/screen", files=sent).json()["sha256"] for who in (OWN, OTHER, CLERK)}
    pictures = world.client.app.state.gate.pictures
    pictures.remove([("shop-a", sha256[OWN])])
    assert not pictures._files.exists(pictures._path(sha256[OWN], "shop-a"))
    assert pictures.get(sha256[OTHER], "shop-b") == pictures.get(sha256[CLERK], "default") == sent["picture"][1]


def test_appeals_are_counted_for_the_tenant_alone(world: World) -> None:
    before = {who: world.ask(who, "GET", "/v1/appeals/counts").json()["open"] for who in (OWN, OTHER, HOUSE)}
    world.appeal()
    after = {who: world.ask(who, "GET", "/v1/appeals/counts").json()["open"] for who in (OWN, OTHER, HOUSE)}
    assert {who: after[who] - before[who] for who in after} == {OWN: 1, OTHER: 0, HOUSE: 1}


def test_jobs_messages_and_review_items_carry_their_tenant(world: World) -> None:
    assert JobStore(world.desk.store.database).status(world.job()).tenant == "shop-a"
    assert world.desk.queue.item(world.item()).tenant == "shop-a"
    record = world.desk.store.get(world.record())
    assert (record.tenant, record.listing.seller) == ("shop-a", "shop-a/S-7")
    assert world.desk.queue.seller("S-7", "shop-a").screened > 0
    assert world.desk.queue.seller("S-7", "default").screened == 0


def test_sellers_of_the_same_name_are_two(world: World) -> None:
    """The owner of a brand's originals is the house's S-7; shop-a's S-7 is somebody else."""
    sent = {"picture": world.picture()}
    world.ask(HOUSE, "POST", f"/v1/banks/{world.bank()}/entries", files=sent)
    found = {}
    for who in (OWN, CLERK):
        answer = world.ask(who, "POST", "/v1/screen", files=sent, data={"seller_id": "S-7"})
        found[who] = "bank_brand_original" in [each["name"] for each in answer.json()["evidence"]]
    assert found == {OWN: True, CLERK: False}


def test_near_duplicates_of_two_tenants_are_two_groups(world: World) -> None:
    sent = {"picture": world.picture()}
    made = [world.ask(who, "POST", "/v1/screen", files=sent).json()["record_id"] for who in (OWN, OTHER)]
    world.desk.filler.fill()
    query = select(review_items.c.group_id).where(review_items.c.record_id.in_(made)).distinct()
    with world.desk.store.database.begin() as connection:
        assert len(connection.execute(query).all()) == 2


def test_a_single_tenant_gate_refuses_keys_of_others(settings: Settings) -> None:
    with TestClient(create_app(settings.changed({"gate.open": False}))) as client:
        keys = KeyStore(client.app.state.gate.store.database)
        _, token = keys.create("shop-a", Role.SCREEN, tenant="shop-a")
        answer = client.get("/v1/records/r", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
