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
from zhentu_training.gpu.grids import resampling
from zhentu_training.gpu.plan import LEVELS, LOOKS, OUTPUTS, PATCH, Plan


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
            own, grid = self.vit.patch_embed.grid_size[0], plan.side_of(look) // PATCH
            self.register_buffer(f"places_{grid}", resampling(own, grid), persistent=False)
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
        patches = vit.patch_embed.proj((views / 255 - self.pixel_mean) / self.pixel_std)
        with torch.autocast(views.device.type, enabled=False):  # positions are added up in 32 bits
            table = (getattr(self, f"places_{patches.shape[2]}") @ vit.pos_embed[0, 1:])[None]
            summary = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(views), -1, -1)
            x = vit.norm_pre(torch.cat([summary, patches.flatten(2).transpose(1, 2).float() + table], 1))
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
        return self.logits(look, features), self.places[look](places)[..., 0]

    def logits(self, look: str, features: Tensor) -> Tensor:
        """Of the five outputs (B, 5)."""
        x = (features - getattr(self, f"{look}_mean")) / getattr(self, f"{look}_std")
        return cast(Tensor, self.heads[look](x))


def _encoder(plan: Plan, weights: Path | None) -> Any:
    """The plan's transformer without classifier and last norm, its big products made `IntegerLinear`."""
    vit = timm.create_model(plan.backbone, pretrained=False, num_classes=0)
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
