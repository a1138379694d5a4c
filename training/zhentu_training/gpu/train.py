"""The training loop: from ridge heads on the frozen encoder to a mean of the tuned weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zhentu_training.gpu.arithmetic import fuse_blocks, mixed
from zhentu_training.gpu.augment import augmented
from zhentu_training.gpu.batches import Batch, Draw, Reconstruction, look_batch
from zhentu_training.gpu.network import Model
from zhentu_training.gpu.pictures import Columns, Pictures
from zhentu_training.gpu.plain import plain_heads
from zhentu_training.gpu.plan import ENCODER, LOOKS, Plan

_FORGED, _CLEAN = 0.5, 0.02  # shares of a place that is forged; in between it teaches nothing
_PLACES = 0.3  # weight of the places' loss beside the outputs'
_OUTPUTS = (0.35, 0.35, 0.35, 0.35, 1.0)  # weight of each output's loss
_WARM = 0.06  # first share of the steps, while the rate rises


def tuned(  # noqa: PLR0913 - what it learns from, how, and on what
    data: Pictures,
    frozen: dict[str, Tensor],
    use: Columns,
    plan: Plan,
    work: Path,
    taef2: Path | None = None,
    fused: bool = False,
) -> tuple[Model, Model]:
    """Train on some rows, bool (N,): the model with averaged weights, the one with plain heads on the frozen encoder.

    frozen: see `frozen_features`.  taef2: the folder of the tiny autoencoder's weights, for plans that reconstruct.
    fused: see `fuse_blocks`.
    """
    torch.manual_seed(plan.seed)
    model = Model(plan, work / ENCODER).to(data.device)
    plain_heads(model, data, frozen, use)
    begun, mean = copy.deepcopy(model), copy.deepcopy(model)
    if fused:
        fuse_blocks(model)
    optimiser = torch.optim.AdamW(parameter_groups(model, plan), betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, plan.steps))
    draw = Draw(data, use, plan.seed)
    reconstruct = Reconstruction(taef2, data.device) if taef2 and plan.reconstructed else None
    begin, first_integer = time.monotonic(), int(plan.steps * (1 - plan.integers))
    for step in range(plan.steps):
        if step == first_integer and plan.integers:
            model.integers(True)
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(model, drawn(data, draw, plan, reconstruct))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        keep = min(plan.averaged, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - keep)
        if step % 50 == 0:
            print(f"  step {step} loss {loss.item():.3f} after {time.monotonic() - begin:.1f} s", flush=True)
    mean.integers(bool(plan.integers))
    return mean, begun


def parameter_groups(model: Model, plan: Plan) -> list[dict[str, Any]]:
    """For AdamW, one group per parameter: blocks towards the input move less, and nothing but matrices decays."""
    groups = []
    for name, parameter in model.named_parameters():
        if name.startswith(("heads", "places")):
            rate = plan.head_rate
        elif name.startswith("vit.blocks"):
            rate = plan.rate * plan.decay ** (plan.depth - 1 - int(name.split(".")[2]))
        else:
            rate = plan.rate * plan.decay**plan.depth
        shrink = plan.weight_decay if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "lr": rate, "weight_decay": shrink})
    return groups


def rate_at(step: int, steps: int) -> float:
    """The rate's share at a step: a short rise, then half a cosine down to a hundredth."""
    return min((step + 1) / (_WARM * steps + 1), 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)


def drawn(data: Pictures, draw: Draw, plan: Plan, reconstruct: Reconstruction | None) -> list[Batch]:
    """One batch per look."""
    batches = []
    for look in LOOKS:
        rows = torch.from_numpy(draw.rows(plan.batch // 2)).to(data.device)
        batch = look_batch(data, rows, look, plan)
        if reconstruct is not None:
            batch = reconstruct.into(batch, plan.reconstructed)
        batches.append(replace(batch, views=augmented(batch.views)) if plan.augment else batch)
    return batches


def loss_of(model: Model, batches: Sequence[Batch]) -> Tensor:
    """Cross entropy of the known outputs and of the places, over one batch per look."""
    device = batches[0].views.device
    weight = torch.tensor(_OUTPUTS, device=device)
    loss = torch.zeros((), device=device)
    for look, batch in zip(LOOKS, batches, strict=True):
        with mixed(device.type):
            features, places = model.tokens(batch.views)
        logits, log_odds = model.said(look, features, places.float())
        each = functional.binary_cross_entropy_with_logits(logits, batch.targets * 0.98 + 0.01, reduction="none")
        loss = loss + (each * batch.known * weight).sum() / (batch.known * weight).sum()
        loss = loss + _PLACES * place_loss(log_odds, batch.places)
    return loss


def place_loss(said: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of places that are surely forged or surely not, both sides alike. truth: share, -1 = unknown."""
    forged, clean = truth >= _FORGED, (truth >= 0) & (truth <= _CLEAN)
    loss = functional.binary_cross_entropy_with_logits(said.float(), forged.float(), reduction="none")
    return (loss * forged).sum() / forged.sum().clamp(min=1) + (loss * clean).sum() / clean.sum().clamp(min=1)
