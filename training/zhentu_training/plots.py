"""Curves of the model card: ROC, score histograms and reliability of `forged`, on pictures of unseen sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import RocCurveDisplay

from zhentu.types import Output
from zhentu_training.tables import Scored

_GENUINE, _MADE = "#2b7a4b", "#c0392b"


def plot_curves(scored: Scored, path: Path) -> None:
    """Write one PNG of three panels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    made = np.array([sample.forged for sample in scored.samples])
    figure, (roc, histogram, reliability) = plt.subplots(1, 3, figsize=(15, 4.6))
    for tier, values in scored.tiers.items():
        RocCurveDisplay.from_predictions(made, values[:, Output.FORGED.column], name=tier, ax=roc)
    roc.set(title="Real AI-made against genuine, unseen sources", xlabel="false alarms", ylabel="recall")
    roc.grid(alpha=0.3)
    native = scored.tiers["native"][:, Output.FORGED.column]
    bins = np.linspace(0, 1, 41)
    for name, own, colour in (("genuine", ~made, _GENUINE), ("AI-made", made, _MADE)):
        histogram.hist(native[own], bins, density=True, alpha=0.6, color=colour, label=f"{name} ({own.sum()})")
    histogram.set(title="Scores of `forged`, native", xlabel="score", ylabel="density")
    histogram.legend()
    # Even prior, as the scores are calibrated: genuine pictures outnumber the AI-made ones here.
    rng = np.random.default_rng(1)
    even = np.r_[np.flatnonzero(made), rng.choice(np.flatnonzero(~made), made.sum(), replace=False)]
    CalibrationDisplay.from_predictions(made[even], native[even], n_bins=8, ax=reliability, name="forged")
    reliability.set(title="Reliability at even prior, native", xlabel="score", ylabel="share AI-made")
    reliability.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
