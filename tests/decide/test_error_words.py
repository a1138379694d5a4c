"""Every error has a meaning in words for people, in both languages."""

from __future__ import annotations

import re

import pytest

from zhentu.decide.error_words import ERROR_WORDS, error_words, words_of_code
from zhentu.errors import PictureError, SourceUnreadable, SvgUnsupported, UsageError, ZhentuError
from zhentu.gate.problems import problem_of
from zhentu.report.words import ERROR_WORDS as REPORTED

CHINESE = re.compile("[\u4e00-\u9fff]")


def tree(kind: type[ZhentuError]) -> set[str]:
    return {kind.code}.union(*(tree(each) for each in kind.__subclasses__()))


@pytest.mark.parametrize("code", sorted(tree(ZhentuError)))
def test_every_code_is_worded_in_both_languages(code: str) -> None:
    assert code in ERROR_WORDS
    assert CHINESE.search(ERROR_WORDS[code].zh)
    assert not CHINESE.search(ERROR_WORDS[code].en)


def test_no_words_stand_for_a_code_that_does_not_exist() -> None:
    assert set(ERROR_WORDS) - tree(ZhentuError) == {"method_not_allowed"}  # the framework's own


@pytest.mark.parametrize("code", sorted(tree(PictureError) | {SourceUnreadable.code, "worker_crashed"}))
def test_the_report_has_words_for_every_error_of_a_scan(code: str) -> None:
    assert CHINESE.search(REPORTED[code].zh)


def test_an_error_may_say_more_than_its_code() -> None:
    error = UsageError("photo 2 is the picture").in_chinese("第 2 张照片就是该图片")
    assert error_words(error).zh == "第 2 张照片就是该图片"
    assert error_words(UsageError("x")).zh == ERROR_WORDS["usage_error"].zh
    assert words_of_code("worker_crashed") == ERROR_WORDS["internal_error"]


def test_a_problem_is_told_in_both_languages() -> None:
    told = problem_of(SvgUnsupported("an SVG drawing"))
    assert (told.detail, told.zh) == ("an SVG drawing", ERROR_WORDS["svg_unsupported"].zh)
