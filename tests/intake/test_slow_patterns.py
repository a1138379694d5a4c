"""No text makes a regular expression slow: hostile texts are derived from every pattern that reads foreign text."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from re import _constants as codes
from re import _parser

import pytest

import zhentu.intake
import zhentu.mark
from zhentu.intake.generators import GeneratorRow, Rule, shipped_table

_SHORT, _LONG = 400, 9_000  # short ones first: a cubic pattern would take minutes for a long one
_MOST_S = 0.015  # for a short text; a linear pattern needs a sixtieth of it
_CLEAR_S = 0.003  # what is faster on a long text is not slow; a quadratic pattern needs seven times as much
_GROWTH = 3.0  # of the time for twice the text: 2 where it is linear, 4 and more where not, on a machine of any speed
_TRIES = (7, 25)  # at least and at most; the fastest count: a busy machine is no slow pattern
_MANY = 40  # repeats within one piece of a hostile text
_MATCHED = (  # asked at one place, never searched
    *("zhentu.intake.packet._ATTRIBUTE", "zhentu.intake.packet._TAG_NAME"),
    *("zhentu.intake.denial._ANSWERED", "zhentu.intake.denial._TICKED", "zhentu.intake.denial._NOT_USED"),
)


def patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    """Every compiled pattern that a module keeps, by its place."""
    found: dict[str, re.Pattern[str] | re.Pattern[bytes]] = {}
    for package in (zhentu.intake, zhentu.mark):
        names = [each.name for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
        for name in (*names, "zhentu.printable"):
            for key, value in vars(importlib.import_module(name)).items():
                if isinstance(value, re.Pattern):
                    found[f"{name}.{key}"] = value
    return found


def rules() -> dict[str, Rule]:
    """Every rule of the table of generators, by its row."""
    table = shipped_table()

    def all_of(row: GeneratorRow) -> tuple[Rule, ...]:
        return (*row.rules, *([row.also] if row.also else []))

    return {
        f"{k} {row.name} {n}": rule
        for k, row in enumerate((*table.labels, *table.traces))
        for n, rule in enumerate(all_of(row))
        if rule.pattern is not None
    }


def hostile(pattern: str, length: int) -> Iterator[str]:
    """Texts that nearly match: every beginning of every branch, and every repeat by itself, over and over."""
    grown = dict.fromkeys(
        (start, fill)
        for pieces in _branches(_parser.parse(pattern))
        for end in range(1, len(pieces) + 1)
        for start, fill in (("", "".join(pieces[:end])), ("".join(pieces[: end - 1]), pieces[end - 1]))
        if fill
    )
    for start, fill in grown:
        yield (start + fill * (length // len(fill) + 1))[:length] + "\x00"  # what no pattern ends with


def _branches(parsed: _parser.SubPattern) -> list[list[str]]:
    """What a pattern may look like, piece by piece, so that every branch is taken once; a repeat is one long piece."""
    found: list[list[str]] = [[]]
    for code, value in parsed:
        if code is codes.BRANCH:
            options = [each for branch in value[1] for each in _branches(branch)]
            found = [[*found[0], *each] for each in options] + [[*each, *options[0]] for each in found[1:]]
        else:
            found = [[*start, *_pieces(code, value)] for start in found]
    return found


def _pieces(code: object, value: object) -> list[str]:
    if code is codes.LITERAL:
        return [chr(value)]  # type: ignore[arg-type]
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        least, most, inner = value  # type: ignore[misc]
        return [_one(inner) * max(least, min(int(most), _MANY))]
    if code is codes.SUBPATTERN:
        return [_one(value[3])]  # type: ignore[index]
    if code is codes.ATOMIC_GROUP:
        return [_one(value)]
    if code is codes.IN:
        return [_member(value)]
    if code is codes.NOT_LITERAL:
        return [_other_than(chr(value))]  # type: ignore[arg-type]
    return ["a"] if code is codes.ANY else []  # what looks around takes no room


def _one(parsed: object) -> str:
    assert isinstance(parsed, _parser.SubPattern)
    return "".join(_branches(parsed)[0])


def _member(members: object) -> str:
    """A character of a class; white space where the class has it, because that is what runs into its neighbours."""
    text = _written(members)
    for each in (" ", "\t", "a", "A", "1", "-", "_", "/", ".", "=", "中", "\x01", "\x81"):
        if re.fullmatch(text, each):
            return each
    return next(chr(k) for k in range(0x110000) if re.fullmatch(text, chr(k)))


def _written(members: object) -> str:
    """A parsed character class as it is written."""
    names = {codes.CATEGORY_SPACE: r"\s", codes.CATEGORY_NOT_SPACE: r"\S", codes.CATEGORY_WORD: r"\w",
             codes.CATEGORY_NOT_WORD: r"\W", codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_NOT_DIGIT: r"\D"}  # fmt: skip
    text = ""
    for code, value in members:  # type: ignore[attr-defined]
        if code is codes.NEGATE:
            text += "^"
        elif code is codes.LITERAL:
            text += re.escape(chr(value))
        elif code is codes.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            text += names[value]
    return f"[{text}]"


def _other_than(letter: str) -> str:
    return "b" if letter == "a" else "a"


def slow_on(source: str, ask: Callable[[str], object]) -> str:
    """The beginning of a hostile text on which `ask` takes more than in proportion; empty if there is none."""
    for text in hostile(source, _SHORT):
        if min(_seconds(ask, text) for _ in range(3)) > _MOST_S:
            return text[:80]
    for text, doubled in zip(hostile(source, _LONG), hostile(source, 2 * _LONG), strict=True):
        if _outgrows(ask, text, doubled):
            return text[:80]
    return ""


def _outgrows(ask: Callable[[str], object], text: str, doubled: str) -> bool:
    once = twice = float("inf")
    least, most = _TRIES
    for tries in range(1, most + 1):
        once = min(once, _seconds(ask, text))
        if once < _CLEAR_S:
            return False
        twice = min(twice, _seconds(ask, doubled))
        if tries >= least and twice < _GROWTH * once:
            return False
    return True


def _seconds(ask: Callable[[str], object], text: str) -> float:
    """Processor seconds of a call."""
    began = time.thread_time()
    ask(text)
    return time.thread_time() - began


def asking(pattern: re.Pattern[str] | re.Pattern[bytes], searched: bool = True) -> tuple[str, Callable[[str], object]]:
    """A pattern as it is written, and what searches a text for it, or matches at its start."""
    if isinstance(pattern.pattern, str):
        return pattern.pattern, lambda text: deque(pattern.finditer(text), 0) if searched else pattern.match(text)

    def ask(text: str) -> object:
        given = text.encode("latin-1", "replace")
        return deque(pattern.finditer(given), 0) if searched else pattern.match(given)

    return pattern.pattern.decode("latin-1"), ask


@pytest.mark.parametrize("slow", [r"\s+\s*=", r"\w+\d+x", r"a[^b]*c", r"(?:\s|x)*\s*y"])
def test_a_slow_pattern_is_told(slow: str) -> None:
    assert slow_on(*asking(re.compile(slow)))


@pytest.mark.parametrize("place", sorted(patterns()))
def test_no_text_makes_a_pattern_slow(place: str) -> None:
    assert slow_on(*asking(patterns()[place], place not in _MATCHED)) == ""


@pytest.mark.parametrize("row", sorted(rules()))
def test_no_text_makes_a_row_of_the_table_slow(row: str) -> None:
    rule = rules()[row]
    words = "".join(rule.words) + "".join(rule.hints[:1])
    place = rule.fields[0].replace("*", "x")
    assert slow_on(rule.pattern.pattern if rule.pattern else "", lambda text: rule.quote(place, words + text)) == ""
