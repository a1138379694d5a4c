"""Fuse the branches and calibrate: few parameters, fitted on sources that training never saw.

Per output a logistic regression on (whole logit, mean crop logit, peak crop logit) with both classes weighted equally:
the fused logit is then a calibrated log-odds at even prior (Platt 1999). Weights are kept non-negative, so that more
suspicion never lowers a score. Honest figures come from leaving one source out at a time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from zhentu.detect.calibration import sigmoid
from zhentu.detect.drift import references_of
from zhentu.detect.views import make_views
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, FORGERY_CATEGORIES, OUTPUTS, Action, Category, Output, Threshold
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import Sample, read_manifest
from zhentu_training.model import Branch, ConvBranch, Fusion, TokenBranch, build_branch
from zhentu_training.probe import Draw, extract
from zhentu_training.tiers import TIERS

LABEL_RISK = 1 / 100  # share of genuine pictures that may be labelled by the score
REVIEW_RISK = 1 / 200  # share of genuine pictures that may be sent to review, over all four categories together
REAL_SHARE = 0.8  # of the weight that forged pictures have together, the share of real AI pictures
_RIDGE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What both branches said: values float32 (pictures, 6, 3), and per picture its sample index and tier."""

    values: np.ndarray
    sample: np.ndarray
    tier: np.ndarray


def load_branches(run: Path, spec: TrainSpec) -> tuple[Branch, Branch]:
    """Both trained branches of a run folder; of an unfinished run, the averaged weights of its last checkpoint."""
    return load_branch(run, spec, "whole"), load_branch(run, spec, "crops")


def load_branch(run: Path, spec: TrainSpec, name: str) -> Branch:
    """One trained branch, see `load_branches`."""
    branch = build_branch(getattr(spec, name).backbone)
    finished, checkpoint = run / f"{name}.pt", run / f"{name}.checkpoint.pt"
    if finished.is_file():
        state = torch.load(finished, map_location="cpu", weights_only=True)
    else:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
    # A frozen backbone is not in the file: its weights are those it was built with.
    missing, unexpected = branch.load_state_dict(state, strict=False)
    if unexpected or any(not key.startswith("backbone.") or isinstance(branch, ConvBranch) for key in missing):
        raise ValueError(f"{run}: the weights of {name} are of another backbone than train.yaml says")
    return branch.eval()


@torch.inference_mode()
def collect(samples: list[Sample], tiers: list[str], run: Path, spec: TrainSpec) -> Features:
    """Run both branches over every sample in every tier; kept in the run folder, for the fit takes seconds."""
    rows = [(index, tier) for index in range(len(samples)) for tier in tiers]
    key = hashlib.sha256(json.dumps([(samples[index].path.name, tier) for index, tier in rows]).encode())
    for name in ("whole", "crops"):
        weights = run / f"{name}.pt"
        key.update(weights.read_bytes() if weights.is_file() else os.urandom(16))
    kept = run / f"looks-{key.hexdigest()[:16]}.npy"
    if not kept.is_file():
        np.save(kept, _look_at_all(samples, rows, run, spec))
    return Features(np.load(kept), np.array([index for index, _ in rows]), np.array([tier for _, tier in rows]))


def _look_at_all(samples: list[Sample], rows: list[tuple[int, str]], run: Path, spec: TrainSpec) -> np.ndarray:
    whole, crops = load_branches(run, spec)
    frozen = None
    if isinstance(whole, TokenBranch):  # its features are kept in shards, so that only new pictures are computed
        draws = [Draw(index, tier=tier) for index, tier in rows]
        frozen = whole.read(torch.from_numpy(extract(whole, spec, samples, draws, run / "whole.features")).float())

    @torch.inference_mode()
    def look(k: int) -> np.ndarray:
        index, tier = rows[k]
        views = make_views(TIERS[tier](decode(samples[index].path.read_bytes()).rgb), spec.views)
        whole_map = whole(torch.from_numpy(views.whole)) if frozen is None else frozen[k, None, :, None, None]
        return Fusion.features(whole_map, crops(torch.from_numpy(views.crops))).numpy()

    # One thread a picture: many small convolutions gain nothing from more.
    torch.set_num_threads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        values = list(tqdm(pool.map(look, range(len(rows))), total=len(rows), desc="crops", mininterval=5))
    return np.stack(values).astype(np.float32)


def fit_output(values: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Non-negative logistic regression: values (n, 3), target in {0, 1} -> weights (3,), bias. Classes weigh alike."""
    totals = max(weight[target > 0].sum(), 1e-9), max(weight[target == 0].sum(), 1e-9)
    balance = np.where(target > 0, weight / totals[0], weight / totals[1])
    centre, scale = values.mean(0), values.std(0) + 1e-6
    scaled = (values - centre) / scale

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = scaled @ parameters[:3] + parameters[3]
        value = (balance * (np.logaddexp(0, logits) - target * logits)).sum() + _RIDGE * (parameters[:3] ** 2).sum()
        residual = balance * (sigmoid(logits) - target)
        return value, np.append(scaled.T @ residual + 2 * _RIDGE * parameters[:3], residual.sum())

    found = minimize(loss, np.array([0.5, 0.5, 0.5, 0.0]), jac=True, bounds=[(0, None)] * 3 + [(None, None)])
    weights = found.x[:3] / scale
    return weights, float(found.x[3] - (weights * centre).sum())


def fit(features: Features, samples: list[Sample], keep: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Weights (6, 3) and biases (6,) of every output, from the rows in `keep` (all by default)."""
    targets, known = (np.stack(part)[features.sample] for part in zip(*(s.targets() for s in samples), strict=True))
    rows = np.ones(len(features.sample), bool) if keep is None else keep
    weights, biases = np.zeros((len(OUTPUTS), 3)), np.zeros(len(OUTPUTS))
    source = np.array([samples[i].source + samples[i].recipe for i in features.sample])
    _, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    even = counts[inverse] ** -0.5  # a big source does not decide alone
    real = np.array([not samples[i].recipe for i in features.sample])
    for k in range(len(OUTPUTS)):
        use, weight = rows & (known[:, k] > 0), even.copy()
        groups = [use & (targets[:, k] > 0) & (real == each) for each in (True, False)]
        if all(group.any() for group in groups):  # what shops really get weighs more than what the project forges
            for group, share in zip(groups, (REAL_SHARE, 1 - REAL_SHARE), strict=True):
                weight[group] *= share / even[group].sum()
        weights[k], biases[k] = fit_output(features.values[use, k], targets[use, k], weight[use])
    return weights, biases


def fused(features: Features, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Calibrated probabilities (pictures, 6)."""
    return sigmoid((features.values * weights).sum(2) + biases)


def held_out(features: Features, samples: list[Sample]) -> np.ndarray:
    """Probabilities of each picture from a fusion fitted without its source; one source alone cannot be left out."""
    sources = np.array([samples[i].source for i in features.sample])
    if len(set(sources)) == 1:
        return fused(features, *fit(features, samples))
    probabilities = np.zeros((len(sources), len(OUTPUTS)))
    for source in np.unique(sources):
        weights, biases = fit(features, samples, sources != source)
        inside = sources == source
        part = Features(features.values[inside], features.sample[inside], features.tier[inside])
        probabilities[inside] = fused(part, weights, biases)
    return probabilities


def thresholds(probabilities: np.ndarray, features: Features, samples: list[Sample]) -> tuple[Threshold, ...]:
    """Conformal quantiles over genuine pictures, each at its worst tier; review shares its risk over the categories."""
    genuine = [i for i, s in enumerate(samples) if not s.forged and not s.recipe]
    worst = np.stack([probabilities[features.sample == i].max(0) for i in genuine])
    count = len(worst)
    label_rank = int(np.ceil((count + 1) * (1 - LABEL_RISK)))
    label_level = _quantile(np.sort(worst[:, Output.AI_GENERATED.column]), label_rank)
    worst = worst[:, [Output(category.value).column for category in FORGERY_CATEGORIES]]
    ordered = np.sort(worst, axis=0)
    allowed = int(np.floor((count + 1) * REVIEW_RISK)) - 1
    # The lowest common rank at which at most `allowed` genuine pictures pass any of the four thresholds.
    for rank in range(count // 2, count + 1):
        levels = np.array([_quantile(column, rank) for column in ordered.T])
        if int((worst >= levels).any(1).sum()) <= max(allowed, 0):
            break
    chosen = [(Category.AI_GENERATED, Action.LABEL, label_level)]
    chosen += [(each, Action.REVIEW, float(level)) for each, level in zip(FORGERY_CATEGORIES, levels, strict=True)]
    return tuple(Threshold(category, action, round(min(level, 0.999), 4)) for category, action, level in chosen)


def _quantile(ordered: np.ndarray, rank: int) -> float:
    """A level just above the rank-th smallest value."""
    return float(ordered[min(rank, len(ordered)) - 1]) + 1e-4


def expected_calibration_error(probability: np.ndarray, target: np.ndarray, bins: int = 10) -> float:
    """ECE with equal-width bins (Guo et al. 2017), classes reweighted to an even prior."""
    weight = np.where(target > 0, 0.5 / max(target.mean(), 1e-9), 0.5 / max(1 - target.mean(), 1e-9))
    which = np.minimum((probability * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = which == b
        if inside.any():
            w = weight[inside]
            gap = abs(np.average(probability[inside], weights=w) - np.average(target[inside], weights=w))
            total += w.sum() * gap
    return float(total / weight.sum())


def main() -> None:
    """Write fusion.json (weights, biases, thresholds, held-out figures) into the run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True, help="their dev rows are used")
    parser.add_argument("--tiers", nargs="+", default=["native", "web"])
    arguments = parser.parse_args()
    spec = load_spec(arguments.run / "train.yaml")
    found = {s.path: s for path in arguments.manifest for s in read_manifest(path) if s.split == "dev"}
    samples = list(found.values())
    features = collect(samples, arguments.tiers, arguments.run, spec)
    weights, biases = fit(features, samples)
    honest = held_out(features, samples)
    chosen = thresholds(honest, features, samples)
    figures = report(honest, features, samples)
    native = (features.tier == arguments.tiers[0]) & np.array([not samples[i].forged for i in features.sample])
    levels = [asdict(each) for each in chosen]
    content = {"weights": weights.tolist(), "biases": biases.tolist(), "thresholds": levels, "held_out": figures}
    content["reference"] = references_of(fused(features, weights, biases)[native])
    (arguments.run / "fusion.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    names = {"path": [str(samples[i].path) for i in features.sample], "tier": features.tier}
    pd.DataFrame(names | {name: honest[:, k] for k, name in enumerate(OUTPUTS)}).to_csv(
        arguments.run / "held_out.csv", index=False
    )
    print(json.dumps({"thresholds": levels, "held_out": figures}, indent=1))


def report(honest: np.ndarray, features: Features, samples: list[Sample]) -> dict[str, float]:
    """AUC and ECE per tier, each picture scored by a fusion that did not see its source."""
    figures = {}
    real = np.array([not samples[i].recipe for i in features.sample])
    made = np.array([samples[i].forged for i in features.sample])
    for tier in np.unique(features.tier):
        use = real & (features.tier == tier)
        if made[use].any():  # the smoke run has no real AI pictures
            forged = honest[use, Output.FORGED.column]
            figures[f"real AI, forged AUC, {tier}"] = round(float(roc_auc_score(made[use], forged)), 4)
            figures[f"real AI, forged ECE, {tier}"] = round(expected_calibration_error(forged, made[use]), 4)
        for k, label in enumerate(CATEGORIES):
            own = np.array([bool(samples[i].recipe) and label in samples[i].labels for i in features.sample])
            clean = ~made & (features.tier == tier)
            if label is not Category.AI_GENERATED and own.any():
                pick = clean | (own & (features.tier == tier))
                figures[f"forgeries, {label.value} AUC, {tier}"] = round(
                    float(roc_auc_score(own[pick], honest[pick, k])), 4
                )
    return figures


if __name__ == "__main__":
    main()
