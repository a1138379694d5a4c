"""The fitted part of the comparison: figures of a pair in, six logits out. One ridge logistic regression an output."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from zhentu.detect.figures import NAMES
from zhentu.detect.questions import ANSWERED

_CAP = 3.0  # deviations; larger values carry no more information
RIDGE = 1.0  # scikit-learn's C: best of ten by cross-fitting, the table stands in DECISIONS.md


class Heads(nn.Module):
    """figures (N, len(NAMES)) -> logits (N, len(ANSWERED)): of a mismatch, then of each question that it differs."""

    def __init__(self, figures: int = len(NAMES)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(figures))
        self.register_buffer("deviation", torch.ones(figures))
        self.linear = nn.Linear(figures, len(ANSWERED))

    def scaled(self, figures: Tensor) -> Tensor:
        """Figures in deviations from their mean, capped."""
        return ((figures - self.mean) / self.deviation).clamp(-_CAP, _CAP)

    def forward(self, figures: Tensor) -> Tensor:
        """See the class."""
        return self.linear(self.scaled(figures))


@torch.inference_mode()
def fit(figures: np.ndarray, truth: np.ndarray, weight: np.ndarray, ridge: float = RIDGE) -> Heads:
    """Fit all outputs. truth (N, ANSWERED) is 1, 0 or negative for unknown; weight (N,) of each pair.

    In every output both answers weigh alike. An output of which one answer never occurs stays at even odds.
    """
    heads = Heads(figures.shape[1]).eval()
    heads.mean.copy_(torch.from_numpy(figures.mean(0)))
    heads.deviation.copy_(torch.from_numpy(figures.std(0) + 1e-4))
    scaled = heads.scaled(torch.from_numpy(figures).float()).numpy()
    heads.linear.weight.zero_()
    heads.linear.bias.zero_()
    for k in range(truth.shape[1]):
        known = truth[:, k] >= 0
        answers = truth[known, k]
        if len(set(answers.tolist())) < 2:
            continue
        own = weight[known] * np.where(answers == 1, 0.5 / weight[known][answers == 1].sum(), 1.0)
        own[answers == 0] *= 0.5 / weight[known][answers == 0].sum()
        fitted = LogisticRegression(C=ridge, max_iter=500).fit(scaled[known], answers, own * known.sum())
        heads.linear.weight[k] = torch.from_numpy(fitted.coef_[0].astype(np.float32))
        heads.linear.bias[k] = float(fitted.intercept_[0])
    return heads


@torch.inference_mode()
def logits_of(heads: Heads, figures: np.ndarray) -> np.ndarray:
    """Logits (N, ANSWERED) of figures."""
    return heads(torch.from_numpy(figures).float()).numpy()
