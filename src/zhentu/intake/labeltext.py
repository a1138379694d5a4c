"""AIGC labels in a piece of text: bare, wrapped, nested or escaped in other JSON, or broken beyond parsing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_LABEL = 64 * 1024  # characters of one label
_MOST_STARTS, _MOST_DEPTH, _MOST_NODES, _MOST_FOUND = 12, 6, 2000, 16
_QUOTED = 240  # characters of a broken label that are shown
_HINT = re.compile(r"aigc|ContentProduc|ContentPropag|ServiceProvider|ProduceID", re.IGNORECASE)
# What may stand between the label's name and its object: bounded, because text is hostile.
_CALLED = re.compile(r"AIGC[\"'\\]{0,8}\s{0,16}[:=>]?\s{0,16}[\"'\\]{0,8}\{", re.IGNORECASE)
_WORDS = re.compile(r"[\"'\\]{0,8}Label[\"'\\]{0,8}\s{0,16}[:=]")
_OTHER_KEYS = frozenset({"contentproducer", "produceid", "contentpropagator", "propagateid", "reservedcode1"})
_LABEL_VALUES = ("1", "2", "3")  # from the surest: is, possibly, suspected
_AROUND = "\"'\\ \r\n\t\x00:=;"


@dataclass(frozen=True, slots=True)
class Found:
    """A label in a text. fields: empty if it cannot be parsed.  quote: as written.

    wrapped: inside {"AIGC": ...}.  strings: every value was a JSON string.  rest: the text also says other things.
    doubled: Label was given more than once.
    """

    fields: tuple[tuple[str, str], ...]
    quote: str
    wrapped: bool = False
    strings: bool = True
    rest: bool = False
    doubled: bool = False


def hints_at_label(text: str) -> bool:
    """Whether a text is worth searching; hardly any is."""
    return _HINT.search(text) is not None


def labels_in(text: str, named: bool) -> Iterator[Found]:
    """The labels of a text. named: its place is reserved for labels, so anything there claims to be one."""
    plain = html.unescape(text) if "&quot;" in text or "&#" in text else text
    found = _parsed(plain, named)
    if found:
        yield from found
        return
    # A valid object without a label is none, whatever its fields are called; broken text is searched for words.
    first = plain.find("{")
    broken = hints_at_label(plain) and (first < 0 or _decoded(plain, first)[1] < 0)
    called = _CALLED.search(plain) or (_WORDS.search(plain) if broken else None)
    if named:
        yield Found((), plain.strip()[:_QUOTED] or "(empty)")
    elif called:
        yield Found((), plain[called.start() : called.start() + _QUOTED], rest=called.start() > 0)


def _parsed(text: str, named: bool) -> list[Found]:
    """Labels of the objects that begin at the text's first brace or after a label's name."""
    found: list[Found] = []
    end = -1
    for start, called in _starts(text):
        if start < end:
            continue
        value, stop = _decoded(text, start)
        if stop < 0:
            continue
        before = text[:start].rstrip(_AROUND)
        rest = bool(before.removesuffix("AIGC").strip(_AROUND) or text[stop:].strip(_AROUND + "}"))
        walk = _Walk(text[start:stop])
        walk.read(value, (named or called) and not _holds_label(value), before.endswith('"AIGC'), rest)
        if walk.found:
            end = stop
            found += walk.found
    return found[:_MOST_FOUND]


def _starts(text: str) -> Iterator[tuple[int, bool]]:
    """Where objects may begin, and whether a label's name stands before them."""
    first = text.find("{")
    called = [match.end() - 1 for _, match in zip(range(_MOST_STARTS), _CALLED.finditer(text), strict=False)]
    if first >= 0 and first not in called:
        yield first, False
    yield from ((start, True) for start in called)


def _decoded(text: str, start: int) -> tuple[object, int]:
    """The JSON value at `start` and its end, through up to three layers of escaping; -1 if there is none."""
    piece = text[start : start + MAX_LABEL]
    for layer in range(4):
        try:
            value, stop = _DECODER.raw_decode(piece)
        except (ValueError, RecursionError):
            if "\\" not in piece:
                break
            piece = piece.replace('\\"', '"').replace("\\\\", "\\")
            continue
        # Unescaping moves the end; the object's last brace is close enough to continue from.
        return value, start + stop if layer == 0 else text.find("}", start) + 1
    return None, -1


def _surest_label(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; of several Labels the one that says most counts, whatever their order, case and type.

    Readers differ in which of two equal keys they take, so a weaker one beside it must not hide a statement.
    """
    given = [(str(value).strip(), key) for key, value in pairs if key.casefold() == "label"]
    if len(given) < 2:
        return dict(pairs)
    told, name = min((each for each in given if each[0] in _LABEL_VALUES), default=given[-1])
    others = {key: value for key, value in pairs if key.casefold() != "label"}
    return _Doubled({name: told} | others)


class _Doubled(dict[str, object]):
    """An object that gave its Label more than once."""


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_surest_label)


def _holds_label(value: object) -> bool:
    return isinstance(value, Mapping) and any(str(key).casefold() == "aigc" for key in value)


class _Walk:
    """Labels anywhere in a JSON value; text within it that hints at one is decoded again."""

    def __init__(self, quote: str) -> None:
        self.found: list[Found] = []
        self._quote = quote
        self._nodes = _MOST_NODES

    def read(self, value: object, is_label: bool, wrapped: bool, rest: bool, depth: int = 0) -> None:
        self._nodes -= 1
        if self._nodes < 0 or depth > _MOST_DEPTH:
            return
        if isinstance(value, dict):
            self._object(value, is_label, wrapped, rest, depth)
        elif isinstance(value, list):
            for each in value:
                self.read(each, False, False, True, depth + 1)
        elif isinstance(value, str) and (is_label or hints_at_label(value)):
            self._text(value, is_label, wrapped, rest, depth)
        elif is_label:  # {"AIGC": true}
            self.found.append(Found((), self._quote[:_QUOTED], wrapped, False, rest))

    def _object(self, value: dict[str, object], is_label: bool, wrapped: bool, rest: bool, depth: int) -> None:
        keys = {key.casefold() for key in value}
        if is_label or ("label" in keys and keys & _OTHER_KEYS):
            fields = tuple((key, _said(each)) for key, each in value.items())
            strings = all(isinstance(each, str) for each in value.values())
            self.found.append(Found(fields, self._quote, wrapped, strings, rest, isinstance(value, _Doubled)))
            return
        for key, each in value.items():
            name = key.casefold() == "aigc"
            if not name or each or each == "":  # {"AIGC": null} and {"AIGC": 0} are none
                self.read(each, name, name, rest or len(value) > 1 or not name, depth + 1)

    def _text(self, value: str, is_label: bool, wrapped: bool, rest: bool, depth: int) -> None:
        start = value.find("{")
        inner, stop = _decoded(value, start) if start >= 0 else (None, -1)
        called = _CALLED.search(value)
        if stop >= 0:
            inside = is_label or (called is not None and called.end() - 1 == start)
            self.read(inner, inside and not _holds_label(inner), wrapped, rest, depth + 1)
        elif is_label or called:
            self.found.append(Found((), value[:_QUOTED] or "(empty)", wrapped, True, rest))


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
