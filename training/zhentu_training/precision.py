"""What 8-bit arithmetic loses on held-out pictures, output by output, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zhentu.types import Category
from zhentu_training.figures import Interval, Judged, auc, interval, recall, resampled

_FALSE_ALARMS = 0.01  # at which recalls are compared


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The same held-out pictures in both precisions. exact, integer: calibrated probabilities of one output."""

    exact: Judged
    integer: Judged

    @property
    def losses(self) -> tuple[float, float]:
        """What int8 loses: AUC, and recall at 1 % false alarms."""
        return self._lost(np.ones(len(self.exact.score)))

    @property
    def intervals(self) -> tuple[Interval, Interval]:
        """The losses with their 95 % intervals, by bootstrap over sources; both precisions see the same draws."""
        drawn = np.array([self._lost(weight) for weight in resampled(self.exact)])
        first, second = (interval(value, drawn[:, k]) for k, value in enumerate(self.losses))
        return first, second

    def within(self, auc_loss: float, recall_loss: float) -> bool:
        """Whether it loses no more. Losses that are no numbers (no AI-made pictures to rank) are no small losses."""
        most = auc_loss, recall_loss
        # 0.50 - 0.48 is 0.02 and something: two of a hundred pictures are not more than two in a hundred.
        return all(lost <= allowed + 1e-9 for lost, allowed in zip(self.losses, most, strict=True))

    def __str__(self) -> str:
        area, found = self.intervals
        counts = f"{(~self.exact.made).sum()} + {self.exact.made.sum()} pictures"
        return (
            f"int8 loses {area.value:.4f} [{area.low:.4f}, {area.high:.4f}] of AUC, "
            f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}] of recall at 1 % ({counts})"
        )

    def _lost(self, weight: np.ndarray) -> tuple[float, float]:
        before, after = (
            (auc(each.score, each.made, weight), recall(each, _FALSE_ALARMS, weight))
            for each in (self.exact, self.integer)
        )
        return before[0] - after[0], before[1] - after[1]


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """Both precisions compared, output by output. shift: mean of the logits' difference, integer - exact (5,)."""

    outputs: Mapping[Category, Compared]
    shift: np.ndarray

    @property
    def made(self) -> Compared:
        """Of `ai_generated`, which alone labels, and whose loss decides."""
        return self.outputs[Category.AI_GENERATED]

    def __str__(self) -> str:
        return "\n".join(f"{category.value}: {each}" for category, each in self.outputs.items())
