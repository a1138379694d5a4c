"""Fit the head of a frozen backbone: features of every picture after its chain, then a weighted logistic regression.

The features are kept in shards beside the run's other files, so that a killed run goes on; the fit itself takes
seconds and is convex: no schedule, no seed. A forgery and the genuine picture it was made from go through one chain.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from zhentu.detect.sessions import processor_flags
from zhentu.detect.views import whole_view
from zhentu.intake.decode import decode
from zhentu.types import OUTPUTS
from zhentu_training.augment import Chain
from zhentu_training.config import ProbeSpec, TrainSpec
from zhentu_training.dataset import Sample
from zhentu_training.model import TokenBranch
from zhentu_training.tiers import TIERS

_SHARD = 256  # pictures; about a minute of one core
_BATCH = 8
_SOURCE_POWER = -0.45


@dataclass(frozen=True, slots=True)
class Draw:
    """One picture on one road: through a random chain, or, where named, through a tier of evaluation.

    clean: take the genuine picture that a forgery was made from instead.
    """

    sample: int
    chain_seed: int = 0
    clean: bool = False
    tier: str = ""


def draws_of(samples: Sequence[Sample], spec: ProbeSpec, seed: int) -> list[Draw]:
    """Which pictures go through which chains; both pictures of a pair share theirs."""
    draws = []
    for index, sample in enumerate(samples):
        count = spec.pairs if sample.pair else spec.real_ai if sample.forged else spec.genuine
        for k in range(count):
            # The file's name, not its place in the list: a grown manifest keeps the chains of the old pictures.
            digest = hashlib.sha256(f"{seed} {k} {sample.path.name}".encode()).digest()
            chain_seed = int.from_bytes(digest[:4], "big") >> 1
            draws.append(Draw(index, chain_seed))
            if sample.pair:
                draws.append(Draw(index, chain_seed, clean=True))
    return draws


@torch.inference_mode()
def extract(
    branch: TokenBranch, spec: TrainSpec, samples: Sequence[Sample], draws: Sequence[Draw], folder: Path
) -> np.ndarray:
    """Features float16 (draws, D), a shard at a time; shards that are there are read."""
    folder.mkdir(parents=True, exist_ok=True)
    device = next(branch.parameters()).device
    shards = []
    starts = range(0, len(draws), _SHARD)
    for start in tqdm(starts, desc="features", unit="shard", mininterval=5):
        part = draws[start : start + _SHARD]
        named = [(samples[d.sample].path.name, d.tier or d.chain_seed, d.clean) for d in part]
        name = hashlib.sha256(json.dumps([spec.views.whole_size, named]).encode()).hexdigest()[:16]
        path = folder / f"{name}.npy"
        if not path.is_file():
            views = [_view(samples[d.sample], d, spec) for d in part]
            batches = [np.stack(views[k : k + _BATCH]) for k in range(0, len(views), _BATCH)]
            with torch.autocast(device.type, torch.bfloat16, enabled=_has_bfloat16(device)):
                found = [branch.features(torch.from_numpy(batch).to(device)).float().cpu() for batch in batches]
            half_written = path.with_suffix(".tmp")
            with half_written.open("wb") as file:
                np.save(file, torch.cat(found).numpy().astype(np.float16))
            half_written.replace(path)
        shards.append(np.load(path))
    return np.concatenate(shards)


def _has_bfloat16(device: torch.device) -> bool:
    """Half the time of float32, and far below the noise of the chains; where it is emulated, seven times the time."""
    return device.type != "cpu" or bool(processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def _view(sample: Sample, draw: Draw, spec: TrainSpec) -> np.ndarray:
    path = sample.pair if draw.clean and sample.pair else sample.path
    rgb = decode(path.read_bytes()).rgb
    rgb = TIERS[draw.tier](rgb) if draw.tier else Chain(spec.chain, draw.chain_seed)(rgb, None)[0]
    return whole_view(np.ascontiguousarray(rgb), spec.views.whole_size)


def targets_of(samples: Sequence[Sample], draws: Sequence[Draw]) -> tuple[np.ndarray, np.ndarray]:
    """Targets and whether they are known, float32 (draws, 6)."""
    clean = np.zeros(len(OUTPUTS), np.float32), np.ones(len(OUTPUTS), np.float32)
    rows = [clean if draw.clean else samples[draw.sample].targets() for draw in draws]
    return np.stack([target for target, _ in rows]), np.stack([known for _, known in rows])


def weights_of(samples: Sequence[Sample], draws: Sequence[Draw], spec: ProbeSpec) -> np.ndarray:
    """Weight of every draw (draws,): big sources do not drown small ones, real AI pictures have their share."""
    groups, keys = [], []
    for draw in draws:
        sample = samples[draw.sample]
        forged = sample.forged and not draw.clean
        groups.append("real" if forged and not sample.recipe else "forged" if forged else "clean")
        keys.append((groups[-1], sample.recipe if forged else "", "" if forged and sample.recipe else sample.source))
    counts = Counter(keys)
    weights = np.array([counts[key] ** _SOURCE_POWER for key in keys])
    group = np.array(groups)
    for name, share in (("real", spec.real_share), ("forged", 1 - spec.real_share), ("clean", 1.0)):
        inside = group == name
        if inside.any():
            weights[inside] *= share / weights[inside].sum()
    return weights


def fit_head(
    features: np.ndarray,
    targets: np.ndarray,
    known: np.ndarray,
    weights: np.ndarray,
    ridge: float,
    anchor: tuple[np.ndarray, np.ndarray] | None = None,
    reminded: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, list[list[float]]]:
    """Weights float32 (6, D) and biases (6,) for raw features, and the loss per output after each step of L-BFGS.

    Per output a logistic regression with both classes weighted alike and a ridge on standardised features. anchor:
    weights and biases of another head, towards which the ridge draws instead of towards nought: what the pictures at
    hand say nothing about stays as it was. An output of which they show one class alone stays wholly so.
    reminded: bool (draws,), those whose target is not their label but what the anchor says of them (Li & Hoiem 2016,
    "Learning without Forgetting"): a few old pictures keep a head in place; their labels would be learnt by heart.
    """
    mean, deviation = features.mean(0, dtype=np.float32), features.std(0, dtype=np.float32) + 1e-4
    x = torch.from_numpy((features - mean) / deviation)
    y = torch.from_numpy(targets)
    w = weights[:, None] * known
    both = np.ones(len(OUTPUTS), bool)
    for side in (targets > 0, targets <= 0):
        total = (w * side).sum(0)
        both &= total > 0
        w = np.where(side, w / np.maximum(total, 1e-12), w)
    w = torch.from_numpy((w * both).astype(np.float32))
    start = torch.zeros((len(OUTPUTS), x.shape[1]))
    bias = torch.zeros(len(OUTPUTS), requires_grad=True)
    if anchor is not None:
        start = torch.from_numpy((anchor[0] * deviation).astype(np.float32))
        bias = torch.from_numpy((anchor[1] + anchor[0] @ mean).astype(np.float32)).requires_grad_()
        if reminded is not None:
            with torch.no_grad():
                y = torch.where(torch.from_numpy(reminded)[:, None], torch.sigmoid(x @ start.T + bias), y)
    head = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([head, bias], max_iter=20, line_search_fn="strong_wolfe")
    history: list[list[float]] = []

    def losses() -> torch.Tensor:
        return (binary_cross_entropy_with_logits(x @ head.T + bias, y, reduction="none") * w).sum(0) / 2

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = losses().sum() + ridge / 2 * ((head - start) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(12):
        optimiser.step(closure)
        with torch.no_grad():
            history.append(losses().tolist())
        if len(history) > 1 and sum(history[-2]) - sum(history[-1]) < 1e-5:
            break
    with torch.no_grad():
        weight = head.numpy() / deviation
        return weight, bias.numpy() - weight @ mean, history


def fit_probe(
    name: str, branch: TokenBranch, spec: TrainSpec, samples: list[Sample], run: Path, anchored: bool = False
) -> Path:
    """Extract, fit, and write the head's weights and the fit's losses into the run folder.

    anchored: draw the head towards the one that `branch` has, and remind it of what that says; see `fit_head`.
    """
    probe: ProbeSpec = getattr(spec, name).probe
    draws = draws_of(samples, probe, spec.seed)
    features = extract(branch, spec, samples, draws, run / f"{name}.features")
    targets, known = targets_of(samples, draws)
    weights = weights_of(samples, draws, probe)
    anchor, reminded = None, None
    if anchored:
        anchor = _head_of(branch)
        reminded = np.array([bool(probe.teach) and samples[draw.sample].source not in probe.teach for draw in draws])
    weight, bias, history = fit_head(features, targets, known, weights, probe.ridge, anchor, reminded)
    with (run / f"{name}.metrics.jsonl").open("w", encoding="utf-8") as metrics:
        for step, per_output in enumerate(history):
            metrics.write(json.dumps({"step": step, **dict(zip(OUTPUTS, per_output, strict=True))}) + "\n")
    split = branch.summary_head.in_features
    with torch.no_grad():
        branch.summary_head.weight.copy_(torch.from_numpy(weight[:, :split]))
        branch.summary_head.bias.copy_(torch.from_numpy(bias))
        branch.patch_head.weight.copy_(torch.from_numpy(weight[:, split:]))
    path = run / f"{name}.pt"
    torch.save(branch.head_state(), path)
    return path


def _head_of(branch: TokenBranch) -> tuple[np.ndarray, np.ndarray]:
    parts = [branch.summary_head.weight, branch.patch_head.weight, branch.summary_head.bias]
    summary, patches, bias = (part.detach().cpu().numpy() for part in parts)
    return np.concatenate([summary, patches], 1), bias
