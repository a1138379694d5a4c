"""The front page of an open gate: without a browser what it answers, and in a real one what people do with it."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsing import needs_browser, new_context, seriously_wrong, shoot, until
from conftest import encoded, photo
from fakes import FakeComparer, WarmDetector, tiny_model
from fastapi.testclient import TestClient
from PIL import Image, PngImagePlugin
from served import listening

from zhentu.bootstrap.screener import limits_of
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.decide.words import Words
from zhentu.gate.app import create_app
from zhentu.gate.front.views import model_words
from zhentu.intake.decode import decode
from zhentu.samples import samples
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import CATEGORIES, Category, ModelRef

XSS = '<img src=x onerror="window.stolen=1">'


def ai_png() -> bytes:
    """A picture that says of itself that a generator made it."""
    said = PngImagePlugin.PngInfo()
    said.add_text("parameters", "a red mug\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 640x480")
    return encoded(photo((640, 480), 5), "PNG", pnginfo=said)


def animated_gif() -> bytes:
    frames = [photo((120, 90), seed) for seed in (1, 2, 3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80)


def make_app(folder: Path, is_open: bool = True):
    entry = tiny_model(folder / "models")
    values = {"data_dir": folder, "models.dir": folder / "models", "workers": 1, "gate.deadline_s": 120}
    settings = Settings().changed(values | {"gate.on_error": "block", "gate.open": is_open})
    screener = Screener(
        WarmDetector(entry, 0.2), load_policy(default_policy_path()), limits_of(settings), comparer=FakeComparer(0.93)
    )
    return create_app(settings, lambda _: screener)


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[TestClient]:
    app = make_app(tmp_path)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.get("/", params={"token": app.state.open_token})
        yield client


def tried(client: TestClient, payload: bytes, name: str = "a.jpg", **fields: str):
    return client.post("/try", files={"picture": (name, payload)}, data=fields)


def kept_in(app) -> int:
    return sum(app.state.gate.store.counts_by_action().values())


def test_the_answer_holds_both_languages_and_every_heatmap(visitor: TestClient, encode) -> None:
    answer = tried(visitor, encode(size=(1200, 800)), "cup & saucer.jpg", goods="kitchen").json()
    assert answer["action"] == "allow"
    assert "Nothing that needs action was found." in answer["html"]["en"]
    assert "未发现需要处理的问题。" in answer["html"]["zh"]
    assert set(answer["images"]) == {"picture", *(label.value for label in CATEGORIES)}
    for content in answer["images"].values():
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == (880, 587)
    assert "curl --form &#39;picture=@cup &amp; saucer.jpg&#39; --form goods=kitchen" in answer["html"]["en"]


def test_nothing_is_kept_of_what_the_page_checks(visitor: TestClient, encode) -> None:
    assert tried(visitor, encode()).status_code == 200
    assert kept_in(visitor.app) == 0


def test_the_page_decides_as_the_api_does(visitor: TestClient) -> None:
    page = tried(visitor, ai_png(), "ai.png").json()
    api = visitor.post("/v1/screen", files={"picture": ("ai.png", ai_png())}).json()
    assert (page["action"], page["state"]) == (api["action"], api["notice"]["state"])
    assert api["reasons"][0]["zh"] in page["html"]["zh"]
    assert api["notice"]["en"] in page["html"]["en"]


def test_what_the_file_says_of_itself_is_shown_with_its_trust(visitor: TestClient) -> None:
    html = tried(visitor, ai_png(), "ai.png").json()["html"]
    assert "forgeable: a trace anybody can write or remove" in html["en"]
    assert "可伪造" in html["zh"]
    assert "PNG" in html["en"]
    assert "生成工具写入的内容" in html["zh"]
    assert "PNG 文本 parameters" in html["zh"]
    assert "any of the five holds" in html["en"]
    assert "属于任意一类的概率为" in html["zh"]
    assert "any of the five holds" not in html["zh"]


def test_what_was_noted_of_a_picture_is_told_in_both_languages(visitor: TestClient) -> None:
    clear = Image.new("RGBA", (120, 90), (200, 30, 30, 128))
    html = tried(visitor, encoded(clear, "PNG"), "a.png").json()["html"]
    assert "alpha composed on white" in html["en"]
    assert "透明部分以白色填充" in html["zh"]
    assert "alpha composed" not in html["zh"]


def test_a_reference_is_compared(visitor: TestClient, encode) -> None:
    files = [("picture", ("a.jpg", encode(seed=1))), ("reference", ("real.jpg", encode(seed=2)))]
    answer = visitor.post("/try", files=files).json()
    assert answer["action"] == "review"
    assert "The goods look unlike the reference pictures (score 0.93" in answer["html"]["en"]
    assert "reference=@reference-1.jpg" in answer["html"]["en"]


@pytest.mark.parametrize(
    ("payload", "code", "en", "zh"),
    [
        (b"", "picture_empty", "The file is empty.", "文件为空。"),
        (b"hello", "unsupported_format", "not a picture zhentu reads", "不是 zhentu 支持的图片格式"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg_unsupported", "not a photograph", "SVG 矢量图"),
        (b"%PDF-1.7", "pdf_unsupported", "a document, not a picture", "PDF 文档"),
        (encoded(photo((300, 200)), "JPEG")[:900], "picture_truncated", "ends before the picture", "文件不完整"),
    ],
)
def test_a_broken_picture_is_named_in_both_languages(visitor: TestClient, payload, code, en, zh) -> None:
    answer = tried(visitor, payload)
    html = answer.json()["html"]
    assert answer.status_code >= 400
    assert code in html["en"]
    assert en in html["en"]
    assert zh in html["zh"]


def test_an_address_that_is_not_public_is_refused_in_words(visitor: TestClient) -> None:
    answer = visitor.post("/try", data={"url": "http://127.0.0.1:1/a.jpg"})
    assert answer.status_code == 422
    assert "zhentu 不访问该网址。" in answer.json()["html"]["zh"]


def test_behind_keys_there_is_no_front_page(tmp_path: Path, encode) -> None:
    with TestClient(make_app(tmp_path, is_open=False), base_url="http://127.0.0.1") as client:
        assert client.get("/", follow_redirects=False).headers["location"] == "/review"
        assert tried(client, encode()).status_code in (401, 404)
        assert client.get(f"/try/samples/{samples()[0].name}").status_code in (401, 404)


def test_without_the_token_nothing_is_shown_or_checked(tmp_path: Path, encode) -> None:
    with TestClient(make_app(tmp_path), base_url="http://127.0.0.1") as client:
        assert client.get("/", follow_redirects=False).headers["location"] == "/review/sign-in"
        assert client.get("/", params={"token": "guessed"}).status_code == 401
        assert tried(client, encode()).status_code == 401
        assert client.get(f"/try/samples/{samples()[0].name}").status_code == 401


def test_another_sites_page_may_not_use_it(visitor: TestClient, encode) -> None:
    answer = visitor.post("/try", files={"picture": encode()}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_only_samples_are_served(visitor: TestClient) -> None:
    assert visitor.get(f"/try/samples/{samples()[0].name}").headers["content-type"] == "image/jpeg"
    for name in ("ORIGIN.md", "__init__.py", "..%2f__init__.py", "nothing.jpg"):
        assert visitor.get(f"/try/samples/{name}").status_code == 404


def test_the_pages_policy_allows_nothing_unsafe_and_nothing_from_elsewhere(visitor: TestClient) -> None:
    policy = visitor.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy


# ---- in a browser


@dataclass
class Site:
    url: str
    app: object


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    app = make_app(tmp_path_factory.mktemp("front"))
    with listening(app) as port:
        yield Site(f"http://127.0.0.1:{port}", app)


@pytest.fixture
def page(browser, site: Site) -> Iterator[object]:
    """The front page; the test fails when its console shows an error that a broken picture does not explain."""
    context = new_context(browser, viewport={"width": 1360, "height": 900}, locale="en-GB", accept_downloads=True)
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda message: troubles.append(message.text) if is_trouble(message) else None)
    opened.goto(f"{site.url}/?token={site.app.state.open_token}")
    assert opened.url == f"{site.url}/"
    yield opened
    context.close()
    assert troubles == []


def is_trouble(message) -> bool:
    """The browser itself notes the 4xx of a picture that is broken; the page says it in words."""
    refused = "the server responded with a status of 4" in message.text and message.location["url"].endswith("/try")
    return message.type == "error" and not refused


def drop(page, *files: tuple[str, str, bytes]) -> None:
    """Drop files as a person does, through a DataTransfer."""
    given = [[name, kind, base64.b64encode(content).decode()] for name, kind, content in files]
    page.evaluate(
        """files => {
            const carried = new DataTransfer();
            for (const [name, type, content] of files)
                carried.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name, { type }));
            const target = document.getElementById('drop');
            for (const kind of ['dragenter', 'dragover', 'drop'])
                target.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
        }""",
        given,
    )


def settled(page) -> None:
    until(page, "document.getElementById('cards').getAttribute('aria-busy') === 'false'")


@needs_browser
def test_three_dropped_pictures_are_checked_one_broken_one_animated(page, encode) -> None:
    good, gif = ("cup.jpg", "image/jpeg", encode(size=(640, 480))), ("spin.gif", "image/gif", animated_gif())
    drop(page, good, ("broken.jpg", "image/jpeg", encode(size=(640, 480))[:2000]), gif)
    settled(page)
    assert page.inner_text("#count") == "3 / 3"
    assert page.get_attribute("#progress", "value") == "3"
    cards = page.locator(".tried")
    assert cards.count() == 3
    assert "ends before the picture does" in cards.nth(1).inner_text()
    assert "broken.jpg" in cards.nth(1).inner_text()
    assert "of 3, the worst of 3 frames looked at" in cards.nth(2).inner_text()
    until(page, "[...document.querySelectorAll('.shown')].every(each => each.naturalWidth > 0)")


@needs_browser
def test_the_language_is_switched_and_what_was_checked_stays(page, encode) -> None:
    page.fill("#url", "https://shop.example/a")
    drop(page, ("cup.jpg", "image/jpeg", encode()))
    settled(page)
    page.focus("article.tried")
    page.keyboard.press("l")
    page.wait_for_selector("html[lang=zh-CN] article.tried")
    assert page.inner_text("h1") == "这张商品图真实吗？"
    assert "未发现需要处理的问题。" in page.inner_text(".tried")
    assert page.input_value("#url") == "https://shop.example/a"
    assert page.inner_text("#count") == "1 / 1"
    page.reload()
    assert page.get_attribute("html", "lang") == "zh-CN"


@needs_browser
def test_the_heatmap_is_laid_over_the_picture_and_taken_off(page, encode) -> None:
    drop(page, ("cup.jpg", "image/jpeg", encode(size=(640, 480))))
    settled(page)
    assert page.is_hidden(".heat")
    page.keyboard.press("h")
    until(page, "document.querySelector('.heat').naturalWidth > 0")
    assert page.is_visible(".heat")
    assert page.get_attribute("[data-do=heatmap]", "aria-pressed") == "true"
    first = page.get_attribute(".heat", "src")
    page.select_option(".heat-of", Category.SCENE_DISTORTION.value)
    assert page.get_attribute(".heat", "src") != first
    page.click("[data-do=heatmap]")
    assert page.is_hidden(".heat")


@needs_browser
def test_a_reference_is_added_compared_and_removed(page, encode) -> None:
    page.click("#options summary")
    page.set_input_files(
        "#references", files=[{"name": "real.jpg", "mimeType": "image/jpeg", "buffer": encode(seed=3)}]
    )
    page.fill("#goods", "kitchen")
    page.set_input_files("#pictures", files=[{"name": "cup.jpg", "mimeType": "image/jpeg", "buffer": encode(seed=1)}])
    settled(page)
    assert "The goods look unlike the reference pictures" in page.inner_text(".tried")
    page.click(".tried .curl summary")
    assert "--form goods=kitchen --form reference=@reference-1.jpg" in page.inner_text(".tried pre")
    page.click("#reference-list button")
    assert page.locator("#reference-list li").count() == 0


@needs_browser
def test_the_labelled_picture_is_downloaded_and_a_record_kept_when_asked(site: Site, page) -> None:
    drop(page, ("mug.png", "image/png", ai_png()))
    settled(page)
    before = kept_in(site.app)
    assert "Suspected AI-generated" in page.inner_text(".tried .notice")
    with page.expect_download() as waiting:
        page.click("[data-do=download]")
    got = Path(waiting.value.path()).read_bytes()
    assert waiting.value.suggested_filename == "labelled-mug.png"
    assert b"TC260" in got
    assert decode(got).width == 640
    assert kept_in(site.app) == before
    page.click("[data-do=keep]")
    page.wait_for_selector(".kept:not([hidden])")
    assert kept_in(site.app) == before + 1


@needs_browser
def test_samples_are_clicked_by_keyboard(page) -> None:
    page.focus(".samples button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tried .reasons")
    settled(page)
    assert page.locator(".tried .truth").count() == 1


@needs_browser
def test_a_pasted_picture_is_checked(page, encode) -> None:
    page.evaluate(
        """content => {
            const carried = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
            carried.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
            document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: carried, bubbles: true }));
        }""",
        base64.b64encode(encode("PNG")).decode(),
    )
    settled(page)
    assert page.locator(".tried .reasons").count() == 1


@needs_browser
def test_names_from_files_are_never_markup(page, encode) -> None:
    drop(page, (XSS, "image/jpeg", encode()), (XSS, "image/jpeg", b"nothing"))
    settled(page)
    assert page.locator(".tried").count() == 2
    assert page.evaluate("window.stolen") is None
    assert page.inner_text(".tried.untried .name") == XSS


@needs_browser
def test_no_serious_accessibility_finding_on_large_and_small_screens(page, encode) -> None:
    drop(page, ("mug.png", "image/png", ai_png()), ("broken.jpg", "image/jpeg", b"nothing"))
    settled(page)
    page.click(".tried .curl summary")
    assert seriously_wrong(page) == []
    shoot(page, "front-en", full=True)
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seriously_wrong(page) == []
    shoot(page, "front-small", full=True)


def test_the_page_can_be_imported_first() -> None:
    subprocess.run([sys.executable, "-c", "import zhentu.gate.front.pages"], check=True)


@pytest.mark.parametrize(
    ("name", "en", "zh"),
    [("zhentu", "zhentu 0.4.0", "zhentu 0.4.0"), ("zhentu-int8", "zhentu 0.4.0, 8-bit", "zhentu 0.4.0，8 位")],
)
def test_visitors_read_the_models_name_in_words(name: str, en: str, zh: str) -> None:
    assert model_words(ModelRef(name, "0.4.0", "0" * 64)) == Words(en, zh)
