"""Operating points: thresholds with what they did to pictures nobody had trained on."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from zhentu.types import Threshold

_STRICT = ConfigDict(extra="forbid")
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


@checked(frozen=True, slots=True, config=_STRICT)
class OperatingPoint:
    """One threshold and what it did to pictures that the judging heads had not seen, sources weighted alike.

    false_alarms: share of genuine pictures at or over it.  recall: share of the category's pictures at or over it.
    """

    threshold: Threshold
    false_alarms: Probability
    recall: Probability


@checked(frozen=True, slots=True, config=_STRICT)
class ProfilePoints:
    """The thresholds of one profile. false_alarms: share of genuine pictures on which any of them acts."""

    points: tuple[OperatingPoint, ...]
    false_alarms: Probability

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Without the rates."""
        return tuple(each.threshold for each in self.points)
