"""The documentation site is built from this checkout, without a network, and nothing in it leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

from zhentu.cli.app import app
from zhentu.settings.groups import setting_paths

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("zensical", reason="pip install '.[docs]'")


class Links(HTMLParser):
    """What a page leads to and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.leads.append(found["href"])
        if tag in ("script", "img") and "src" in found:
            self.loads.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", ""):
            self.loads.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, str(ROOT / "scripts" / "build_docs.py"), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out


def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    found = pages(site)
    assert len(found) >= 30
    broken = []
    for path, links in found.items():
        for address in [*links.leads, *links.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = found.get(target)
            if not target.is_file() or (parts.fragment and known and unquote(parts.fragment) not in known.anchors):
                broken.append(f"{path.relative_to(site)}: {address}")
    assert broken == []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    elsewhere = [load for links in pages(site).values() for load in links.loads if urlsplit(load).netloc]
    assert elsewhere == []


def test_both_languages_are_there_and_lead_to_each_other(site: Path) -> None:
    english, chinese = (Links((site / name).read_text(encoding="utf-8")) for name in ("index.html", "zh/index.html"))
    assert "真图" in (site / "zh" / "index.html").read_text(encoding="utf-8")
    assert any(each.endswith("zh/index.html") for each in english.leads)
    assert any(each.endswith("../index.html") for each in chinese.leads)


def commands(group: typer.Typer) -> list[str]:
    def walk(command, path: str) -> list[str]:
        inner = getattr(command, "commands", {})
        return [path] if not inner else [each for name, one in inner.items() for each in walk(one, f"{path} {name}")]

    return walk(typer.main.get_command(group), "zhentu")


def test_every_command_stands_in_the_reference(site: Path) -> None:
    text = re.sub("<[^>]+>", "", (site / "reference" / "cli.html").read_text(encoding="utf-8"))
    assert len(commands(app)) > 20
    assert [each for each in commands(app) if each not in text] == []


def test_every_setting_stands_in_the_reference(site: Path) -> None:
    text = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    assert [path for path in setting_paths() if path not in text] == []


def test_the_python_reference_shows_docstrings(site: Path) -> None:
    text = re.sub("<[^>]+>", "", (site / "reference" / "api.html").read_text(encoding="utf-8"))
    for words in ("Screener", "What the policy says", "PictureTruncated"):
        assert words in text


def test_the_search_knows_both_languages(site: Path) -> None:
    for folder, words in ((site, "provenance"), (site / "zh", "真图")):
        index = next(iter(folder.glob("search*.json")), None) or next(folder.glob("**/search*.json"))
        assert words in index.read_text(encoding="utf-8")
