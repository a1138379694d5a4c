"""What is tuned: a vision transformer, a linear head and a places' head per look, with products as served."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from zhentu_training.gpu.arrays import floating
from zhentu_training.gpu.plan import LEVELS, LOOKS, OUTPUTS, Plan


class Rounded(torch.autograd.Function):
    """Rounding with the gradient passed straight through (Bengio et al. 2013)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """To whole numbers."""
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradient as it came."""
        return gradients[0]


def rounded(x: Tensor) -> Tensor:
    """See `Rounded`."""
    return cast(Tensor, Rounded.apply(x))


class IntegerLinear(nn.Linear):
    """A linear layer that can multiply as the served graph does: 8-bit activations, 7-bit weights per channel."""

    integers = False

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, in) -> (B, tokens, out)."""
        if not self.integers:
            return functional.linear(x, self.weight, self.bias)
        weight = self.weight.float()
        step = weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-8) / LEVELS
        weight = rounded(weight / step) * step  # within LEVELS by the step; clamping would hold back the largest
        kind, x = x.dtype, x.float()
        low, high = (each.detach() for each in x.flatten(1).aminmax(dim=1))
        low, high = low.clamp(max=0), high.clamp(min=0)
        unit = ((high - low) / 255).clamp(min=1e-8)[:, None, None]
        zero = (-low[:, None, None] / unit).round()
        x = ((rounded(x / unit) + zero).clamp(0, 255) - zero) * unit
        return functional.linear(x.to(kind), weight.to(kind), self.bias.to(kind))


class Model(nn.Module):
    """Encoder, with a linear head and a places' head per look. Features are standardised by fixed figures.

    weights: `encoder.npz`; None = random.
    """

    def __init__(self, plan: Plan, weights: Path | None) -> None:
        super().__init__()
        self.plan = plan
        self.vit = _encoder(plan, weights)
        width = self.vit.embed_dim
        told = width * (len(plan.class_tokens) + len(plan.patch_means))
        self.heads = nn.ModuleDict({look: nn.Linear(told, OUTPUTS) for look in LOOKS})
        self.places = nn.ModuleDict({look: nn.Linear(width * len(plan.place_blocks), 1) for look in LOOKS})
        for look in LOOKS:
            place = cast(nn.Linear, self.places[look])
            nn.init.zeros_(place.weight)
            nn.init.zeros_(place.bias)
            self.register_buffer(f"{look}_mean", torch.zeros(told))
            self.register_buffer(f"{look}_std", torch.ones(told))
        for name in ("mean", "std"):
            figures = torch.tensor(self.vit.default_cfg[name]).view(3, 1, 1)
            self.register_buffer(f"pixel_{name}", figures, persistent=False)

    def integers(self, on: bool) -> None:
        """Switch 8-bit products on or off."""
        for module in self.modules():
            if isinstance(module, IntegerLinear):
                module.integers = on

    def integer_weights(self) -> set[str]:
        """Names of the matrices that are served as integers."""
        return {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, IntegerLinear)}

    def tokens(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Views (B, 3, side, side) in [0, 255] -> what heads read (B, D * pieces), places' heads (B, places, D * n)."""
        vit, plan = self.vit, self.plan
        x = vit.norm_pre(vit._pos_embed(vit.patch_embed((views / 255 - self.pixel_mean) / self.pixel_std)))
        summaries, means, places = [], [], []
        for k, block in enumerate(vit.blocks):
            x = block(x)
            if k in plan.class_tokens:
                summaries.append(x[:, 0])
            if k in plan.patch_means:
                means.append(x[:, 1:].float().mean(1))
            if k in plan.place_blocks:
                places.append(x[:, 1:])
        return torch.cat([each.float() for each in summaries + means], 1), torch.cat(places, 2)

    def said(self, look: str, features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """What `tokens` gave -> logits (B, 5) and log-odds of places (B, places)."""
        x = (features - getattr(self, f"{look}_mean")) / getattr(self, f"{look}_std")
        return self.heads[look](x), self.places[look](places)[..., 0]


def _encoder(plan: Plan, weights: Path | None) -> Any:
    """The plan's transformer without classifier and last norm, its big products made `IntegerLinear`."""
    vit = timm.create_model(plan.backbone, pretrained=False, num_classes=0, img_size=plan.side)
    vit.reset_classifier(0, "")
    del vit.blocks[plan.depth :]
    vit.norm = nn.Identity()
    if weights is not None:
        with np.load(weights) as kept:
            state = floating(dict(kept))
        vit.load_state_dict({name: torch.from_numpy(state[name]) for name in vit.state_dict()})
    for block in vit.blocks:
        for product in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
            product.__class__ = IntegerLinear
    return vit
