"""What a step trains on: which pictures are drawn, what is true of their views, and pairs by a tiny autoencoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zhentu_training.forge.taef2 import Taef2
from zhentu_training.gpu.arithmetic import mixed
from zhentu_training.gpu.pictures import Columns, Pictures
from zhentu_training.gpu.plain import VIEWS_OF
from zhentu_training.gpu.plan import MADE, Plan
from zhentu_training.gpu.views import cut, drawn_windows, mask_views, serving_windows

_CLASSES = {"genuine": 0.36, "made": 0.36, "own": 0.2, "edit": 0.08}  # shares of a batch
_BESIDE = 0.05  # share of a crop; with less of what was forged in it the crop teaches nothing about it


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Views (B, 3, side, side) in [0, 255], targets and known (B, 5), places (B, n): the forged share, -1 = unknown."""

    views: Tensor
    targets: Tensor
    known: Tensor
    places: Tensor


class Draw:
    """Rows of a batch: a part genuine, a part AI-made, a part own forgeries, a part edits and their originals."""

    def __init__(self, data: Pictures, use: Columns, seed: int) -> None:
        made = data.targets[:, MADE].cpu().numpy() > 0
        real = use & (data.origin == "real")
        groups = {"genuine": real & ~made, "made": real & made}
        groups |= {kind: use & (data.origin == kind) for kind in ("own", "edit")}
        self.parts = [(data.even(group), _CLASSES[kind]) for kind, group in groups.items() if group.any()]
        self.rng = np.random.default_rng(seed)

    def rows(self, count: int) -> Columns:
        """Row numbers (count,), class by class."""
        whole = sum(share for _, share in self.parts)
        counts = [int(count * share / whole) for _, share in self.parts]
        counts[0] += count - sum(counts)
        drawn = zip(self.parts, counts, strict=True)
        return np.concatenate([self.rng.choice(len(even), n, p=even) for (even, _), n in drawn])


def look_batch(data: Pictures, rows: Tensor, look: str, plan: Plan) -> Batch:
    """One look's views of drawn rows, before augmentation. Of crops every second one is the web copy's."""
    parts = []
    views, side = VIEWS_OF[look], plan.side_of(look)
    for k, view in enumerate(views):
        part = rows[k :: len(views)]
        planes, size, window = serving_windows(data, part, view, side)
        if plan.augment:
            window = drawn_windows(size, window, look == "whole", side)
        masks = mask_views(data, part, view, window, size, side)
        x = cut(planes, size, window, view, side)
        known, places = _truth(data, part, masks)
        parts.append((x, data.targets[part], known, places))
    return Batch(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _truth(data: Pictures, rows: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """What is known about the outputs (B, 5), and of places (B, n), of views that show these masks (B, h, w).

    Places: forged by the mask; everywhere where a generator made it all; nowhere where nothing was forged.
    """
    targets, masked = data.targets[rows], data.mask_at[rows] > 0
    beside = masked & (masks.mean((1, 2)) < _BESIDE)
    known = torch.where(beside[:, None] & (targets > 0), 0.0, data.known[rows])
    made = (targets[:, MADE] > 0) & ~masked
    clean = targets.sum(1) == 0
    places = torch.where(masked[:, None, None], masks, made.float()[:, None, None])
    return known, torch.where((masked | made | clean)[:, None, None], places, -1.0).flatten(1)


class Reconstruction:
    """Genuine views through FLUX.2's tiny autoencoder, aligned with their originals pixel by pixel (Chen et al. 2025).

    weights: the folder of taef2_encoder.pth and taef2_decoder.pth.
    """

    def __init__(self, weights: Path, device: str) -> None:
        self.net = Taef2(weights / "taef2_encoder.pth", weights / "taef2_decoder.pth").to(device)

    @torch.no_grad()
    def into(self, batch: Batch, share: float) -> Batch:
        """Put round trips of the first genuine views in place of some of the AI-made ones."""
        x, targets, known, places = batch.views, batch.targets, batch.known, batch.places
        clean = torch.nonzero((targets.sum(1) == 0) & (known[:, MADE] > 0))[:, 0]
        made = torch.nonzero(targets[:, MADE] > 0)[:, 0]
        count = min(int(len(made) * share), len(clean))
        if count == 0:
            return batch
        own, at = clean[:count], made[torch.randperm(len(made), device=x.device)[:count]]
        with mixed(x.device.type):
            back = self.net.decoder(self.net.encoder(x[own] / 255)).float().clamp(0, 1) * 255
        part = torch.rand(count, 1, 1, 1, device=x.device) * 0.5 + 0.5
        x, targets, known, places = x.clone(), targets.clone(), known.clone(), places.clone()
        x[at] = (x[own] * (1 - part) + back * part).round()
        targets[at], known[at] = 0.0, 0.0
        targets[at, MADE], known[at, MADE] = 1.0, 1.0
        places[at] = 1.0
        return replace(batch, views=x, targets=targets, known=known, places=places)
