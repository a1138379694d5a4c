"""The fitted part of the comparison: figures of a pair in, six logits out. A few small networks, averaged."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from zhentu.detect.figures import NAMES
from zhentu.detect.questions import ANSWERED

_CAP = 4.0  # deviations; beyond them a figure says no more


class Heads(nn.Module):
    """figures (N, len(NAMES)) -> logits (N, len(ANSWERED)): of a mismatch, then of each question that it differs."""

    def __init__(self, members: int = 5, hidden: int = 32, figures: int = len(NAMES)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(figures))
        self.register_buffer("deviation", torch.ones(figures))
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(0.1),
                nn.Linear(figures, hidden),
                nn.GELU(),
                nn.Dropout(0.3),
                nn.Linear(hidden, len(ANSWERED)),
            )
            for _ in range(members)
        )

    def forward(self, figures: Tensor) -> Tensor:
        """See the class."""
        x = ((figures - self.mean) / self.deviation).clamp(-_CAP, _CAP)
        return torch.stack([member(x) for member in self.members]).mean(0)


def fit(figures: np.ndarray, truth: np.ndarray, weight: np.ndarray, seed: int, steps: int = 500) -> Heads:
    """Fit all members. truth (N, ANSWERED) is 1, 0 or negative for unknown; weight (N,) of each pair.

    In every output both answers weigh alike.
    """
    torch.manual_seed(seed)
    heads = Heads(figures=figures.shape[1])
    x, y = torch.from_numpy(figures).float(), torch.from_numpy(truth).float()
    heads.mean.copy_(x.mean(0))
    heads.deviation.copy_(x.std(0) + 1e-4)
    known, base = (y >= 0).float(), torch.from_numpy(weight).float()[:, None]
    each = known * base
    yes, no = each * (y == 1), each * (y == 0)
    balanced = yes / yes.sum(0).clamp(min=1e-9) + no / no.sum(0).clamp(min=1e-9)
    optimiser = torch.optim.AdamW(heads.parameters(), 3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, steps)
    scaled = ((x - heads.mean) / heads.deviation).clamp(-_CAP, _CAP)
    heads.train()
    for _ in range(steps):
        noisy = scaled + 0.1 * torch.randn_like(scaled)
        loss = sum(
            (binary_cross_entropy_with_logits(member(noisy), y.clamp(min=0), reduction="none") * balanced).sum()
            for member in heads.members
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return heads.eval()


@torch.inference_mode()
def logits_of(heads: Heads, figures: np.ndarray) -> np.ndarray:
    """Logits (N, ANSWERED) of figures."""
    return heads(torch.from_numpy(figures).float()).numpy()
