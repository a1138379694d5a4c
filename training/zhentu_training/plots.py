"""Curves of the model card: ROC, scores and reliability, out of fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zhentu.types import CATEGORIES, Category
from zhentu_training.dataset import Origin
from zhentu_training.figures import alike
from zhentu_training.tables import Scored, against

_GENUINE, _MADE_COLOUR = "#2b7a4b", "#c0392b"
_MADE = CATEGORIES.index(Category.AI_GENERATED)
_BINS = 10


def plot_curves(scored: Scored, path: Path) -> None:
    """Write one PNG of three panels: pictures found so, genuine and AI-made, by `ai_generated`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from sklearn.metrics import RocCurveDisplay

    figure, (roc, histogram, reliability) = plt.subplots(1, 3, figsize=(15, 4.6))
    judged = {}
    for road in scored.roads:
        made = scored.made(road)
        judged[road] = against(scored, made, scored.where(Origin.REAL, False, road), _MADE)
        RocCurveDisplay.from_predictions(judged[road].made, judged[road].score, name=road, ax=roc)
    roc.set(title="AI-made against genuine, sources left out", xlabel="false alarms", ylabel="recall")
    roc.grid(alpha=0.3)
    native = judged.get("native", next(iter(judged.values())))
    edges = np.linspace(0, 1, 41)
    for name, own, colour in (("genuine", ~native.made, _GENUINE), ("AI-made", native.made, _MADE_COLOUR)):
        histogram.hist(native.score[own], edges, density=True, alpha=0.6, color=colour, label=f"{name} ({own.sum()})")
    histogram.set(title="Scores of `ai_generated`, native", xlabel="score", ylabel="density")
    histogram.legend()
    for road, each in judged.items():
        reliability.plot(*_reliability(each.score, each.made, each.source), "o-", label=road)
    reliability.plot([0, 1], [0, 1], ":", color="grey")
    reliability.set(title="Reliability at even prior, sources alike", xlabel="score", ylabel="share AI-made")
    reliability.grid(alpha=0.3)
    reliability.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _reliability(score: np.ndarray, made: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean score and share forged by bin, both classes weighted alike and their sources too."""
    weight = np.zeros(len(score))
    for side in (True, False):
        weight[made == side] = alike(source[made == side]) / 2
    which = np.minimum((score * _BINS).astype(int), _BINS - 1)
    totals = np.bincount(which, weight, _BINS)
    there = totals > 0
    means = (np.bincount(which, weight * values, _BINS)[there] / totals[there] for values in (score, made))
    return tuple(means)  # type: ignore[return-value]
