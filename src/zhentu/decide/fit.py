"""Thresholds from a user's own genuine pictures, for a target rate of false alarms. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zhentu.errors import UsageError
from zhentu.types import FORGERY_CATEGORIES, Action, Category, Scores, Threshold

# What one rate is shared by: the four categories go to the same reviewers.
FITTED: Mapping[Action, tuple[Category, ...]] = {
    Action.REVIEW: FORGERY_CATEGORIES,
    Action.LABEL: (Category.AI_GENERATED,),
}
_MOST_RATE = 0.5


@dataclass(frozen=True, slots=True)
class FittedAction:
    """Thresholds of one action. wished: target rate of false alarms, in (0, 0.5].

    alarms: of the `pictures` that they were fitted on, how many any of them acts on.
    """

    action: Action
    wished: float
    thresholds: tuple[Threshold, ...]
    alarms: int
    pictures: int

    @property
    def needed(self) -> int:
        """The fewest pictures that say anything about such a rate: none of 3 / rate acted on bounds it (95 %)."""
        return pictures_needed(self.wished)

    @property
    def too_few(self) -> bool:
        """Whether the rate cannot be promised, whatever the thresholds."""
        return self.pictures < self.needed


def pictures_needed(rate: float) -> int:
    """The fewest genuine pictures that can confirm a rate of false alarms.

    The rule of three (Hanley and Lippman-Hand 1983): none of 3 / rate acted on bounds the rate at 95 %.
    """
    return math.ceil(3 / rate - 1e-9)


def most_alarms(pictures: int) -> float:
    """What a rate of false alarms may still be (95 %) where none of so many genuine pictures was acted on."""
    return min(3 / pictures, 1.0) if pictures else 1.0


def check_rate(action: Action, wished: float) -> None:
    """Raise UsageError unless it is a rate of false alarms."""
    if not 0 < wished <= _MOST_RATE:
        raise UsageError(f"--{action.value} {wished}: is not a rate of false alarms; give a share over 0 and up to 0.5")


def fit_action(action: Action, wished: float, scores: Sequence[Scores]) -> FittedAction:
    """The lowest thresholds that act on `wished` of new genuine pictures like these, of any category of the action.

    Each category gets the same rank among these pictures. Of n pictures so many may be acted on that one more in n + 1
    is still within the rate: that is the share to expect of new pictures, where the share of these flatters. With too
    few pictures the thresholds lie just above the highest score. Raises UsageError.
    """
    check_rate(action, wished)
    categories = FITTED[action]
    table = np.array([[each.of(category) for category in categories] for each in scores])
    if not len(table):
        raise UsageError("no picture to fit thresholds on")
    allowed = max(math.floor(wished * (len(table) + 1) + 1e-9) - 1, 0)
    ranked = -np.sort(-table, axis=0)
    for rank in range(allowed, -1, -1):  # one picture may pass several thresholds, so that each lets through fewer
        limits = np.array([_just_above(float(score)) for score in ranked[rank]])
        alarms = int((table >= limits).any(axis=1).sum())
        if alarms <= allowed:
            pairs = zip(categories, map(float, limits), strict=True)
            found = tuple(Threshold(category, action, limit) for category, limit in pairs)
            return FittedAction(action, wished, found, alarms, len(table))
    raise UsageError(
        f"{alarms} of {len(table)} pictures score 1.0: no threshold lets fewer through; look at them with "
        "`zhentu scan`, they may not be genuine"
    )


def _just_above(score: float) -> float:
    """The next higher number of four digits, counted from the nearer of 0 and 1; 1.0 has none above."""
    room = min(score, 1 - score)
    decimals = 4 if room <= 0 else min(3 - math.floor(math.log10(room)), 15)
    steps = math.floor(score * 10**decimals) + 1
    above = steps / 10**decimals
    return float(min(above if above > score else (steps + 1) / 10**decimals, 1.0))
