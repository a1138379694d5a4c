"""Fine-tune the encoder with its heads, on a machine with a GPU that has torch, timm and OpenCV and nothing else.

    python tune.py ready   --shards /tmp/shards --work /tmp/tune                    # decode, look once, fit plain heads
    python tune.py run     --work /tmp/tune --out $OUT full:0,1 full6:0,1           # designs, scored on left-out folds
    python tune.py run     --work /tmp/tune --out $OUT full:0,1,2,3,4,final         # all folds; the weights come back

Begins from the frozen encoder with ridge heads fitted on it (linear probing, then fine-tuning: Kumar et al. 2022).
Every view is made on the GPU: geometry, tone, blur, noise and JPEG, the same for both classes. The last part of a run
trains with 8-bit products (weights of 7 bits an output channel, so that no processor's sums overflow; activations of 8
bits a view, as ONNX's DynamicQuantizeLinear makes them), so that the served integers are those that were trained.
Weights are averaged over the last steps (an exponential mean).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, WEB, WINDOW = 224, 512, 256  # pixels: of a view, of the web copy's long side, of the native crop's window
OUTPUTS = 5  # material_mismatch, exaggerated_effect, scene_distortion, cutout_artifact, ai_generated
MADE = 4  # place of ai_generated
LOOKS = ("whole", "crops")
VIEWS = ("whole", "crop_native", "crop_web")  # what a picture is judged by
_LEVELS = 63  # of a weight: 7 bits, so that u8 x s8 sums of two never pass 16 bits on AVX2
_POWER = -0.45  # of a source's size, in how often its pictures are drawn
_RIDGE = {"whole": 0.01, "crops": 0.03}


@dataclass(frozen=True)
class Plan:
    """How one run is made. Names are those of a row in DECISIONS.md."""

    depth: int = 8
    steps: int = 300
    rate: float = 2e-5
    decay: float = 0.8  # of the rate, block by block towards the input
    head_rate: float = 2e-4
    weight_decay: float = 0.05
    batch: int = 256
    reconstructed: float = 0.0  # share of the AI-made places of a batch taken by round trips of genuine ones
    integers: float = 0.3  # last share of the steps with 8-bit products
    averaged: float = 0.99
    augment: bool = True
    seed: int = 7

    @property
    def class_tokens(self) -> tuple[int, ...]:
        """Blocks whose class token the heads read."""
        return tuple(range(max(self.depth - 4, 0), self.depth))

    @property
    def patch_means(self) -> tuple[int, ...]:
        """Blocks whose mean patch the heads read."""
        return tuple(sorted({min(3, self.depth - 1), min(4, self.depth - 1)}))

    @property
    def place_blocks(self) -> tuple[int, ...]:
        """Blocks whose patches the places' heads read."""
        return tuple(sorted({min(4, self.depth - 1), self.depth - 2}))


PLANS = {
    "gentle": Plan(rate=7e-6),
    "full": Plan(),
    "full6": Plan(depth=6),
    "pairs": Plan(reconstructed=0.25),
    "bold": Plan(rate=5e-5),
    "tiny": Plan(depth=2, steps=4, batch=16),
}


# ---------------------------------------------------------------------------------------------------------- pictures


class Pictures:
    """All parcels, decoded, on the device. web (N, 3, 512, 512) and crop (N, 3, 256, 256) uint8, padded."""

    def __init__(self, folder: Path, device: str) -> None:
        packed = {name: value for name, value in np.load(folder / "pictures.npz").items()}
        self.device = device
        self.name, self.source, self.origin = packed["name"], packed["source"], packed["origin"]
        self.recipe, self.number, self.pair, self.fold = (packed[k] for k in ("recipe", "number", "pair", "fold"))
        for name in ("web", "crop"):
            setattr(self, name, torch.from_numpy(np.load(folder / f"{name}.npy")).to(device))
        for name in ("web_size", "crop_size", "web_box", "crop_box", "native", "targets", "known", "masks", "mask_at"):
            setattr(self, name, torch.from_numpy(packed[name]).to(device))
        self.count = len(self.name)

    def even(self, use: np.ndarray) -> np.ndarray:
        """How often each of some rows is drawn (adds up to 1): big sources do not drown small ones."""
        keys = np.where(self.origin == "own", self.recipe, self.source)
        _, at, counts = np.unique(keys[use], return_inverse=True, return_counts=True)
        weight = np.zeros(self.count)
        weight[use] = counts[at] ** _POWER
        return weight / max(weight.sum(), 1e-12)


def unpack(shards: Path, work: Path) -> None:
    """Decode every shard's JPEGs into arrays that a run loads in seconds."""
    from concurrent.futures import ThreadPoolExecutor

    cv2.setNumThreads(1)
    work.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[np.ndarray]] = {}
    planes: dict[str, list[np.ndarray]] = {"web": [], "crop": []}
    masks, mask_at, done = [np.zeros((1, 64, 64), np.uint8)], [], 0
    for path in sorted(shards.glob("shard-*.npz")):
        with np.load(path) as shard:
            content = dict(shard)
        count = len(content["number"])
        for name, side in (("web", WEB), ("crop", WINDOW)):
            ends = content[f"{name}_ends"]
            starts = np.concatenate([[0], ends[:-1]])
            payload = content[f"{name}_bytes"]
            plane, sizes = np.zeros((count, 3, side, side), np.uint8), np.zeros((count, 2), np.int64)

            def one(k: int, plane=plane, sizes=sizes, payload=payload, starts=starts, ends=ends) -> None:
                rgb = cv2.imdecode(payload[starts[k] : ends[k]], cv2.IMREAD_COLOR)[..., ::-1]
                sizes[k] = rgb.shape[:2]
                plane[k, :, : rgb.shape[0], : rgb.shape[1]] = rgb.transpose(2, 0, 1)

            with ThreadPoolExecutor(16) as pool:
                list(pool.map(one, range(count)))
            planes[name].append(plane)
            parts.setdefault(f"{name}_size", []).append(sizes)
        for name in ("number", "name", "source", "origin", "recipe", "pair", "fold", "targets", "known", "web_box",
                     "crop_box", "native"):  # fmt: skip
            parts.setdefault(name, []).append(content[name])
        at = np.zeros(count, np.int64)
        at[content["masked"]] = 1 + sum(len(each) for each in masks[1:]) + np.arange(len(content["masked"]))
        masks.append(content["masks"])
        mask_at.append(at)
        done += count
    for name, each in planes.items():
        np.save(work / f"{name}.npy", np.concatenate(each))
    np.savez(work / "pictures.npz", masks=np.concatenate(masks), mask_at=np.concatenate(mask_at),
             **{name: np.concatenate(each) for name, each in parts.items()})  # fmt: skip
    print(f"{done} pictures", flush=True)


def filters(start: Tensor, length: Tensor, size: Tensor, most: int) -> Tensor:
    """Resampling weights (B, SIDE, most) of one axis: area averaging on the way down, linear on the way up.

    start, length: of the window in input pixels (B,).  size: input pixels that are there (B,).
    """
    step = (length / SIDE)[:, None, None]
    out = torch.arange(SIDE, device=start.device, dtype=torch.float32)[None, :, None]
    pixel = torch.arange(most, device=start.device, dtype=torch.float32)[None, None, :]
    first = start[:, None, None] + out * step
    area = (torch.minimum(pixel + 1, first + step) - torch.maximum(pixel, first)).clamp(0) / step
    centre = (first + step / 2 - 0.5).clamp(min=0)
    centre = torch.minimum(centre, (size[:, None, None] - 1).float())
    linear = (1 - (pixel - centre).abs()).clamp(0)
    weights = torch.where(step >= 1, area, linear)
    weights = weights * (pixel < size[:, None, None])
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-6)


def resampled(planes: Tensor, size: Tensor, window: Tensor) -> Tensor:
    """Windows (B, 4: top, left, height, width in pixels) of uint8 planes (B, 3, S, S) as float views (B, 3, 224, 224)."""
    most = planes.shape[-1]
    rows = filters(window[:, 0], window[:, 2], size[:, 0], most)
    columns = filters(window[:, 1], window[:, 3], size[:, 1], most)
    exact = torch.float32
    x = torch.einsum("boh,bchw->bcow", rows.to(exact), planes.to(exact))
    return torch.einsum("bcow,bpw->bcop", x, columns.to(exact)).clamp(0, 255)


def serving_windows(data: Pictures, rows: Tensor, view: str) -> tuple[Tensor, Tensor, Tensor]:
    """Planes, sizes and windows as serving cuts them."""
    planes, size = (data.crop, data.crop_size) if view == "crop_native" else (data.web, data.web_size)
    size = size[rows]
    if view == "whole":
        window = torch.cat([torch.zeros_like(size), size], 1).float()
    else:
        box = (data.crop_box if view == "crop_native" else data.web_box)[rows]
        window = torch.stack([box[:, 1], box[:, 0], *torch.full_like(box, SIDE).T], 1).float()
    return planes[rows], size, window


def mirrored(planes: Tensor, size: Tensor) -> Tensor:
    """Planes smaller than a view filled by mirroring at the border, as serving does (OpenCV's BORDER_REFLECT)."""
    side = torch.arange(planes.shape[-1], device=planes.device)
    rows, columns = (torch.minimum(side[None], 2 * s[:, None] - 1 - side[None]).clamp(min=0) for s in size.T)
    rows, columns = (torch.where(side[None] < s[:, None], side[None], at) for s, at in zip(size.T, (rows, columns)))
    batch = torch.arange(len(planes), device=planes.device)
    return planes[batch[:, None, None, None], torch.arange(3, device=planes.device)[None, :, None, None],
                  rows[:, None, :, None], columns[:, None, None, :]]  # fmt: skip


def served(data: Pictures, rows: Tensor, view: str) -> Tensor:
    """Views as serving makes them, float (B, 3, 224, 224) of whole numbers."""
    planes, size, window = serving_windows(data, rows, view)
    if view != "whole":
        planes, size = mirrored(planes, size), size.clamp(min=SIDE)
    return resampled(planes, size, window).round()


def drawn_windows(size: Tensor, window: Tensor, whole: bool) -> Tensor:
    """Windows moved about at random: half of them stay as serving has them."""
    count, device = len(size), size.device
    extent = size.clamp(min=SIDE).float()
    if whole:
        share = torch.rand(count, 2, device=device) * 0.4 + 0.6
        length = extent * share
        length = size.float() * share
        start = torch.rand(count, 2, device=device) * (size.float() - length)
    else:
        scale = torch.where(
            torch.rand(count, 1, device=device) < 0.3, torch.rand(count, 1, device=device) * 0.5 + 0.75, 1.0
        )
        length = torch.minimum(SIDE * scale.expand(-1, 2), extent)
        moved = window[:, :2] + (torch.rand(count, 2, device=device) - 0.5) * 160
        start = torch.minimum(moved.clamp(min=0), extent - length)
        start = torch.where(scale == 1, start.round(), start)
        start = torch.minimum(start, extent - length)
    other = torch.cat([start, length], 1)
    return torch.where(torch.rand(count, 1, device=device) < 0.5, window, other)


def mask_views(data: Pictures, rows: Tensor, view: str, window: Tensor, size: Tensor) -> Tensor:
    """How much of each of 14 x 14 places is forged (B, 14, 14), for windows of the web copy or of the native window."""
    masks = data.masks[data.mask_at[rows]].float()[:, None] / 255
    share = window / torch.cat([size, size], 1).float().clamp(min=1)
    if view == "crop_native":
        left, top, width, height = data.native[rows].T
        top_, left_ = top + share[:, 0] * height, left + share[:, 1] * width
        share = torch.stack([top_, left_, share[:, 2] * height, share[:, 3] * width], 1)
    steps = (torch.arange(28, device=rows.device) + 0.5) / 28
    y = (share[:, 0, None] + steps * share[:, 2, None]) * 2 - 1
    x = (share[:, 1, None] + steps * share[:, 3, None]) * 2 - 1
    grid = torch.stack([x[:, None, :].expand(-1, 28, -1), y[:, :, None].expand(-1, -1, 28)], 3)
    return F.avg_pool2d(F.grid_sample(masks, grid, align_corners=False, padding_mode="border"), 2)[:, 0]


# ------------------------------------------------------------------------------------------------------ augmentation

_LUMA = torch.tensor([16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120,
    101, 72, 92, 95, 98, 112, 100, 103, 99], dtype=torch.float32).view(8, 8)  # fmt: skip
_CHROMA = torch.full((8, 8), 99.0)
_CHROMA[:4, :4] = torch.tensor([[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]).float()
_K = torch.arange(8).float()
_DCT = torch.cos((2 * _K[None] + 1) * _K[:, None] * math.pi / 16) * torch.where(_K == 0, math.sqrt(1 / 8), 0.5)[:, None]


def _quantised(plane: Tensor, table: Tensor, quality: Tensor) -> Tensor:
    """Planes (B, H, W) around 0 through the quantisation of JPEG's 8 x 8 cosine transform (ITU T.81, libjpeg's scale)."""
    batch, height, width = plane.shape
    dct = _DCT.to(plane)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    steps = ((table.to(plane)[None] * scale + 50) / 100).floor().clamp(1, 255)[:, None, None]
    blocks = plane.view(batch, height // 8, 8, width // 8, 8).transpose(2, 3)
    said = dct @ blocks @ dct.T
    back = dct.T @ ((said / steps).round() * steps) @ dct
    return back.transpose(2, 3).reshape(batch, height, width)


def through_jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Views (B, 3, 224, 224) in [0, 255] compressed at a quality each (B,), chroma halved."""
    r, g, b = x.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = torch.stack([(b - y) * 0.564, (r - y) * 0.713], 1)
    small = F.avg_pool2d(chroma, 2)
    y = _quantised(y - 128, _LUMA, quality) + 128
    small = torch.stack([_quantised(small[:, k], _CHROMA, quality) for k in (0, 1)], 1)
    cb, cr = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    return torch.stack([y + 1.403 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.773 * cb], 1).clamp(0, 255).round()


def augmented(x: Tensor) -> Tensor:
    """Views after what happens to pictures on their way, whoever made them."""
    count, device = len(x), x.device

    def some(share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, device=device) < share

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *(shape or (1, 1, 1)), device=device) * (high - low) + low

    x = torch.where(some(0.5), x.flip(3), x)
    toned = (x / 255).clamp(1e-4, 1) ** uniform(0.8, 1.25) * uniform(0.85, 1.15) * uniform(0.94, 1.06, 3, 1, 1)
    grey = toned.mean(1, keepdim=True)
    toned = grey + (toned - grey) * uniform(0.6, 1.3)
    x = torch.where(some(0.5), (toned * 255).clamp(0, 255), x)
    x = torch.where(some(0.03), x.mean(1, keepdim=True).expand_as(x), x)
    sigma = uniform(0.3, 1.2)
    taps = torch.exp(-(torch.arange(-3, 4, device=device).float() ** 2)[None, :] / (2 * sigma.view(-1, 1) ** 2))
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(3, 0)
    flat = F.pad(x.reshape(1, -1, SIDE, SIDE), (3, 3, 3, 3), mode="reflect")
    flat = F.conv2d(F.conv2d(flat, taps[:, None, :, None], groups=len(taps)), taps[:, None, None, :], groups=len(taps))
    x = torch.where(some(0.12), flat.view_as(x), x)
    x = torch.where(some(0.12), (x + torch.randn_like(x) * uniform(1, 6)).clamp(0, 255), x)
    # Marks in a corner (a sparkle, a handle) must not be what is learnt.
    side = torch.arange(SIDE, device=device)
    high, wide = torch.randint(20, 80, (count, 1), device=device), torch.randint(20, 80, (count, 1), device=device)
    low, right = torch.rand(count, 1, device=device) < 0.75, torch.rand(count, 1, device=device) < 0.75
    rows = torch.where(low, side >= SIDE - high, side < high)[:, None, :, None]
    columns = torch.where(right, side >= SIDE - wide, side < wide)[:, None, None, :]
    x = torch.where(rows & columns & some(0.2), x.mean((2, 3), keepdim=True), x)
    quality = torch.rand(count, device=device) * 45 + 52
    return torch.where(some(0.5), through_jpeg(x, quality), x)


# ------------------------------------------------------------------------------------------------------------- model


class Rounded(torch.autograd.Function):
    """Rounding with the gradient passed straight through (Bengio et al. 2013)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


class IntegerLinear(nn.Linear):
    """A linear layer that can multiply as the served graph does: 8-bit activations a view, 7-bit weights a channel."""

    integers = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.integers:
            return F.linear(x, self.weight, self.bias)
        weight = self.weight.float()
        step = weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-8) / _LEVELS
        weight = Rounded.apply(weight / step).clamp(-_LEVELS, _LEVELS) * step
        kind, x = x.dtype, x.float()
        low, high = (each.detach() for each in x.flatten(1).aminmax(dim=1))
        low, high = low.clamp(max=0), high.clamp(min=0)
        unit = ((high - low) / 255).clamp(min=1e-8)[:, None, None]
        zero = (-low[:, None, None] / unit).round()
        x = ((Rounded.apply(x / unit) + zero).clamp(0, 255) - zero) * unit
        return F.linear(x.to(kind), weight.to(kind), self.bias.to(kind))


def _read(state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """One of the encoder's arrays in floating point."""
    value = state[name].astype(np.float32)
    return value * state[f"{name}.step"] if f"{name}.step" in state else value


class Model(nn.Module):
    """Encoder, a linear head and a places' head a look. Features are standardised by fixed figures."""

    def __init__(self, plan: Plan, weights: Path | None) -> None:
        super().__init__()
        self.plan = plan
        vit = timm.create_model("vit_base_patch16_clip_quickgelu_224", pretrained=False, num_classes=0)
        vit.reset_classifier(0, "")
        del vit.blocks[plan.depth :]
        vit.norm = nn.Identity()
        if weights is not None:
            with np.load(weights) as state:
                vit.load_state_dict({name: torch.from_numpy(_read(state, name)) for name in vit.state_dict()})
        for block in vit.blocks:
            for holder, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2")):
                getattr(holder, name).__class__ = IntegerLinear
        self.vit = vit
        width = vit.embed_dim
        pieces = len(plan.class_tokens) + len(plan.patch_means)
        self.heads = nn.ModuleDict({look: nn.Linear(width * pieces, OUTPUTS) for look in LOOKS})
        self.places = nn.ModuleDict({look: nn.Linear(width * len(plan.place_blocks), 1) for look in LOOKS})
        for look in LOOKS:
            nn.init.zeros_(self.places[look].weight)
            nn.init.zeros_(self.places[look].bias)
            self.register_buffer(f"{look}_mean", torch.zeros(width * pieces))
            self.register_buffer(f"{look}_std", torch.ones(width * pieces))
        for name in ("mean", "std"):
            self.register_buffer(f"pixel_{name}", torch.tensor(vit.default_cfg[name]).view(3, 1, 1), persistent=False)

    def integers(self, on: bool) -> None:
        """Switch 8-bit products on or off."""
        for module in self.modules():
            if isinstance(module, IntegerLinear):
                module.integers = on

    def tokens(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """float (B, 3, 224, 224) in [0, 255] -> what heads read (B, D * pieces), what places' heads read (B, 196, D * n)."""
        vit, plan = self.vit, self.plan
        x = vit.patch_embed((views / 255 - self.pixel_mean) / self.pixel_std)
        x = torch.cat([vit.cls_token.expand(len(x), -1, -1), x], 1) + vit.pos_embed
        x = vit.norm_pre(x)
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
        """Logits (B, 5) and log-odds of places (B, 196)."""
        x = (features - getattr(self, f"{look}_mean")) / getattr(self, f"{look}_std")
        return self.heads[look](x), self.places[look](places)[..., 0]


def fit_ridge(x: Tensor, targets: Tensor, weights: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Ridge logistic regression on standardised features: weight (5, D), bias (5,)."""
    head = torch.zeros(OUTPUTS, x.shape[1], device=x.device, requires_grad=True)
    bias = torch.zeros(OUTPUTS, device=x.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([head, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (F.binary_cross_entropy_with_logits(x @ head.T + bias, targets, reduction="none") * weights).sum()
        loss = loss + ridge * (head**2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return head.detach(), bias.detach()


def row_weights(data: Pictures, use: np.ndarray) -> np.ndarray:
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
def features(model: Model, data: Pictures, rows: np.ndarray, view: str, batch: int = 256) -> Tensor:
    """What heads read of serving's views, float32 (n, D)."""
    found = []
    for part in torch.from_numpy(rows).to(data.device).split(batch):
        with torch.autocast(data.device, torch.bfloat16, enabled=data.device == "cuda"):
            found.append(model.tokens(served(data, part, view))[0].float())
    return torch.cat(found)


def plain_heads(model: Model, data: Pictures, frozen: dict[str, Tensor], use: np.ndarray) -> None:
    """Fit both heads on frozen features of some rows, and put them into the model."""
    weights = torch.from_numpy(row_weights(data, use)).float().to(data.device)
    for look, views in (("whole", ["whole"]), ("crops", ["crop_native", "crop_web"])):
        rows = torch.from_numpy(np.flatnonzero(use)).to(data.device)
        x = torch.cat([frozen[view][rows] for view in views])
        mean, std = x.mean(0), x.std(0) + 1e-3
        targets = data.targets[rows].repeat(len(views), 1)
        head, bias = fit_ridge(
            (x - mean) / std, targets, weights[rows].repeat(len(views), 1) / len(views), _RIDGE[look]
        )
        getattr(model, f"{look}_mean").copy_(mean)
        getattr(model, f"{look}_std").copy_(std)
        with torch.no_grad():
            model.heads[look].weight.copy_(head)
            model.heads[look].bias.copy_(bias)


class Draw:
    """Rows of a batch: a part genuine, a part AI-made, a part own forgeries, a part edits and their originals."""

    def __init__(self, data: Pictures, use: np.ndarray, seed: int) -> None:
        made = data.targets[:, MADE].cpu().numpy() > 0
        real = use & (data.origin == "real")
        groups = [real & ~made, real & made, use & (data.origin == "own"), use & (data.origin == "edit")]
        shares = [0.36, 0.36, 0.2, 0.08]
        self.parts = [(data.even(group), share) for group, share in zip(groups, shares, strict=True) if group.any()]
        self.rng = np.random.default_rng(seed)

    def rows(self, count: int) -> np.ndarray:
        """Row numbers (count,), class by class."""
        whole = sum(share for _, share in self.parts)
        counts = [int(count * share / whole) for _, share in self.parts]
        counts[0] += count - sum(counts)
        return np.concatenate(
            [self.rng.choice(len(even), n, p=even) for (even, _), n in zip(self.parts, counts, strict=True)]
        )


def look_batch(data: Pictures, rows: Tensor, look: str, plan: Plan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views, targets, known and forged places of drawn rows for one look, before augmentation."""
    parts = []
    views = ("whole",) if look == "whole" else ("crop_native", "crop_web")
    for view, part in zip(views, [rows] if look == "whole" else [rows[::2], rows[1::2]], strict=True):
        planes, size, window = serving_windows(data, part, view)
        if plan.augment:
            window = drawn_windows(size, window, look == "whole")
        masks = mask_views(data, part, view, window, size)
        if look != "whole":
            planes, size = mirrored(planes, size), size.clamp(min=SIDE)
        parts.append((resampled(planes, size, window), data.targets[part], data.known[part], masks, part))
    x, targets, known, masks, part = (torch.cat(each) for each in zip(*parts, strict=True))
    # A crop that shows next to nothing of what was forged teaches nothing about it.
    masked = data.mask_at[part] > 0
    beside = masked & (masks.mean((1, 2)) < 0.05)
    known = torch.where(beside[:, None] & (targets > 0), 0.0, known)
    # Places: forged by the mask; everywhere where a generator made it all; nowhere where nothing was forged.
    made = (targets[:, MADE] > 0) & ~masked
    clean = targets.sum(1) == 0
    truth = torch.where(masked[:, None, None], masks, made.float()[:, None, None])
    truth = torch.where((masked | made | clean)[:, None, None], truth, -1.0).flatten(1)
    return x, targets, known, truth


def place_loss(said: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of places that are surely forged or surely not, both sides alike. truth: share, -1 = unknown."""
    forged, clean = truth >= 0.5, (truth >= 0) & (truth <= 0.02)
    loss = F.binary_cross_entropy_with_logits(said.float(), forged.float(), reduction="none")
    return (loss * forged).sum() / forged.sum().clamp(min=1) + (loss * clean).sum() / clean.sum().clamp(min=1)


def tuned(data: Pictures, frozen: dict[str, Tensor], use: np.ndarray, plan: Plan, work: Path) -> tuple[Model, Model]:
    """Train on some rows; returns the model with averaged weights and the one with plain heads on the frozen encoder."""
    torch.manual_seed(plan.seed)
    device = data.device
    model = Model(plan, work / "encoder.npz").to(device)
    plain_heads(model, data, frozen, use)
    begun = Model(plan, None).to(device)
    begun.load_state_dict(model.state_dict())
    mean = Model(plan, None).to(device)
    mean.load_state_dict(model.state_dict())
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
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=device == "cuda")
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda k: min((k + 1) / (0.06 * plan.steps + 1), 0.5 * (1 + math.cos(math.pi * k / plan.steps)) + 0.01),
    )
    draw = Draw(data, use, plan.seed)
    reconstruct = Reconstruction(work, device) if plan.reconstructed else None
    output_weight = torch.tensor([0.35, 0.35, 0.35, 0.35, 1.0], device=device)
    begin = time.time()
    first_integer = int(plan.steps * (1 - plan.integers))
    for step in range(plan.steps):
        if step == first_integer and plan.integers:
            model.integers(True)
        optimiser.zero_grad(set_to_none=True)
        parts = []
        for look in LOOKS:
            rows = torch.from_numpy(draw.rows(plan.batch // 2)).to(device)
            x, targets, known, truth = look_batch(data, rows, look, plan)
            if reconstruct is not None:
                x, targets, known, truth = reconstruct.into(x, targets, known, truth, plan.reconstructed)
            parts.append((augmented(x) if plan.augment else x, targets, known, truth))
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            told, places = model.tokens(torch.cat([part[0] for part in parts]))
        loss, half = torch.zeros((), device=device), plan.batch // 2
        for k, (look, (_, targets, known, truth)) in enumerate(zip(LOOKS, parts, strict=True)):
            inside = slice(k * half, (k + 1) * half)
            logits, log_odds = model.said(look, told[inside], places[inside].float())
            each = F.binary_cross_entropy_with_logits(logits, targets * 0.98 + 0.01, reduction="none")
            loss = loss + (each * known * output_weight).sum() / (known * output_weight).sum()
            loss = loss + 0.3 * place_loss(log_odds, truth)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        keep = min(plan.averaged, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - keep)
        if step % 50 == 0:
            print(f"  step {step} loss {loss.item():.3f} after {time.time() - begin:.1f} s", flush=True)
    mean.integers(bool(plan.integers))
    return mean, begun


class Reconstruction:
    """Genuine views through FLUX.2's tiny autoencoder, aligned with their originals pixel by pixel (Chen et al. 2025)."""

    def __init__(self, work: Path, device: str) -> None:
        sys.path.insert(0, str(work))  # taef2.py of zhentu_training.forge lies there
        import taef2

        self.net = taef2.Taef2(work / "taef2_encoder.pth", work / "taef2_decoder.pth").to(device)

    @torch.no_grad()
    def into(self, x: Tensor, targets: Tensor, known: Tensor, truth: Tensor, share: float) -> tuple[Tensor, ...]:
        """Put round trips of the first genuine views in place of some of the AI-made ones."""
        clean = torch.nonzero((targets.sum(1) == 0) & (known[:, MADE] > 0))[:, 0]
        made = torch.nonzero(targets[:, MADE] > 0)[:, 0]
        count = min(int(len(made) * share), len(clean))
        if count == 0:
            return x, targets, known, truth
        own, place = clean[:count], made[torch.randperm(len(made), device=x.device)[:count]]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
            back = self.net.decoder(self.net.encoder(x[own] / 255)).float().clamp(0, 1) * 255
        mixed = torch.rand(count, 1, 1, 1, device=x.device) * 0.5 + 0.5
        x, targets, known, truth = x.clone(), targets.clone(), known.clone(), truth.clone()
        x[place] = (x[own] * (1 - mixed) + back * mixed).round()
        targets[place], known[place] = 0.0, 0.0
        targets[place, MADE], known[place, MADE] = 1.0, 1.0
        truth[place] = 1.0
        return x, targets, known, truth


# -------------------------------------------------------------------------------------------------------- judgement


@torch.inference_mode()
def said_of(model: Model, data: Pictures, rows: np.ndarray, batch: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, 3 views, 5) and log-odds of places float16 (n, 3 views, 196) of serving's views."""
    logits, places = [], []
    for part in torch.from_numpy(rows).to(data.device).split(batch):
        found = []
        for view in VIEWS:
            with torch.autocast(data.device, torch.bfloat16, enabled=data.device == "cuda"):
                told, patches = model.tokens(served(data, part, view))
            found.append(model.said("whole" if view == "whole" else "crops", told.float(), patches.float()))
        logits.append(torch.stack([each[0] for each in found], 1).float().cpu().numpy())
        places.append(torch.stack([each[1] for each in found], 1).half().cpu().numpy())
    return np.concatenate(logits), np.concatenate(places)


def auc(score: np.ndarray, made: np.ndarray) -> float:
    """Area under the ROC curve."""
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    count = made.sum()
    return float((ranks[made].sum() - count * (count + 1) / 2) / max(count * (~made).sum(), 1))


def figures(data: Pictures, rows: np.ndarray, logits: np.ndarray) -> str:
    """One line: AUC of ai_generated by view and fused, recall at 1 % of both roads, AUC of the four on own forgeries."""
    targets, known = data.targets.cpu().numpy()[rows], data.known.cpu().numpy()[rows]
    real = (data.origin[rows] == "real") & (known[:, MADE] > 0)
    made = targets[real, MADE] > 0
    whole, native, web = (logits[real, k, MADE] for k in range(3))
    unit = [each.std() + 1e-6 for each in (whole, native, web)]
    parts = [f"whole {auc(whole, made):.4f} native crop {auc(native, made):.4f} web crop {auc(web, made):.4f}"]
    for name, crop, scale in (("native", native, unit[1]), ("web", web, unit[2])):
        both = 0.6 * whole / unit[0] + 0.4 * crop / scale
        limit = np.quantile(both[~made], 0.99) if (~made).any() else 0
        parts.append(f"{name} {auc(both, made):.4f} r1 {(both[made] > limit).mean():.3f}")
    own = []
    for k in range(4):
        use = (known[:, k] > 0) & ((data.origin[rows] == "own") | (targets.sum(1) == 0))
        both = (logits[use, 0, k] + logits[use, 1, k]) / 2
        truth = targets[use, k] > 0
        own.append(f"{auc(both, truth):.3f}" if truth.any() else "-")
    return "; ".join([*parts, f"own {' '.join(own)}"])


def run_folds(data: Pictures, work: Path, out: Path, name: str, plan: Plan, folds: list[int]) -> None:
    """Train without each fold and score it; what the frozen encoder with plain heads says is kept beside it."""
    device = data.device
    frozen = frozen_features(work, data, plan)
    for fold in folds:
        begin = time.time()
        use, rows = data.fold != fold, np.flatnonzero(data.fold == fold)
        model, plain = tuned(data, frozen, use, plan, work)
        arrays = {}
        for label, each in (("plain", plain), ("tuned", model)):
            logits, places = said_of(each, data, rows)
            arrays |= {f"{label}_logits": logits}
            print(f"{name} fold {fold} {label}: {figures(data, rows, logits)}", flush=True)
        masked = data.mask_at.cpu().numpy()[rows] > 0
        blend = Model(plan, None).to(device)  # half way back to the frozen encoder (WiSE-FT, Wortsman et al. 2022)
        blend.load_state_dict({k: v.lerp(model.state_dict()[k], 0.5) for k, v in plain.state_dict().items()})
        logits, _ = said_of(blend, data, rows)
        arrays |= {"blend_logits": logits}
        print(f"{name} fold {fold} half way: {figures(data, rows, logits)}", flush=True)
        np.savez(out / f"{name}-{fold}.npz", rows=data.number[rows], names=data.name[rows], places=places[masked],
                 placed=data.number[rows][masked], **arrays)  # fmt: skip
        print(f"{name} fold {fold}: {time.time() - begin:.1f} s", flush=True)
        del model, plain, blend


def frozen_features(work: Path, data: Pictures, plan: Plan) -> dict[str, Tensor]:
    """Features of the frozen encoder, kept for runs of the same depth."""
    path = work / f"frozen-{plan.depth}.pt"
    if path.is_file():
        return torch.load(path, map_location=data.device)
    model = Model(plan, work / "encoder.npz").to(data.device)
    found = {view: features(model, data, np.arange(data.count), view) for view in VIEWS}
    torch.save(found, path)
    return found


def run_final(data: Pictures, work: Path, out: Path, name: str, plan: Plan) -> None:
    """Train on everything; write the weights as they are served: integers with a scale a channel, the rest float32."""
    model, _ = tuned(data, frozen_features(work, data, plan), np.ones(data.count, bool), plan, work)
    logits, _ = said_of(model, data, np.arange(data.count))
    print(f"{name} final, on what it saw: {figures(data, np.arange(data.count), logits)}", flush=True)
    state, integers = model.state_dict(), {}
    big = {f"{key}.weight" for key, module in model.named_modules() if isinstance(module, IntegerLinear)}
    rest: dict[str, np.ndarray] = {}
    for key, value in state.items():
        value = value.float().cpu()
        if key in big:
            step = value.abs().amax(1, keepdim=True).clamp(min=1e-8) / _LEVELS
            integers[key] = (value / step).round().clamp(-_LEVELS, _LEVELS).to(torch.int8).numpy()
            rest[f"{key}.step"] = step.numpy()
        else:
            rest[key] = value.numpy()
    names = sorted(integers)
    for part in range(4):
        np.savez(out / f"weights-{part}.npz", **{key: integers[key] for key in names[part::4]})
    np.savez(out / "rest.npz", **rest)
    np.savez(out / "seen.npz", names=data.name, logits=logits)
    (out / "plan.json").write_text(json.dumps({"name": name, **asdict(plan)}))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ready", "run"])
    parser.add_argument("jobs", nargs="*", help="design:fold,fold,...; final = on everything")
    parser.add_argument("--shards", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", nargs="*", default=[], help="name=value, of every plan")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    if arguments.what == "ready":
        unpack(arguments.shards, arguments.work)
        return
    begin = time.time()
    data = Pictures(arguments.work, arguments.device)
    print(f"{data.count} pictures loaded in {time.time() - begin:.1f} s", flush=True)
    for job in arguments.jobs:
        name, _, folds = job.partition(":")
        plan = PLANS[name]
        for each in arguments.set:
            key, _, value = each.partition("=")
            plan = replace(plan, **{key: type(getattr(plan, key))(value)})
        numbers = [int(each) for each in folds.split(",") if each != "final"]
        run_folds(data, arguments.work, arguments.out, name, plan, numbers)
        if "final" in folds.split(","):
            run_final(data, arguments.work, arguments.out, name, plan)


if __name__ == "__main__":
    main()
