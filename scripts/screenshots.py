"""Take the README's pictures of the pages: the real pages with the shipped model and samples, in a headless Chromium.

    python scripts/screenshots.py [OUT]        # default docs; needs the [dev] extra, and Chromium on the PATH

The front page is shown in open mode with one sample checked, the review page to a reviewer who is signed in with a key,
and the report is that of `zhentu demo`. Front and review page are taken in English and in Chinese.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from loadgen import ROOT, environment, free_port, gate_command, started
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from zhentu.detect.models import samples_folder
from zhentu.record.database import Database
from zhentu.record.keys import KeyStore
from zhentu.types import Role

SHOWN = "forged_cutout_artifact_mug.jpg"  # on the front page
IN_REVIEW = ("forged_cutout_artifact_mug.jpg", "forged_material_mismatch.jpg")
_PATIENCE_MS = 120_000


@contextmanager
def opened(browser: Browser, width: int, height: int, scale: float = 1.0) -> Iterator[Page]:
    """An English page of its own with this viewport. scale: picture pixels per pixel of the page."""
    viewport = {"width": width, "height": height}
    context = browser.new_context(viewport=viewport, locale="en-GB", device_scale_factor=scale)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    yield page
    context.close()


def until(page: Page, condition: str) -> None:
    """Poll from outside: Playwright's own waiting needs eval, which the pages' content security policy forbids."""
    end = time.monotonic() + _PATIENCE_MS / 1000
    while not page.evaluate(condition):
        if time.monotonic() > end:
            sys.exit(f"{page.url}: never came true: {condition}")
        page.wait_for_timeout(50)


def with_heatmap(page: Page) -> None:
    """Press H and wait until the heatmap is drawn."""
    page.keyboard.press("h")
    until(page, "document.querySelector('.heat')?.naturalWidth > 0")


def shoot(page: Page, path: Path, full: bool = False) -> None:
    """A picture in 256 colours, with nothing focused or hovered over."""
    page.evaluate("document.activeElement?.blur()")
    page.mouse.move(0, 0)
    page.screenshot(path=str(path), full_page=full)
    with Image.open(path) as taken:
        rgb = taken.convert("RGB")
    palette = rgb.quantize(256, Image.Quantize.MAXCOVERAGE)
    rgb.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def front_page(browser: Browser, folder: Path, out: Path) -> None:
    """The front page after one sample, with its heatmap, whole."""
    port, log = free_port(), folder / "front.log"
    with started(gate_command(port), port, environment(folder), log=log), opened(browser, 1360, 900, 0.75) as page:
        page.goto(f"http://127.0.0.1:{port}/?token={token_in(log)}")
        for language, key in (("front", ""), ("front.zh", "l")):
            if key:
                page.keyboard.press(key)
                page.wait_for_selector("html[lang=zh-CN]")
            else:
                page.click(f".samples button:has(img[src*='{SHOWN}'])")
                page.wait_for_selector(".tried .reasons")
                until(page, "document.getElementById('cards').getAttribute('aria-busy') === 'false'")
                with_heatmap(page)
            page.evaluate("window.scrollTo(0, 0)")
            shoot(page, out / f"{language}.png", full=True)


def token_in(log: Path) -> str:
    """The token of the address that an open gate prints when it has started."""
    end = time.monotonic() + _PATIENCE_MS / 1000
    while "?token=" not in (text := log.read_text(encoding="utf-8")):
        if time.monotonic() > end:
            sys.exit(f"the gate printed no address: {text[-500:]}")
        time.sleep(0.1)
    return text.partition("?token=")[2].split()[0]


def review_page(browser: Browser, folder: Path, out: Path) -> None:
    """The desk with the gravest of a few screened samples, its heatmap shown."""
    port, url = free_port(), f"sqlite:///{folder}/records.db"
    database = Database(url)
    seller, reviewer = (KeyStore(database).create(*each)[1] for each in (("shop", Role.SCREEN), ("anna", Role.REVIEW)))
    database.close()
    env = environment(folder, store_url=url, store_pictures=folder / "pictures", review_second_ratio=0)
    command = [each for each in gate_command(port) if each != "--open"]
    address = f"http://127.0.0.1:{port}"
    with started(command, port, env, log=folder / "review.log"), opened(browser, 1360, 860) as page:
        with httpx.Client(base_url=address, headers={"X-API-Key": seller}, timeout=120) as client:
            for name in IN_REVIEW:
                files = {"picture": (name, (samples_folder() / name).read_bytes(), "image/jpeg")}
                client.post("/v1/screen", files=files, data={"listing_id": name, "goods": "home"}).raise_for_status()
        page.goto(f"{address}/review/sign-in")
        page.fill("#key", reviewer)
        page.keyboard.press("Enter")
        page.wait_for_selector("#desk")
        while page.locator("article.item").count() == 0:  # the queue is filled in the background
            page.wait_for_timeout(1000)
            page.reload()
        with_heatmap(page)
        shoot(page, out / "review.png")
        page.keyboard.press("l")
        page.wait_for_selector("html[lang=zh-CN] article.item")
        with_heatmap(page)
        shoot(page, out / "review.zh.png")


def report_page(browser: Browser, folder: Path, out: Path) -> None:
    """The upper part of the demo's report."""
    command = [sys.executable, "-m", "zhentu", "demo", "--folder", str(folder / "demo")]
    subprocess.run(command, check=True, env=environment(folder), capture_output=True)
    with opened(browser, 1200, 1400) as page:
        page.goto((folder / "demo" / "report.html").as_uri())
        shoot(page, out / "report.png")


def main() -> None:
    """Take all of them."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    out.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for take in (report_page, front_page, review_page):
            folder = Path(place) / take.__name__
            folder.mkdir()
            take(browser, folder, out)
            print(take.__name__, "done", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
