"""Ridge heads on the frozen encoder: what tuning begins from and is measured against (Kumar et al. 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from zhentu_training.gpu.arithmetic import fuse_blocks, mixed, views_at_once
from zhentu_training.gpu.network import Model
from zhentu_training.gpu.pictures import Columns, Pictures
from zhentu_training.gpu.plan import ENCODER, LOOK_OF, LOOKS, OUTPUTS, VIEWS, Plan
from zhentu_training.gpu.views import served

RIDGE = {"whole": 0.01, "crops": 0.03}
VIEWS_OF = {look: tuple(view for view in VIEWS if LOOK_OF[view] == look) for look in LOOKS}


def fit_ridge(x: Tensor, targets: Tensor, weights: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Ridge logistic regression on standardised features (n, D): weight (5, D), bias (5,). targets, weights: (n, 5)."""
    head = torch.zeros(OUTPUTS, x.shape[1], device=x.device, requires_grad=True)
    bias = torch.zeros(OUTPUTS, device=x.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([head, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (
            functional.binary_cross_entropy_with_logits(x @ head.T + bias, targets, reduction="none") * weights
        ).sum()
        loss = loss + ridge * (head**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    return head.detach(), bias.detach()


def row_weights(data: Pictures, use: Columns) -> Columns:
    """Weight of each row for each output (N, 5): classes weigh one half, half of a forged half is real edits."""
    targets, known = data.targets.cpu().numpy(), data.known.cpu().numpy()
    weights = np.zeros(targets.shape)
    for k in range(OUTPUTS):
        for side in (0, 1):
            inside = use & (known[:, k] > 0) & ((targets[:, k] > 0) == side)
            own = inside & (data.origin == "own")
            groups = [own, inside & ~own] if side and own.any() and (inside & ~own).any() else [inside]
            for group in groups:
                if group.any():
                    weights[:, k] += data.even(group) / len(groups) / 2
    return weights


@torch.inference_mode()
def features(model: Model, data: Pictures, view: str) -> Tensor:
    """What heads read of serving's views of all pictures, float32 (N, D)."""
    found, side = [], model.plan.side_of(LOOK_OF[view])
    for part in torch.arange(data.count, device=data.device).split(views_at_once(data.device)):
        with mixed(data.device):
            found.append(model.tokens(served(data, part, view, side))[0].float())
    return torch.cat(found)


def frozen_features(work: Path, data: Pictures, plan: Plan, fused: bool = False) -> dict[str, Tensor]:
    """Features of the frozen encoder by view, kept for runs of the same depth and sizes. fused: see `fuse_blocks`."""
    path = work / f"frozen-{plan.backbone}-{plan.depth}-{plan.whole}-{plan.crop}.pt"
    if path.is_file():
        return cast(dict[str, Tensor], torch.load(path, map_location=data.device))
    model = Model(plan, work / ENCODER).to(data.device)
    if fused:
        fuse_blocks(model)
    found = {view: features(model, data, view) for view in VIEWS}
    torch.save(found, path)
    return found


def plain_heads(model: Model, data: Pictures, frozen: dict[str, Tensor], use: Columns) -> None:
    """Fit both heads on frozen features of some rows, bool (N,), and put them into the model."""
    weights = torch.from_numpy(row_weights(data, use)).float().to(data.device)
    rows = torch.from_numpy(np.flatnonzero(use)).to(data.device)
    for look, views in VIEWS_OF.items():
        x = torch.cat([frozen[view][rows] for view in views])
        mean, std = x.mean(0), x.std(0) + 1e-3
        targets, shares = data.targets[rows].repeat(len(views), 1), weights[rows].repeat(len(views), 1) / len(views)
        weight, bias = fit_ridge((x - mean) / std, targets, shares, RIDGE[look])
        getattr(model, f"{look}_mean").copy_(mean)
        getattr(model, f"{look}_std").copy_(std)
        head = cast(nn.Linear, model.heads[look])
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)
