"""The comparison as a torch module: views of a picture and its references in, how far they show the same goods out.

Patch tokens of a frozen transformer are matched across the two pictures, wherever in the picture and however large the
goods are: for every patch of the goods the best match on the other side is sought. What is left unmatched, and how the
matched patches differ in colour and texture, decides. A few of these figures enter a small network; there is no room in
it to learn the training goods by heart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize

from zhentu_training.model import BackboneSpec, Branch

TOKEN_BLOCKS = (2, 5, 8)  # surface, parts, objects
PATCH = 16  # pixels a side
_SHARPNESS = 30.0  # of the soft match
# sRGB in [0, 1] to opponent colours (Geusebroek et al. 2001): lightness, yellow-blue, red-green
_TO_OPPONENT = torch.tensor([[0.06, 0.63, 0.27], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17]])


class Encoder(Branch):
    """Frozen: uint8 (B, S, S, 3) -> tokens (B, blocks, places, D), centred and of unit length, and pixel figures."""

    def __init__(self, spec: BackboneSpec, blocks: tuple[int, int, int] = TOKEN_BLOCKS) -> None:
        super().__init__(spec)
        self.backbone.requires_grad_(False)
        self.blocks = blocks
        del self.backbone.blocks[max(blocks) + 1 :]
        self.register_buffer("centre", torch.zeros(len(blocks), self.backbone.embed_dim))

    def raw_tokens(self, views: Tensor) -> Tensor:
        """Patch tokens after each of the blocks, (B, blocks, places, D), as they are."""
        vit = self.backbone
        x = vit.norm_pre(vit._pos_embed(vit.patch_embed(self.pixels(views))))
        found = []
        for k, block in enumerate(vit.blocks):
            x = block(x)
            if k in self.blocks:
                found.append(x[:, vit.num_prefix_tokens :])
        return torch.stack(found, 1)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, blocks, places, D) and per place (B, places, 5): three opponent colours, their spread, edges."""
        tokens = normalize(self.raw_tokens(views) - self.centre[:, None], dim=-1)
        return tokens, surface(views)


def surface(views: Tensor) -> Tensor:
    """Per patch: mean of three opponent colours, deviation of lightness, mean gradient: float32 (B, places, 5)."""
    pixels = views.permute(0, 3, 1, 2).float() / 255
    opponent = torch.einsum("oc,bchw->bohw", _TO_OPPONENT.to(pixels), pixels)
    light = opponent[:, :1]
    mean = avg_pool2d(opponent, PATCH)
    spread = (avg_pool2d(light * light, PATCH) - avg_pool2d(light, PATCH) ** 2).clamp(min=0).add(1e-6).sqrt()
    across = (light[..., 1:] - light[..., :-1]).abs()[..., :-1, :]
    down = (light[..., 1:, :] - light[..., :-1, :]).abs()[..., :, :-1]
    edges = avg_pool2d(nn.functional.pad(across + down, (0, 1, 0, 1)), PATCH)
    return torch.cat([mean, spread, edges], 1).flatten(2).transpose(1, 2)


def goods_weight(tokens: Tensor) -> Tensor:
    """How much each place is goods rather than ground, (B, places), summing to 1.

    Places unlike the border of their own picture are goods; a weak pull to the middle helps where all is alike.
    """
    middle = tokens[:, 1]  # the second of the blocks: objects stand out, places are still places
    places = middle.shape[1]
    side = int(places**0.5)
    ring = torch.zeros(side, side, dtype=torch.bool)
    ring[0], ring[-1], ring[:, 0], ring[:, -1] = True, True, True, True
    border = middle[:, ring.flatten()]
    likeness = torch.einsum("bpd,bqd->bpq", middle, border).topk(6, dim=2).values.mean(2)
    axis = torch.linspace(-1, 1, side)
    pull = 0.15 * (axis[:, None] ** 2 + axis[None] ** 2).flatten().to(likeness)
    return torch.softmax(-6 * (likeness + pull), 1)


def figures(tokens: Tensor, other: Tensor, face: Tensor, other_face: Tensor) -> tuple[Tensor, Tensor]:
    """How one picture's goods are found again in the other.

    tokens, other: (B, blocks, places, D); face, other_face: (B, places, 5). Returns figures (B, 3 * blocks + 7) and the
    best likeness per place (B, places), averaged over blocks.
    """
    weight = goods_weight(tokens)
    likeness = torch.einsum("bkpd,bkqd->bkpq", tokens, other)
    best = likeness.max(3).values
    mean = (best * weight[:, None]).sum(2)
    worst = torch.logsumexp(-8 * best + weight[:, None].clamp(min=1e-9).log(), 2) / -8
    wide = ((best - mean[..., None]) ** 2 * weight[:, None]).sum(2).clamp(min=1e-9).sqrt()
    # Where a place went, by all blocks together, softly: colour and texture are compared there.
    match = torch.softmax(_SHARPNESS * likeness[:, 1:].mean(1), 2)
    found = match @ other_face
    colour = (face[..., :3] - found[..., :3]).abs()
    # White balance and exposure shift all places alike: what is left after the common shift is the goods' own.
    shift = ((face[..., :3] - found[..., :3]) * weight[..., None]).sum(1, keepdim=True)
    own = (face[..., :3] - found[..., :3] - shift).abs()
    texture = (face[..., 3:].clamp(min=1e-3).log() - found[..., 3:].clamp(min=1e-3).log()).abs()
    stacked = torch.cat([colour, own[..., 1:], texture], 2)
    parts = (stacked * weight[..., None]).sum(1)
    return torch.cat([mean, worst, wide, parts], 1), best.mean(1)


FIGURES = 2 * (3 * len(TOKEN_BLOCKS) + 7)


class Comparison(nn.Module):
    """views uint8 (1 + N, S, S, 3), picture first -> logits (N,) of a mismatch, likeness (N,), map (N, side, side)."""

    def __init__(self, spec: BackboneSpec, blocks: tuple[int, int, int] = TOKEN_BLOCKS, hidden: int = 24) -> None:
        super().__init__()
        self.encoder = Encoder(spec, blocks)
        self.register_buffer("mean", torch.zeros(FIGURES))
        self.register_buffer("deviation", torch.ones(FIGURES))
        self.head = nn.Sequential(
            nn.Linear(FIGURES, hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, 1, bias=True)
        )

    def judge(self, seen: Tensor) -> Tensor:
        """Figures of both directions (N, FIGURES) -> logits (N,)."""
        return self.head((seen - self.mean) / self.deviation)[:, 0]

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class. The map holds the best likeness of each place of the picture, from -1 to 1."""
        tokens, face = self.encoder(views)
        count = views.shape[0] - 1
        picture, picture_face = tokens[:1].expand(count, -1, -1, -1), face[:1].expand(count, -1, -1)
        there, likeness = figures(picture, tokens[1:], picture_face, face[1:])
        back, _ = figures(tokens[1:], picture, face[1:], picture_face)
        weight = goods_weight(picture)
        side = self.encoder.backbone.patch_embed.grid_size
        return self.judge(torch.cat([there, back], 1)), (likeness * weight).sum(1), likeness.unflatten(1, side)
