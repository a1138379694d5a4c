"""A real browser for tests of pages: waiting, screenshots, accessibility."""

from __future__ import annotations

import importlib.util
import shutil
import time
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="no Chromium or no playwright: apt-get install chromium (.ci/run does as root); pip install playwright",
)


_PATIENT_S = 120.0  # a busy machine is slow, not wrong


def new_context(browser, **options: object):
    """A browser context that waits for what it is told to wait for."""
    context = browser.new_context(**options)
    context.set_default_timeout(_PATIENT_S * 1000)
    return context


def until(page, condition: str, argument: object = None) -> None:
    """Poll from outside: Playwright's own waiting for a function needs eval, which the pages' policy forbids."""
    end = time.monotonic() + _PATIENT_S
    while not page.evaluate(condition, argument):
        if time.monotonic() > end:
            pytest.fail(f"never came true: {condition}")
        page.wait_for_timeout(25)


def shoot(page, name: str, full: bool = False) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    until(page, "[...document.images].every(each => each.hidden || !each.src || each.complete)")
    page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), full_page=full)


def seriously_wrong(page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
