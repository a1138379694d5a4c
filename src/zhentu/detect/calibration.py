"""Logits to probabilities (Platt 1999): one formula for serving, training and export checks."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked


def sigmoid(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-logits)), of any shape; logits beyond 60 give 0 or 1 without a warning of overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -60, 60))))


@checked(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Platt:
    """Calibration of one output: p = sigmoid(slope * logit + intercept)."""

    slope: Annotated[float, Field(gt=0)]
    intercept: float

    def probability(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Calibrated probabilities of raw logits, same shape."""
        return sigmoid(self.slope * np.asarray(logits, np.float64) + self.intercept)
