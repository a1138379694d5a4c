"""Build the documentation site from docs/, the README and the logs, with reference pages generated from the code.

    python scripts/build_docs.py [OUT]        # default build/site; needs the [docs] extra, no network

There are two sites: English at the root, Chinese under zh/, where a page without a translation shows the English text.
A broken link or a warning from the site generator fails the build.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs_reference import api_pages, command_line_page, settings_page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```.*?^```)", re.S | re.M)
UNTRANSLATED = "> 本页尚无中文版，以下为英文原文。\n\n"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the site. sources: files by language, relative to the repository; without zh, en is shown."""

    name: str
    titles: Mapping[str, str]
    sources: Mapping[str, str]

    def source(self, language: str) -> str:
        """The file this page is made from."""
        return self.sources.get(language, self.sources["en"])


PAGES: Mapping[str, tuple[Page, ...]] = {
    "start": (
        Page("index.md", {"en": "zhentu", "zh": "真图"}, {"en": "README.md", "zh": "README.zh-CN.md"}),
        Page("try.md", {"en": "Try it", "zh": "试用"}, {"en": "docs/try.md", "zh": "docs/try.zh-CN.md"}),
    ),
    "use": (
        Page("gate.md", {"en": "The upload gate", "zh": "上传检测"}, {"en": "docs/gate.md"}),
        Page("backlog.md", {"en": "The backlog scanner", "zh": "存量扫描"}, {"en": "docs/backlog.md"}),
        Page("labels.md", {"en": "Labels", "zh": "标识"}, {"en": "docs/labels.md", "zh": "docs/labels.zh-CN.md"}),
        Page("review.md", {"en": "Review", "zh": "审核"}, {"en": "docs/review.md", "zh": "docs/review.zh-CN.md"}),
        Page("banks.md", {"en": "Banks", "zh": "图库"}, {"en": "docs/banks.md"}),
        Page("policy.md", {"en": "Operating points", "zh": "阈值与先验"}, {"en": "docs/policy.md"}),
        Page("billion.md", {"en": "A billion pictures", "zh": "十亿张图片"}, {"en": "docs/billion.md"}),
    ),
    "about": (
        Page("architecture.md", {"en": "Architecture", "zh": "架构"}, {"en": "docs/architecture.md"}),
        Page("model-card.md", {"en": "Model card", "zh": "模型卡"}, {"en": "models/MODEL_CARD.md"}),
        Page("samples.md", {"en": "Samples", "zh": "示例图片"}, {"en": "src/zhentu/samples/ORIGIN.md"}),
        Page("decisions.md", {"en": "Decisions", "zh": "决策记录"}, {"en": "DECISIONS.md"}),
        Page("changelog.md", {"en": "Changelog", "zh": "变更记录"}, {"en": "CHANGELOG.md"}),
        Page("contributing.md", {"en": "Contributing", "zh": "参与贡献"}, {"en": "CONTRIBUTING.md"}),
    ),
}
SECTIONS = {
    "start": {"en": "Start", "zh": "开始"},
    "use": {"en": "Use", "zh": "使用"},
    "reference": {"en": "Reference", "zh": "参考"},
    "about": {"en": "About", "zh": "关于"},
}
REFERENCE = {
    "reference/cli.md": {"en": "Commands", "zh": "命令"},
    "reference/settings.md": {"en": "Settings", "zh": "设置"},
    "reference/api.md": {"en": "Python", "zh": "Python 接口"},
}


class BrokenLink(Exception):
    """A page links to something that does not exist."""


def pages() -> Iterator[Page]:
    """Every page that is made from a file."""
    for section in PAGES.values():
        yield from section


def rewritten(text: str, source: str, language: str, copied: dict[str, str]) -> str:
    """A file's text with its links rewritten for the site; linked files that are not pages are added to `copied`.

    Raises BrokenLink.
    """
    known = {path: _address(page, path, language) for page in pages() for path in page.sources.values()}

    def relink(found: re.Match[str]) -> str:
        target, anchor = found[2], found[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in known:
            return f"{found[1]}{known[path]}{anchor})"
        if not (ROOT / path).is_file():
            raise BrokenLink(f"{source}: the link to {target} leads to no file")
        copied[path] = f"files/{path.replace('/', '-')}"
        return f"{found[1]}{copied[path]}{anchor})"

    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(relink, part) for part in parts)


def _address(page: Page, path: str, language: str) -> str:
    """The address of a file's page as seen from a page in this language; a translation lies on the other site."""
    if path == page.source(language):
        return page.name
    return ("zh/" if language == "en" else "../") + page.name.replace(".md", ".html")


def write_sources(folder: Path, language: str) -> None:
    """Write the Markdown files of one language."""
    copied: dict[str, str] = {}
    for page in pages():
        source = page.source(language)
        text = rewritten((ROOT / source).read_text(encoding="utf-8"), source, language, copied)
        untranslated = language == "zh" and "zh" not in page.sources
        (folder / page.name).write_text((UNTRANSLATED if untranslated else "") + text, encoding="utf-8")
    for path, name in copied.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, folder / name)
    (folder / "reference").mkdir()
    made = {"reference/cli.md": command_line_page(), "reference/settings.md": settings_page(), **api_pages()}
    for name, text in made.items():
        (folder / name).write_text((UNTRANSLATED if language == "zh" else "") + text, encoding="utf-8")


def configuration(language: str) -> str:
    """The site generator's configuration for one language, as TOML."""
    sections = []
    for name, words in SECTIONS.items():
        listed = {page.name: page.titles for page in PAGES.get(name, ())} or REFERENCE
        entries = ", ".join(f'{{"{titles[language]}" = "{path}"}}' for path, titles in listed.items())
        sections.append(f'  {{"{words[language]}" = [{entries}]}},')
    here, there = ("", "zh/") if language == "en" else ("../", "./")
    return f"""
[project]
site_name = "{"真图 zhentu" if language == "zh" else "zhentu"}"
docs_dir = "docs"
site_dir = "site"
use_directory_urls = false
nav = [
{chr(10).join(sections)}
]

[project.theme]
variant = "classic"
language = "{language}"
font = false
features = ["navigation.sections", "navigation.top", "search.highlight", "content.code.copy"]

[[project.extra.alternate]]
name = "English"
link = "{here or "./"}index.html"
lang = "en"

[[project.extra.alternate]]
name = "中文"
link = "{there}index.html"
lang = "zh"

[project.markdown_extensions.tables]
[project.markdown_extensions.attr_list]
[project.markdown_extensions.toc]
permalink = true
[project.markdown_extensions.pymdownx.superfences]
[project.markdown_extensions.pymdownx.highlight]

[project.plugins.mkdocstrings.handlers.python]
paths = ["{(ROOT / "src").as_posix()}"]
[project.plugins.mkdocstrings.handlers.python.options]
show_source = false
show_root_heading = true
heading_level = 2
members_order = "source"
docstring_style = "google"
show_signature_annotations = true
separate_signature = true
filters = ["!^_"]
"""


def build(out: Path) -> None:
    """Build both languages into `out`. Raises BrokenLink, CalledProcessError."""
    shutil.rmtree(out, ignore_errors=True)
    for language in ("en", "zh"):
        work = out.parent / f"{out.name}-sources" / language
        shutil.rmtree(work, ignore_errors=True)
        (work / "docs").mkdir(parents=True)
        write_sources(work / "docs", language)
        (work / "zensical.toml").write_text(configuration(language), encoding="utf-8")
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "zensical.toml"]
        subprocess.run(command, cwd=work, check=True)
        shutil.copytree(work / "site", out if language == "en" else out / "zh")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site")
