"""Drift: the population stability index against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from zhentu.detect.drift import LEAST, ScoreWindow, histogram, references_of, stability_index
from zhentu.types import OUTPUTS, Output

EVEN = (0.1,) * 10


def test_scores_fall_into_ten_bins_and_1_into_the_last() -> None:
    assert histogram([0.0, 0.0999, 0.1, 0.95, 1.0]) == (0.4, 0.2, 0, 0, 0, 0, 0, 0, 0, 0.4)
    assert histogram([]) == (0.0,) * 10


def test_the_index_is_nought_for_the_same_shares_in_whatever_unit() -> None:
    assert stability_index(EVEN, EVEN) == 0
    assert stability_index((1, 3), (25, 75)) == pytest.approx(0)


def test_the_index_is_the_sum_of_differences_times_logarithms() -> None:
    expected = 0.25 * math.log(0.75 / 0.5) - 0.25 * math.log(0.25 / 0.5)
    assert stability_index((0.5, 0.5), (0.75, 0.25)) == pytest.approx(expected) == pytest.approx(0.2747, abs=1e-4)


def test_an_empty_bin_counts_as_one_picture_in_ten_thousand() -> None:
    expected = (1 - 0.5) * math.log(1 / 0.5) + (1e-4 - 0.5) * math.log(1e-4 / 0.5)
    assert stability_index((1, 1), (1, 0)) == pytest.approx(expected)
    assert math.isfinite(stability_index((0, 0), (0, 0)))
    with pytest.raises(ValueError, match="2 and 3 bins"):
        stability_index((1, 1), (1, 1, 1))


def test_references_are_by_output_in_the_order_of_the_scores() -> None:
    rows = [[0.05, 0.15, 0.25, 0.35, 0.45, 0.55], [0.05, 0.95, 0.25, 0.35, 0.45, 1.0], [0.05, 0.15, 0.2, 0.3, 0.4, 0.5]]
    found = references_of(rows)
    assert list(found) == list(OUTPUTS)
    assert found[OUTPUTS[0]] == (1.0, *(0.0,) * 9)
    assert found[OUTPUTS[1]] == (0, 0.6667, 0, 0, 0, 0, 0, 0, 0, 0.3333)
    assert found[Output.FORGED] == (0, 0, 0, 0, 0, 0.6667, 0, 0, 0, 0.3333)


def test_too_few_scores_say_nothing_and_enough_do() -> None:
    window = ScoreWindow()
    for _ in range(LEAST - 1):
        window.add({Output.FORGED: 0.5})
    assert window.indices({Output.FORGED: EVEN}) == {}
    window.add({Output.FORGED: 0.5})
    assert list(window.indices({Output.FORGED: EVEN, Output.AI_GENERATED: EVEN})) == [Output.FORGED]
    assert window.indices({Output.FORGED: (0.5, 0.5)}) == {}, "a reference of other bins"
    window.clear()
    assert window.indices({Output.FORGED: EVEN}) == {}


def test_the_latest_scores_count() -> None:
    window = ScoreWindow(size=LEAST)
    for score in (0.05, 0.95):
        for _ in range(LEAST):
            window.add({Output.FORGED: score})
    now = (0,) * 9 + (1,)
    assert window.indices({Output.FORGED: now})[Output.FORGED] == pytest.approx(0)
