"""The table of generators: what each writes into files and where, as data in generators.yaml and an operator's file.

A row is checked when it is loaded: its patterns compile and recognise its own example. All errors in a file are
reported at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from zhentu.errors import ConfigError
from zhentu.intake.denial import stated
from zhentu.yaml_text import read_yaml

_KEYS = ("name", "fields", "all", "pattern", "said", "word", "also", "source", "example")
_SEARCHED = 16 * 1024  # characters of a text that regular expressions see; words are searched in all of it
_BEFORE = 2048  # if a row has words, its pattern is searched around the first of them
_QUOTED = 60
_LEAST = 3  # letters of a word; a shorter one would be found in anything
# A generator's name counts in fields for tools, alone in fields for makers, and after such words in descriptions.
_TOOLS = (
    *("EXIF Software", "EXIF Make", "EXIF Model", "EXIF HostComputer", "EXIF DocumentName", "XMP CreatorTool"),
    *("XMP Software", "XMP softwareAgent", "XMP Credit", "XMP Source", "XMP AuthorsPosition", "XMP producer"),
    *("PNG text Software", "PNG text Source", "PNG text software", "PNG text Creator", "PNG text Generator"),
    *("PNG text generator", "PNG text Model", "PNG text model", "IPTC Credit", "IPTC Source"),
    *("IPTC OriginatingProgram",),
)
_MAKERS = (
    *("EXIF Artist", "EXIF Copyright", "EXIF XPAuthor", "EXIF CameraOwnerName", "XMP creator", "XMP rights"),
    *("PNG text Author", "PNG text Artist", "PNG text Copyright", "IPTC By-line", "IPTC CopyrightNotice"),
    *("PNG text Title", "XMP title"),
)
_TOLD = (
    *("EXIF ImageDescription", "EXIF UserComment", "EXIF XPComment", "EXIF XPTitle", "EXIF XPSubject", "comment"),
    *("XMP description", "XMP UserComment", "XMP Instructions", "XMP Headline", "IPTC Caption-Abstract"),
    *("IPTC SpecialInstructions", "IPTC Headline", "PNG text *", "PNG chunk *", "WebP chunk *"),
)
_NAME = 512  # characters of a field that names a tool or a maker
_VERBS = (
    *("made ", "created ", "generated ", "rendered ", "drawn ", "produced ", "edited ", "imagined "),
    *("由", "使用", "通过", "来自"),
)
_MADE = r"(?:made|created|generated|rendered|drawn|produced|edited|imagined)\s(?:with|by|using|in|on|via)\s(?:the\s)?"
_MADE_ZH = r"(?:由|使用|通过|来自)\s?"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a text must hold, and where. words: all of them, lower case.  pattern: None = any text does.

    hints: one of these must occur, too, before the pattern is tried.  searched: characters that the pattern sees.
    said: the pattern names a statement in words, which counts only where its clause does not deny it.
    """

    fields: tuple[str, ...]
    words: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    hints: tuple[str, ...] = ()
    searched: int = _SEARCHED
    said: bool = False

    def quote(self, place: str, text: str, low: str | None = None) -> str | None:
        """The part of a text that this recognises, or None. low: the text case-folded, if available."""
        if not any(_is_place(each, place) for each in self.fields):
            return None
        start = 0
        if self.words or self.hints:
            low = text.casefold() if low is None else low
            if not all(word in low for word in self.words):
                return None
            if self.hints and not any(hint in low for hint in self.hints):
                return None
            start = low.find(self.words[0]) if self.words else 0
        if self.pattern is None:
            return text[start : start + _QUOTED]
        begin = max(start - _BEFORE, 0)
        seen = text[begin : begin + self.searched]
        match = stated(self.pattern, seen) if self.said else self.pattern.search(seen)
        return match.group()[:_QUOTED] if match else None


@dataclass(frozen=True, slots=True)
class GeneratorRow:
    """One row. rules: any of them recognises it.  also: another text of the file must match, too.

    source: where this form was seen.  example: place and text.
    """

    name: str
    rules: tuple[Rule, ...]
    source: str
    example: Mapping[str, str]
    also: Rule | None = None

    def quote(self, place: str, text: str, low: str | None = None) -> str | None:
        """The part of a text that this row recognises, or None; `also` is checked separately."""
        return next((quote for rule in self.rules if (quote := rule.quote(place, text, low)) is not None), None)


@dataclass(frozen=True, slots=True)
class GeneratorTable:
    """labels: producers' own schemas in place of an AIGC label.  traces: what generators leave behind.

    sha256: of the files they come from, lowercase hex.
    """

    labels: tuple[GeneratorRow, ...] = ()
    traces: tuple[GeneratorRow, ...] = ()
    sha256: str = ""
    _by_place: dict[str, tuple[GeneratorRow, ...]] = field(default_factory=dict, repr=False, compare=False)

    def traces_at(self, place: str) -> tuple[GeneratorRow, ...]:
        """The traces that may stand at a place."""
        found = self._by_place.get(place)
        if found is None:
            fitting = (row for row in self.traces if any(_is_place(p, place) for r in row.rules for p in r.fields))
            found = tuple(fitting)
            if len(self._by_place) < 4096:  # anybody may choose keywords of PNG text
                self._by_place[place] = found
        return found


@lru_cache(maxsize=1)
def shipped_table() -> GeneratorTable:
    """The table that comes with zhentu."""
    path = Path(__file__).with_name("generators.yaml")
    return _parsed(path.read_text(encoding="utf-8"), path.name, _fast_yaml)


def load_table(path: Path | None) -> GeneratorTable:
    """The shipped table and an operator's rows behind it. Raises ConfigError that names every problem of the file."""
    shipped = shipped_table()
    if path is None:
        return shipped
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"generator_table: {path}", [f"cannot be read: {error}"]) from error
    own = _parsed(text, f"generator_table: {path}")
    both = hashlib.sha256(f"{shipped.sha256} {own.sha256}".encode()).hexdigest()
    return GeneratorTable(shipped.labels + own.labels, shipped.traces + own.traces, both)


def _fast_yaml(text: str) -> Any:
    """For the shipped table, whose keys are checked by its tests: a tenth of the time, at every start."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def _parsed(text: str, source: str, read: Callable[[str], Any] = read_yaml) -> GeneratorTable:
    problems: list[str] = []
    try:
        content = read(text)
    except yaml.YAMLError as error:
        raise ConfigError(source, [f"is not YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise ConfigError(source, ["must be a mapping with the lists `labels` and `traces`"])
    problems += _unknown(content, ("labels", "traces"), "")
    found: dict[str, tuple[GeneratorRow, ...]] = {}
    for part in ("labels", "traces"):
        rows = content.get(part) or []
        if not isinstance(rows, list):
            problems.append(f"{part}: must be a list of rows")
            continue
        parsed = (_row(row, f"{part}[{index}]", problems) for index, row in enumerate(rows))
        found[part] = tuple(row for row in parsed if row is not None)
    if problems:
        raise ConfigError(source, problems)
    return GeneratorTable(found["labels"], found["traces"], hashlib.sha256(text.encode()).hexdigest())


def _row(row: object, at: str, problems: list[str]) -> GeneratorRow | None:
    """A row, or None and what is wrong with it."""
    if not isinstance(row, dict):
        problems.append(f"{at}: must be a mapping")
        return None
    before = len(problems)
    problems += _unknown(row, _KEYS, f"{at}.")
    for key in ("name", "source"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            problems.append(f"{at}.{key}: must be a text")
    example = row.get("example")
    if not isinstance(example, dict) or not example or not all(isinstance(each, str) for each in example.values()):
        problems.append(f"{at}.example: must be a mapping of a place to the text that stands there")
    rules = _word_rules(row, at, problems) if "word" in row else _rules(row, at, problems)
    also = _rules(row["also"], f"{at}.also", problems) if "also" in row else []
    if len(problems) > before or not isinstance(example, dict):
        return None
    made = GeneratorRow(row["name"], tuple(rules), row["source"], example, also[0] if also else None)
    if not recognised(made, example.items()):
        problems.append(f"{at}: does not recognise its own example")
        return None
    return made


def recognised(row: GeneratorRow, texts: Iterable[tuple[str, str]]) -> bool:
    """Whether a row, `also` included, recognises a file with these texts by place."""
    pairs = list(texts)
    first = any(row.quote(place, text) is not None for place, text in pairs)
    return first and (row.also is None or any(row.also.quote(place, text) is not None for place, text in pairs))


def _rules(row: object, at: str, problems: list[str]) -> list[Rule]:
    if not isinstance(row, dict):
        problems.append(f"{at}: must be a mapping")
        return []
    places, words = row.get("fields"), row.get("all", [])
    if not isinstance(places, list) or not places or not all(isinstance(each, str) for each in places):
        problems.append(f"{at}.fields: must be a list of places such as 'EXIF Software', 'PNG text *' or '*'")
        return []
    if not isinstance(words, list) or not all(isinstance(each, str) and len(each) >= _LEAST for each in words):
        problems.append(f"{at}.all: must be a list of words of at least {_LEAST} letters")
        return []
    if "*" in places and not words and not row.get("pattern"):
        problems.append(f"{at}: recognises every file; name `fields`, `all` or a `pattern`")
    said = row.get("said", False)
    if not isinstance(said, bool):
        problems.append(f"{at}.said: must be true or false")
        return []
    compiled = _compiled(row.get("pattern"), f"{at}.pattern", problems)
    return [Rule(tuple(places), tuple(word.casefold() for word in words), compiled, said=said)]


def _word_rules(row: Mapping[str, object], at: str, problems: list[str]) -> list[Rule]:
    """In fields for tools, the name; in fields for makers, little else; in descriptions, after "made with"."""
    if any(key in row for key in ("fields", "all", "pattern", "said", "also")):
        problems.append(f"{at}: `word` stands alone, without `fields`, `all`, `pattern`, `said` and `also`")
    word = row["word"]
    if not isinstance(word, str) or len(word) < _LEAST:
        problems.append(f"{at}.word: must be a regular expression of at least {_LEAST} letters")
        return []
    whole = rf"(?<![A-Za-z0-9])(?:{word})(?![A-Za-z0-9])"
    made = [
        (_TOOLS, whole),
        (_MAKERS, rf"^\W{{0,8}}(?:{_MADE}|{_MADE_ZH})?{whole}[^\n]{{0,40}}$"),
        (_TOLD, rf"(?:{_MADE}|{_MADE_ZH}){whole}"),
    ]
    tools, makers, told = (_compiled(pattern, f"{at}.word", problems) for _, pattern in made)
    if tools is None or makers is None or told is None:
        return []
    names = [Rule(places, (), pattern, (), _NAME) for places, pattern in ((_TOOLS, tools), (_MAKERS, makers))]
    return [*names, Rule(_TOLD, (), told, _VERBS, said=True)]


def _compiled(pattern: object, at: str, problems: list[str]) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        problems.append(f"{at}: must be a regular expression")
        return None
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        problems.append(f"{at}: is not a regular expression: {error}")
        return None


def _is_place(wanted: str, place: str) -> bool:
    return place == wanted or (wanted.endswith("*") and place.startswith(wanted[:-1]))


def _unknown(section: Mapping[object, object], known: Sequence[str], at: str) -> Iterator[str]:
    for key in section:
        if key not in known:
            close = get_close_matches(str(key), known, 1)
            yield f"Unknown key '{at}{key}'." + (f" Did you mean '{close[0]}'?" if close else "")
