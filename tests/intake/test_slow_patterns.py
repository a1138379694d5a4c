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

_LENGTHS = (400, 9_000)  # short ones first: a cubic pattern would take minutes for the longest
_MOST_S = 0.015  # at the longest a linear pattern needs a fifth of it, a quadratic one twice to ten times as much
_TRIES = 3  # the fastest counts: a busy machine is no slow pattern
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


def hostile(pattern: str) -> Iterator[str]:
    """Texts that nearly match: every beginning of every branch, and every repeat by itself, over and over."""
    grown = dict.fromkeys(
        (start, fill)
        for pieces in _branches(_parser.parse(pattern))
        for end in range(1, len(pieces) + 1)
        for start, fill in (("", "".join(pieces[:end])), ("".join(pieces[: end - 1]), pieces[end - 1]))
        if fill
    )
    for length in _LENGTHS:
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


def slowest(pattern: re.Pattern[str] | re.Pattern[bytes], searched: bool = True) -> float:
    """Processor seconds of the slowest search, or match at the start, over the pattern's hostile texts."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    worst = 0.0
    for text in hostile(source):
        subject = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
        ask = (lambda given: deque(pattern.finditer(given), 0)) if searched else pattern.match
        worst = max(worst, _seconds(lambda ask=ask, given=subject: ask(given)))
        if worst > _MOST_S:
            break
    return worst


def _seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call, the fastest of some tries."""
    best = float("inf")
    for _ in range(_TRIES):
        began = time.thread_time()
        call()
        best = min(best, time.thread_time() - began)
        if best < _MOST_S:
            break
    return best


@pytest.mark.parametrize("slow", [r"\s+\s*=", r"\w+\d+x", r"a[^b]*c", r"(?:\s|x)*\s*y"])
def test_a_slow_pattern_is_told(slow: str) -> None:
    assert slowest(re.compile(slow)) > _MOST_S


@pytest.mark.parametrize("place", sorted(patterns()))
def test_no_text_makes_a_pattern_slow(place: str) -> None:
    assert slowest(patterns()[place], place not in _MATCHED) < _MOST_S


@pytest.mark.parametrize("row", sorted(rules()))
def test_no_text_makes_a_row_of_the_table_slow(row: str) -> None:
    rule = rules()[row]
    words = "".join(rule.words) + "".join(rule.hints[:1])
    place = rule.fields[0].replace("*", "x")
    for text in hostile(rule.pattern.pattern if rule.pattern else ""):
        assert _seconds(lambda given=words + text: rule.quote(place, given)) < _MOST_S, text[:80]
