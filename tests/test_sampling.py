"""Samples of different purposes must not share pictures more than chance makes them."""

from __future__ import annotations

from itertools import combinations

import pytest

from zhentu.sampling import Purpose, place_of

KEYS = [f"{number:064x}" for number in range(4000)]


def sample(purpose: Purpose, share: float, name: str = "") -> set[str]:
    return {key for key in KEYS if place_of(key, purpose, name) < share}


@pytest.mark.parametrize("purpose", Purpose)
def test_a_share_holds_that_share_of_things_and_a_larger_one_all_of_a_smaller(purpose: Purpose) -> None:
    tenth, half = sample(purpose, 0.1), sample(purpose, 0.5)
    assert abs(len(tenth) / len(KEYS) - 0.1) < 0.02
    assert abs(len(half) / len(KEYS) - 0.5) < 0.03
    assert tenth < half
    assert (sample(purpose, 0.0), sample(purpose, 1.0)) == (set(), set(KEYS))


@pytest.mark.parametrize(("one", "other"), combinations(Purpose, 2))
def test_samples_of_two_purposes_are_independent(one: Purpose, other: Purpose) -> None:
    both = sample(one, 0.3) & sample(other, 0.3)
    assert abs(len(both) / len(KEYS) - 0.09) < 0.02


def test_two_banks_are_asked_about_different_pictures() -> None:
    both = sample(Purpose.BANK, 0.3, "a") & sample(Purpose.BANK, 0.3, "b")
    assert abs(len(both) / len(KEYS) - 0.09) < 0.02
