"""Linear heads on frozen features: a ridge logistic regression per output, convex, without schedule or seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from zhentu_training.config import LookSpec
from zhentu_training.dataset import Origin, Sample
from zhentu_training.model import Head, TokenSpec

_LEAST_GAIN = 1e-5  # of the loss in a round of L-BFGS; below it the fit is done
_ROUNDS, _STEPS = 12, 20
_EPOCHS, _BATCH, _DROPOUT, _RATE, _DECAY = 12, 256, 0.3, 1e-3, 1e-2  # of the small network


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """Five logits from raw features. weight (5, D), bias (5,); deep: weight, bias, weight, bias of a small network."""

    weight: np.ndarray
    bias: np.ndarray
    deep: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Raw features (n, D) -> float32 (n, 5); what `Head` gives."""
        said = x @ self.weight.T + self.bias
        if self.deep is None:
            return said
        first, first_bias, second, second_bias = self.deep
        return (said + np.maximum(x @ first.T + first_bias, 0) @ second.T + second_bias) / 2

    def put_into(self, head: Head) -> None:
        """Copy the weights into the torch module of the graph."""
        layers = [head.linear] if head.deep is None else [head.linear, head.deep[0], head.deep[2]]
        values = [self.weight, self.bias, *(self.deep or ())]
        with torch.no_grad():
            for layer, weight, bias in zip(layers, values[::2], values[1::2], strict=True):
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(bias))


def read_tokens(features: np.ndarray, tokens: TokenSpec) -> np.ndarray:
    """Features float16 (n, blocks, 3, D) -> what a head reads, float32 (n, D * pieces)."""
    return np.concatenate([features[:, block, kind] for block, kind in tokens.places], 1).astype(np.float32)


def weights_of(
    samples: Sequence[Sample], targets: np.ndarray, known: np.ndarray, power: float, real_share: float
) -> np.ndarray:
    """Weight of each row for each output, float32 (n, 5): classes weigh one half, big sources do not drown small ones.

    real_share: of the forged half, what real edits have where there are real edits and the project's own forgeries.
    """
    keys = [(sample.origin, sample.recipe if sample.origin is Origin.OWN else sample.source) for sample in samples]
    own = np.array([sample.origin is Origin.OWN for sample in samples])
    weights = np.zeros(targets.shape, np.float64)
    for k in range(targets.shape[1]):
        for side in (0, 1):
            inside = (known[:, k] > 0) & ((targets[:, k] > 0) == side)
            if not inside.any():
                continue
            counts = Counter(key for key, use in zip(keys, inside, strict=True) if use)
            even = np.array([counts[key] ** power if use else 0.0 for key, use in zip(keys, inside, strict=True)])
            parts = [even * own, even * ~own]
            shares = (1 - real_share, real_share) if side and all(part.any() for part in parts) else None
            if shares is not None:
                even = sum(share * part / part.sum() for share, part in zip(shares, parts, strict=True))
            weights[:, k] += even / even.sum() / 2
    return weights.astype(np.float32)


def fit_head(  # noqa: PLR0913 - data, design, and what is tuned from
    x: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    look: LookSpec,
    seed: int = 0,
    anchor: FittedHead | None = None,
    reminded: np.ndarray | None = None,
) -> FittedHead:
    """Fit x (n, D) -> outputs, targets and weights (n, outputs).

    loss = weighted cross entropy + ridge * |weights on standardised features|^2.

    anchor: another head, towards which the ridge draws instead of towards zero: what the pictures at hand do not
    cover stays as it was. An output of which they show only one class stays unchanged. reminded: bool (n,), rows whose
    target is not their label but what the anchor says of them (Li & Hoiem 2016, "Learning without Forgetting"): a few
    old pictures keep a head in place; their labels would be learnt by heart.
    """
    mean, deviation = x.mean(0, dtype=np.float64).astype(np.float32), x.std(0, dtype=np.float32) + 1e-4
    scaled = torch.from_numpy((x - mean) / deviation)
    y, w = torch.from_numpy(targets.astype(np.float32)), torch.from_numpy(_of_both_classes(targets, weights))
    start, bias = torch.zeros((targets.shape[1], x.shape[1])), torch.zeros(targets.shape[1])
    if anchor is not None:
        start = torch.from_numpy((anchor.weight * deviation).astype(np.float32))
        bias = torch.from_numpy((anchor.bias + anchor.weight @ mean).astype(np.float32))
        if reminded is not None:
            y = torch.where(torch.from_numpy(reminded)[:, None], torch.sigmoid(scaled @ start.T + bias), y)
    head, bias = _minimised(scaled, y, w, start, bias, look.ridge)
    weight = head.numpy() / deviation
    deep = None
    if look.hidden:
        deep = _fit_network(scaled, y, w, look.hidden, seed, mean, deviation)
    return FittedHead(weight, bias.numpy() - weight @ mean, deep)


def _of_both_classes(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights, all 0 for an output with only one class present."""
    sides = [targets > 0, targets <= 0]
    both = np.all([((weights > 0) & side).any(0) for side in sides], axis=0)
    return (weights * both).astype(np.float32)


def _minimised(
    x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, start: torch.Tensor, bias: torch.Tensor, ridge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    head, bias = start.clone().requires_grad_(), bias.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([head, bias], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (binary_cross_entropy_with_logits(x @ head.T + bias, y, reduction="none") * w).sum()
        loss = loss + ridge * ((head - start) ** 2).sum()
        loss.backward()
        return loss

    last = float("inf")
    for _ in range(_ROUNDS):
        loss = float(optimiser.step(closure).detach())  # the loss before the round
        if last - loss < _LEAST_GAIN:
            break
        last = loss
    return head.detach(), bias.detach()


def _fit_network(  # noqa: PLR0913 - data and its scale
    x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, hidden: int, seed: int, mean: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A network of one hidden layer, by AdamW with dropout on its inputs; weights are of raw features."""
    torch.manual_seed(seed)
    first, second = torch.nn.Linear(x.shape[1], hidden), torch.nn.Linear(hidden, y.shape[1])
    optimiser = torch.optim.AdamW([*first.parameters(), *second.parameters()], lr=_RATE, weight_decay=_DECAY)
    dropout = torch.nn.Dropout(_DROPOUT)
    per_row = w * len(x)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(x)).split(_BATCH):
            said = second(dropout(torch.relu(first(dropout(x[rows])))))
            loss = (binary_cross_entropy_with_logits(said, y[rows], reduction="none") * per_row[rows]).mean(0).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        weight = first.weight.numpy() / deviation
        return weight, first.bias.numpy() - weight @ mean, second.weight.numpy().copy(), second.bias.numpy().copy()
