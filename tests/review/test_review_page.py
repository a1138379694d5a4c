"""The review page in a real browser: one Chromium, one server, a queue of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import pytest
from browsing import needs_browser, new_context, seriously_wrong, shoot, until
from fakes import WarmDetector, tiny_model
from pictures import waves
from review_fixtures import record
from served import listening

from zhentu.bootstrap.screener import limits_of
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.gate.app import create_app
from zhentu.intake.decode import decode
from zhentu.record.keys import KeyStore
from zhentu.record.store import RecordStore
from zhentu.review.appeals import Appeal
from zhentu.review.items import ReviewOutcome
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import (
    Action,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    Role,
    Trust,
)

pytestmark = needs_browser
XSS = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>\'"--></title>{{7*7}}'


@dataclass
class Site:
    """A running gate with keys."""

    url: str
    app: object
    folder: Path
    token: str

    @property
    def desk(self):
        return self.app.state.desk

    def queue(self, count: int, seller: str, alike: bool = False, **changes: object) -> list[str]:
        """Put pictures of one seller on disk and into the queue; their record ids."""
        records = []
        for number in range(count):
            name = f"{seller}-{number}.png"
            seed = sum(map(ord, seller)) + (0 if alike else number)
            cv2.imwrite(str(self.folder / name), waves(200, 260, seed) ^ (number % 2))
            payload = (self.folder / name).read_bytes()
            sha256 = decode(payload, limits_of(Settings())).sha256
            made = record(number, 0.7, seller=seller, sha256=sha256, path=name, cutout_artifact=0.96, forged=0.9)
            records.append(replace(made, **changes))
        RecordStore(self.desk.store.database).append_many(records)
        self.desk.filler.fill()
        return [each.record_id for each in records]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "pictures").mkdir()
    entry = tiny_model(folder / "models")
    values = {
        "data_dir": folder,
        "models.dir": folder / "models",
        "review.pictures": [folder / "pictures"],
        "review.second_ratio": 0,
        "gate.on_error": "block",
        "gate.deadline_s": 120.0,
        "workers": 1,
    }
    settings = Settings().changed(values)
    screener = Screener(WarmDetector(entry, 0.9), load_policy(default_policy_path()), limits_of(settings))
    app = create_app(settings, lambda _: screener)
    with listening(app) as port:
        _, token = KeyStore(app.state.desk.store.database).create(f"anna {XSS}", Role.REVIEW)
        yield Site(f"http://127.0.0.1:{port}", app, folder / "pictures", token)


@pytest.fixture(scope="module")
def signed_in(site: Site, browser) -> dict[str, object]:
    page = new_context(browser).new_page()
    page.goto(f"{site.url}/review")
    assert page.url.endswith("/review/sign-in")
    page.fill("#key", "zt_wrong_key")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    page.fill("#key", site.token)
    page.keyboard.press("Enter")
    page.wait_for_selector("#desk")
    state = page.context.storage_state()
    page.context.close()
    return state


@pytest.fixture
def page(browser, signed_in: dict[str, object]) -> Iterator[object]:
    """A signed-in page of its own; the test fails when its console shows an error."""
    context = new_context(browser, storage_state=signed_in, viewport={"width": 1360, "height": 860}, locale="en-GB")
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda message: troubles.append(message.text) if is_trouble(message) else None)
    yield opened
    context.close()
    assert troubles == []


def is_trouble(message) -> bool:
    """A picture whose bytes are gone is a 404, which the browser notes and the page says in words."""
    gone = "404" in message.text and "/preview.jpg" in message.location["url"]
    return message.type == "error" and not gone


def current(page) -> str:
    return page.get_attribute("article.item", "data-id") or ""


def press(page, key: str) -> None:
    """A key that ends an item: wait until another one, or none, stands on the desk."""
    before = current(page)
    page.keyboard.press(key)
    until(
        page,
        "id => { const item = document.querySelector('article.item'); return !item || item.dataset.id !== id; }",
        before,
    )
    until(page, "document.getElementById('desk').getAttribute('aria-busy') === 'false'")


def test_a_reviewer_clears_twenty_items_by_keyboard_alone(site: Site, page) -> None:
    ids = site.queue(21, "twenty")
    page.goto(f"{site.url}/review?seller=twenty")
    page.wait_for_selector("article.item")
    page.keyboard.press("h")
    until(page, "document.querySelector('.heat').naturalWidth > 0")
    shoot(page, "review-en")
    page.keyboard.press("h")
    assert page.is_hidden(".heat")
    keys = ["u", "o", "w", "4", "3"] * 4
    for key in keys[:10]:
        press(page, key)
    until(page, "document.getElementById('open-count').textContent === '11'")
    page.keyboard.press("z")
    until(page, "document.getElementById('status').textContent === 'Taken back'")
    until(page, "document.getElementById('desk').getAttribute('aria-busy') === 'false'")
    for key in keys[9:]:
        press(page, key)
    press(page, "s")
    page.wait_for_selector(".empty h1")
    outcomes = [each.outcome for record_id in ids for each in site.desk.queue.decisions_for(record_id)]
    assert len(outcomes) == 20
    assert {outcome: outcomes.count(outcome) for outcome in ReviewOutcome} == {
        ReviewOutcome.UPHOLD: 12,
        ReviewOutcome.OVERTURN: 4,
        ReviewOutcome.WRONG_PICTURE: 4,
    }


def test_a_near_duplicate_group_is_decided_with_two_keys_in_chinese(site: Site, page) -> None:
    ids = site.queue(5, "alike", alike=True)
    page.goto(f"{site.url}/review?seller=alike")
    page.wait_for_selector("article.item")
    page.keyboard.press("l")
    page.wait_for_selector("html[lang=zh-CN] article.item")
    assert page.inner_text(".item h1") == "抠图贴图失真"
    assert page.locator(".thumbs img").count() == 4
    shoot(page, "review-zh")
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.keyboard.type("实拍图一致 uoz")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    until(page, "document.getElementById('status').textContent.startsWith('5 ')")
    decisions = [site.desk.queue.decisions_for(record_id)[0] for record_id in ids]
    assert {each.outcome for each in decisions} == {ReviewOutcome.OVERTURN}
    assert {each.note for each in decisions} == {"实拍图一致 uoz"}


def appealed(site: Site, seller: str, reason: str) -> Appeal:
    (record_id,) = site.queue(1, seller)
    _, photo = cv2.imencode(".png", waves(220, 280, 77))
    return site.desk.appeals.open(record_id, reason, [photo.tobytes()])


def test_an_appeal_shows_the_reference_side_by_side_with_a_swipe(site: Site, page) -> None:
    appealed(site, "swiper", "This is my own photo. 这是我的实拍图。")
    page.goto(f"{site.url}/review?seller=swiper&kind=appeal")
    page.wait_for_selector("article.item")
    page.keyboard.press("r")
    until(page, "document.querySelector('.reference').naturalWidth > 0")
    page.keyboard.press("ArrowRight")
    clipped = page.evaluate("document.querySelector('.reference').style.clipPath")
    assert clipped == "inset(0px 0px 0px 51%)"
    shoot(page, "review-appeal")
    assert seriously_wrong(page) == []
    press(page, "o")
    (appeal,) = (each for each in site.desk.appeals.list() if each.seller_id == "swiper")
    assert appeal.state == "overturned"


def test_an_appeal_is_decided_from_the_list_by_whoever_may(site: Site, page) -> None:
    (record_id,) = site.queue(1, "lister")
    site.desk.appeals.open(record_id, "It is my own photo.", seller_id="lister")
    page.goto(f"{site.url}/review/appeals")
    row = page.locator("tr", has_text="lister")
    until(page, "Array.from(document.querySelectorAll('td img')).at(-1).naturalWidth > 0")
    row.locator("a.button").click()
    page.wait_for_selector("article.item .appeal blockquote")
    assert page.inner_text(".appeal blockquote") == "It is my own photo."
    assert "Any of the five" in page.locator(".bar.unjudged").last.inner_text()
    press(page, "u")
    page.goto(f"{site.url}/review/appeals")
    assert page.locator("tr", has_text="lister").locator("a.button").count() == 0
    (again,) = site.queue(1, "decider")
    page.goto(f"{site.url}/review?seller=decider")
    page.wait_for_selector("article.item")
    press(page, "u")
    site.desk.appeals.open(again, "Look once more.", seller_id="decider")
    page.goto(f"{site.url}/review/appeals")
    assert "another reviewer takes the appeal" in page.locator("tr", has_text="decider").inner_text()


def test_what_sellers_and_reviewers_write_is_text_and_nothing_else(site: Site, page) -> None:
    reason = Reason(ReasonKind.SCORE, "score_cutout_artifact", Action.REVIEW, XSS, XSS)
    made = record(1, seller=XSS, goods=XSS, path=f"{XSS}.png", sha256="e" * 64)
    hostile = replace(
        made,
        listing=replace(made.listing, listing_id=XSS, title=XSS, declared_attributes={XSS: XSS}),
        evidence=(Evidence(EvidenceKind.PROVENANCE, "png_text", XSS, Trust.FORGEABLE, XSS),),
        decision=replace(made.decision, reasons=(reason,)),
        picture_format="PNG",
    )
    site.desk.store.append(hostile)
    site.desk.filler.fill()
    queue = site.desk.queue
    (item,) = [each for each in queue.claim("bob", count=20) if each.record_id == hostile.record_id]
    queue.decide(item.item_id, "bob", ReviewOutcome.UPHOLD, note=XSS)
    site.desk.appeals.open(hostile.record_id, XSS)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(f"{site.url}/review?kind=appeal")
    page.wait_for_selector("article.item")
    for summary in page.locator("details:not([open]) summary").all():
        summary.click()
    page.wait_for_timeout(300)
    assert page.inner_text(".appeal blockquote") == XSS
    assert page.inner_text("body").count("window.stolen=1") >= 2 * 10  # every field, each with both payloads
    press(page, "u")
    for place in ("appeals", "dashboard"):
        page.goto(f"{site.url}/review/{place}")
        assert "window.stolen=1" in page.inner_text("body")
    assert page.evaluate("window.stolen") is None
    assert dialogs == []


def test_pages_have_no_serious_accessibility_finding_on_large_and_small_screens(site: Site, page) -> None:
    site.queue(2, "axe")
    page.goto(f"{site.url}/review?seller=axe")
    page.wait_for_selector("article.item")
    assert seriously_wrong(page) == []
    page.keyboard.press("b")
    assert page.get_attribute("#blur", "aria-pressed") == "true"
    page.keyboard.press("?")
    assert page.is_visible("#help")
    shoot(page, "review-help")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seriously_wrong(page) == []
    shoot(page, "review-small")
    page.set_viewport_size({"width": 1200, "height": 900})
    for place in ("appeals", "dashboard"):
        page.goto(f"{site.url}/review/{place}")
        assert seriously_wrong(page) == []
        shoot(page, place)


def test_an_empty_desk_says_what_to_do_next_and_a_full_one_why(site: Site, page) -> None:
    site.queue(1, "why")
    page.goto(f"{site.url}/review?seller=nobody")
    page.wait_for_selector(".empty .next")
    assert "Clear the filters to go on." in page.inner_text(".empty .next")
    page.keyboard.press("l")
    page.wait_for_selector("html[lang=zh-CN] .empty .next")
    assert "清除筛选即可继续" in page.inner_text(".empty .next")
    shoot(page, "review-empty-zh")
    page.keyboard.press("l")
    page.wait_for_selector("html[lang=en] .empty .next")
    page.click(".empty a[href='/review']")
    page.wait_for_selector("article.item .why")
    assert "The policy asks for a person's look" in page.inner_text(".why")


def test_keys_work_under_a_chinese_input_method_and_help_is_in_chinese(site: Site, page) -> None:
    site.queue(1, "ime")
    page.goto(f"{site.url}/review?seller=ime")
    page.wait_for_selector("article.item")
    typed = "code => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'Process', code, bubbles: true}))"
    page.evaluate(typed, "KeyL")
    page.wait_for_selector("html[lang=zh-CN] article.item")
    page.evaluate(typed, "Slash")
    assert "维持：怀疑成立" in page.inner_text("#help")
    assert "对整组近似图片生效" in page.inner_text("#help")
    shoot(page, "review-help-zh")
    page.keyboard.press("Escape")


def test_a_picture_that_is_gone_is_said_to_be(site: Site, page) -> None:
    gone = record(1, seller="gone", sha256="f" * 64)
    site.desk.store.append(gone)
    site.desk.filler.fill()
    page.goto(f"{site.url}/review?seller=gone")
    page.wait_for_selector(".gone:not([hidden])")
    assert "not kept here" in page.inner_text(".gone")
