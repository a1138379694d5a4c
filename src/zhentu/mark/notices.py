"""The notice shown around a picture, for buyers and for its seller, from templates that an operator can change.

Measures for Labelling AI-Generated Synthetic Content, Art. 6, ask for a prominent notice around the content and
prescribe no wording. Templates are Jinja2 in its sandbox; every entry is checked when they are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, urlsplit

import yaml
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from zhentu.decide.evidence_words import told
from zhentu.errors import ConfigError
from zhentu.types import FORGERY_CATEGORIES, Action, AiState, Evidence, Mode, Record
from zhentu.yaml_text import read_yaml

LANGUAGES = {"zh": "zh-Hans", "en": "en"}  # ours to BCP 47
_FRAGMENT = "notice.html.j2"
_MAX_TEMPLATE, _MAX_TEXT = 64 * 1024, 2000
_SAMPLE = {
    "score": 0.5, "detail": "detail", "location": "XMP", "record_id": "record", "appeal_url": "https://example.org/",
    "title": "title",
}  # fmt: skip


class Audience(StrEnum):
    """Who reads a notice."""

    BUYER = "buyer"
    SELLER = "seller"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice in one language.

    needed: whether anything is to be shown.  state: the three-way state of the law, None when no AI label is owed.
    lines: what a reader must know.  found, rules, appeal: for sellers only.  appeal_url: an http(s) URL or empty.
    """

    language: str
    audience: Audience
    record_id: str
    needed: bool
    state: AiState | None
    heading: str
    lines: tuple[str, ...]
    found: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    appeal: str = ""
    appeal_url: str = ""


class Notices:
    """All texts, checked. Safe to use from several threads."""

    def __init__(self, texts: Mapping[str, Mapping[str, Template]], fragment: Template, appeal_url: str = "") -> None:
        self._texts, self._fragment, self._appeal_url = texts, fragment, appeal_url

    @classmethod
    def load(cls, folder: Path | None = None, appeal_url: str = "") -> Notices:
        """The shipped texts, with those of `folder` (notices.zh.yaml, notices.en.yaml, notice.html.j2) over them.

        Raises ConfigError with every problem: unknown entries, templates that do not compile or render.
        """
        problems: list[str] = []
        shipped = Path(__file__).parent / "templates"
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        texts = {}
        for language in LANGUAGES:
            name = f"notices.{language}.yaml"
            entries = _entries(shipped / name, problems)
            own = _entries(folder / name, problems) if folder and (folder / name).exists() else {}
            for key in own:
                if key not in entries:
                    close = get_close_matches(key, list(entries), 1)
                    problems.append(
                        f"{name}: unknown entry '{key}'." + (f" Did you mean '{close[0]}'?" if close else "")
                    )
            texts[language] = {
                key: _compiled(environment, own.get(key, text), f"{name}: {key}", problems)
                for key, text in entries.items()
            }
        html = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
        path = folder / _FRAGMENT if folder and (folder / _FRAGMENT).exists() else shipped / _FRAGMENT
        fragment = _compiled(html, _read(path, problems), _FRAGMENT, problems, check=False)
        if folder is not None and not folder.is_dir():
            problems.append(f"notices_dir: {folder} is no folder")
        if appeal_url and urlsplit(appeal_url.replace("{record_id}", "x")).scheme not in ("http", "https"):
            problems.append(f"appeal_url: {appeal_url!r} is not an http(s) URL")
        made = cls(texts, fragment, appeal_url)
        if not problems:
            problems += made._fragment_problems()
        if problems:
            raise ConfigError(str(folder or shipped), problems)
        return made

    def notice(self, record: Record, audience: Audience, language: str) -> Notice:
        """What to show of a record. language: "zh" or "en".

        Buyers are told what is in force; sellers also what was found, by which rule, and how to appeal.
        """
        decision = record.decision
        enforced = decision.mode is Mode.ENFORCE
        state = decision.ai_state if enforced else None  # owed by law, whatever action the policy takes
        altered = {each.category: each for each in decision.reasons if each.category in FORGERY_CATEGORIES and enforced}
        values = self._values(record)
        names = [state.name.lower()] if state else []
        lines = [self._text(language, f"{audience}.{name}", values) for name in names]
        lines += [
            self._text(language, f"{audience}.{category.value}", {**values, "score": each.score})
            for category, each in altered.items()
            if category
        ]
        if audience is Audience.SELLER and enforced:  # e.g. a match in a bank; its text was made with the decision
            others = [each for each in decision.reasons if each.category is None and each.action is not Action.ALLOW]
            lines += [each.zh if language == "zh" else each.en for each in others]
        needed = bool(lines)
        if not needed:
            heading = self._text(language, f"nothing.{audience}", values)
            return Notice(language, audience, record.record_id, False, None, heading, ())
        heading = self._text(language, f"heading.{names[0] if names else 'altered'}", values)
        if audience is Audience.BUYER:
            return Notice(language, audience, record.record_id, True, state, heading, tuple(lines))
        rules = [name for name, owed in (("ai", bool(names)), ("altered", bool(altered))) if owed]
        url = str(values["appeal_url"])
        return Notice(
            language=language,
            audience=audience,
            record_id=record.record_id,
            needed=True,
            state=state,
            heading=heading,
            lines=tuple(lines),
            found=tuple(self._found(language, each, values) for each in record.evidence if each.ai_state and state),
            rules=tuple(self._text(language, f"rule.{name}", values) for name in rules),
            appeal=self._text(language, "appeal.link" if url else "appeal.plain", values),
            appeal_url=url,
        )

    def html(self, notice: Notice) -> str:
        """The notice as an embeddable fragment; empty text where none is needed."""
        if not notice.needed:
            return ""
        name = f"{notice.record_id}-{notice.audience}-{notice.language}"
        return self._fragment.render(notice=_shown(notice), language=LANGUAGES[notice.language], id=name).strip()

    def _values(self, record: Record) -> dict[str, object]:
        url = self._appeal_url.replace("{record_id}", quote(record.record_id, safe=""))
        return {
            "score": None,
            "detail": "",
            "location": "",
            "record_id": record.record_id,
            "appeal_url": url,
            "title": record.listing.title,
        }

    def _found(self, language: str, evidence: Evidence, values: Mapping[str, object]) -> str:
        it = told(evidence, language)
        own = {"detail": it.detail, "location": it.place}
        return self._text(language, "found.evidence", {**values, **own})

    def _text(self, language: str, key: str, values: Mapping[str, object]) -> str:
        return self._texts[language][key].render(values)[:_MAX_TEXT].strip()

    def _fragment_problems(self) -> list[str]:
        notice = Notice("en", Audience.SELLER, "x", True, AiState.IS, "h", ("l",), ("f",), ("r",), "a", "https://x/")
        try:
            self.html(notice)
        except (TemplateError, TypeError, ValueError) as error:
            return [f"{_FRAGMENT}: {error}"]
        return []


def _shown(notice: Notice) -> Mapping[str, object]:
    return {
        "state": int(notice.state) if notice.state else "",
        "record_id": notice.record_id,
        "heading": notice.heading,
        "lines": notice.lines,
        "found": notice.found,
        "rules": notice.rules,
        "appeal": notice.appeal,
        "appeal_url": notice.appeal_url,
    }


def _entries(path: Path, problems: list[str]) -> dict[str, str]:
    """Entries of a file by "section.name"."""
    try:
        content = read_yaml(_read(path, problems)) or {}
    except yaml.YAMLError as error:
        problems.append(f"{path}: {error}")
        return {}
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        problems.append(f"{path}: must be a mapping from section to entries")
        return {}
    return {f"{name}.{key}": str(text) for name, section in content.items() for key, text in section.items()}


def _read(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")[:_MAX_TEMPLATE]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return ""


def _compiled(
    environment: ImmutableSandboxedEnvironment, text: str, place: str, problems: list[str], check: bool = True
) -> Template:
    try:
        template = environment.from_string(text)
        if check:
            template.render(_SAMPLE)
        return template
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        problems.append(f"{place}: {error}")
        return environment.from_string("")
