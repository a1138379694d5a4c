"""Logits to probabilities (Platt 1999): one formula for serving, training and export checks."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked


def sigmoid(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-logits)), of any shape; logits beyond 60 give 0 or 1 without a warning of overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -60, 60))))


def log_odds(p: float) -> float:
    """log(p / (1 - p)) of a probability between 0 and 1, both left out."""
    return math.log(p / (1 - p))


def at_prior(p: float, stated: float, prior: float) -> float:
    """A probability that holds where the share `stated` is positive, as it holds where `prior` is; 0 and 1 stay.

    The likelihood ratio of a picture is the same in all traffic, so its log-odds move by those of the priors (Bayes).
    """
    if stated == prior or p in (0.0, 1.0):
        return p
    return 1 / (1 + math.exp(-(log_odds(p) + log_odds(prior) - log_odds(stated))))


def any_of(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Probability that at least one of several holds, over the last axis: 1 - prod(1 - p), as if they were independent.

    Never below the highest of them, whatever the rounding. Pictures of several offences are too rare to learn how these
    go together; out of fold this is calibrated (ECE 0.02), the highest of the five, the least it can be, is not (0.06).
    """
    p = np.asarray(probabilities, np.float64)
    return np.asarray(np.maximum(1 - np.prod(1 - p, axis=-1), p.max(axis=-1)))


@checked(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Platt:
    """Calibration of one output: p = sigmoid(slope * logit + intercept)."""

    slope: Annotated[float, Field(gt=0)]
    intercept: float

    def probability(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Calibrated probabilities of raw logits, same shape."""
        return sigmoid(self.slope * np.asarray(logits, np.float64) + self.intercept)
