"""The tables of the model card: scored pictures in, data frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from zhentu.types import CATEGORIES, FORGERY_CATEGORIES, Action, Category, Output, Threshold
from zhentu_training.calibrate import expected_calibration_error
from zhentu_training.dataset import Sample

_DRAWS = 1000  # bootstrap resamples


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Samples with their probabilities per tier: float64 (samples, 6)."""

    samples: list[Sample]
    tiers: dict[str, np.ndarray]


def recall_at(genuine: np.ndarray, forged: np.ndarray, rate: float) -> tuple[float, float, float]:
    """Recall at a false-positive rate, with a 95 % bootstrap interval over both groups."""
    rng = np.random.default_rng(7)

    def once(g: np.ndarray, f: np.ndarray) -> float:
        return float((f > np.quantile(g, 1 - rate, method="higher")).mean())

    drawn = [once(rng.choice(genuine, len(genuine)), rng.choice(forged, len(forged))) for _ in range(_DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return once(genuine, forged), float(low), float(high)


def auc_interval(genuine: np.ndarray, forged: np.ndarray) -> tuple[float, float, float]:
    """AUC with a 95 % bootstrap interval."""
    rng = np.random.default_rng(7)

    def once(g: np.ndarray, f: np.ndarray) -> float:
        return float(roc_auc_score(np.r_[np.zeros(len(g)), np.ones(len(f))], np.r_[g, f]))

    drawn = [once(rng.choice(genuine, len(genuine)), rng.choice(forged, len(forged))) for _ in range(200)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return once(genuine, forged), float(low), float(high)


def real_table(scored: Scored) -> pd.DataFrame:
    """`forged` on genuine against real AI-made pictures, a row a tier."""
    made = np.array([sample.forged for sample in scored.samples])
    rows = []
    for tier, values in scored.tiers.items():
        p = values[:, Output.FORGED.column]
        auc, low, high = auc_interval(p[~made], p[made])
        at1, at5 = recall_at(p[~made], p[made], 0.01), recall_at(p[~made], p[made], 0.05)
        rows.append(
            {
                "tier": tier,
                "AUC": f"{auc:.3f} [{low:.3f}, {high:.3f}]",
                "AP": f"{average_precision_score(made, p):.3f}",
                "balanced accuracy at 0.5": f"{balanced_accuracy_score(made, p >= 0.5):.3f}",
                "recall at 1 % FPR": f"{at1[0]:.2f} [{at1[1]:.2f}, {at1[2]:.2f}]",
                "recall at 5 % FPR": f"{at5[0]:.2f} [{at5[1]:.2f}, {at5[2]:.2f}]",
                "ECE": f"{expected_calibration_error(p, made):.3f}",
            }
        )
    return pd.DataFrame(rows)


def source_table(scored: Scored, label_threshold: float) -> pd.DataFrame:
    """Each AI source and generator alone: AUC of `forged` against all genuine, recall of the AI label as shipped."""
    made = np.array([sample.forged for sample in scored.samples])
    keys = [f"{s.source} ({s.generator})" if s.forged else "" for s in scored.samples]
    rows = []
    for key in sorted(set(keys) - {""}):
        own = np.array([each == key for each in keys])
        row: dict[str, object] = {"AI source (generator)": key, "pictures": int(own.sum())}
        for tier, values in scored.tiers.items():
            row[f"AUC {tier}"] = f"{roc_auc_score(own[own | ~made], values[own | ~made, Output.FORGED.column]):.2f}"
        row["labelled, native"] = (
            f"{(scored.tiers['native'][own, Output.AI_GENERATED.column] >= label_threshold).mean():.2f}"
        )
        rows.append(row)
    return pd.DataFrame(rows)


def level_of(thresholds: Sequence[Threshold], category: Category, action: Action) -> float:
    """The shipped threshold of a category and action. Raises StopIteration where the model ships none."""
    return next(each.value for each in thresholds if (each.category, each.action) == (category, action))


def genuine_table(scored: Scored, thresholds: Sequence[Threshold], by: str) -> pd.DataFrame:
    """Share of genuine pictures labelled and sent to review at the shipped thresholds, by kind or by source."""
    rows = []
    keys = [getattr(s, by) if not s.forged else None for s in scored.samples]
    for key in [*sorted({k for k in keys if k is not None}), "all"]:
        own = np.array([k == key or (key == "all" and k is not None) for k in keys])
        row: dict[str, object] = {f"genuine, by {by}": key, "pictures": int(own.sum())}
        for tier, values in scored.tiers.items():
            review = np.zeros(int(own.sum()), bool)
            for k, label in enumerate(FORGERY_CATEGORIES):
                review |= values[own, k] >= level_of(thresholds, label, Action.REVIEW)
            row[f"review, {tier}"] = f"{review.mean():.3f}"
            label = values[own, Output.AI_GENERATED.column] >= level_of(thresholds, Category.AI_GENERATED, Action.LABEL)
            row[f"label, {tier}"] = f"{label.mean():.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def forged_table(real: Scored, forged: Scored) -> pd.DataFrame:
    """The project's own forgeries of unseen products, a row a category: its own output against genuine pictures."""
    clean = np.array([not s.forged for s in real.samples])
    rows = []
    for k, label in enumerate(CATEGORIES):
        own = np.array([label in s.labels for s in forged.samples])
        if not own.any():
            continue
        row: dict[str, object] = {"category": label.value, "forgeries": int(own.sum())}
        for tier in forged.tiers:
            genuine, made = real.tiers[tier][clean, k], forged.tiers[tier][own, k]
            auc, low, high = auc_interval(genuine, made)
            at1 = recall_at(genuine, made, 0.01)
            row[f"AUC {tier}"] = f"{auc:.3f} [{low:.3f}, {high:.3f}]"
            row[f"recall at 1 % FPR {tier}"] = f"{at1[0]:.2f} [{at1[1]:.2f}, {at1[2]:.2f}]"
        rows.append(row)
    return pd.DataFrame(rows)


def network_table(real: Scored, forged: Scored, known: set[str]) -> pd.DataFrame:
    """Forgeries by the network that made them: `ai_generated` against genuine pictures; networks training never saw."""
    clean = np.array([not s.forged for s in real.samples])
    index = Output.AI_GENERATED.column
    rows = []
    for network in sorted({s.generator for s in forged.samples if Category.AI_GENERATED in s.labels}):
        own = np.array([s.generator == network for s in forged.samples])
        row: dict[str, object] = {"network": network, "held out": "yes" if network not in known else ""}
        row["forgeries"] = int(own.sum())
        for tier in forged.tiers:
            genuine, made = real.tiers[tier][clean, index], forged.tiers[tier][own, index]
            row[f"AUC {tier}"] = f"{auc_interval(genuine, made)[0]:.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def flip_table(scored: Scored, thresholds: Sequence[Threshold]) -> pd.DataFrame:
    """Share of pictures of which the action changes when the same picture is re-encoded."""

    def actions(values: np.ndarray) -> np.ndarray:
        label = values[:, Output.AI_GENERATED.column] >= level_of(thresholds, Category.AI_GENERATED, Action.LABEL)
        limits = np.array([level_of(thresholds, each, Action.REVIEW) for each in FORGERY_CATEGORIES])
        return np.where((values[:, :4] >= limits).any(1), 2, label.astype(int))

    made = np.array([sample.forged for sample in scored.samples])
    native = actions(scored.tiers["native"])
    rows = []
    for tier in [name for name in scored.tiers if name != "native"]:
        flipped = actions(scored.tiers[tier]) != native
        rows.append(
            {"re-encoded as": tier, "genuine": f"{flipped[~made].mean():.3f}", "AI-made": f"{flipped[made].mean():.3f}"}
        )
    return pd.DataFrame(rows)


def precision_table(full: Scored, small: Scored) -> pd.DataFrame:
    """int8 against fp32 on the same pictures."""
    made = np.array([sample.forged for sample in full.samples])
    rows = []
    for tier in full.tiers:
        auc = [float(roc_auc_score(made, each.tiers[tier][:, Output.FORGED.column])) for each in (full, small)]
        gap = np.abs(full.tiers[tier] - small.tiers[tier])
        rows.append(
            {
                "tier": tier,
                "AUC fp32": f"{auc[0]:.4f}",
                "AUC int8": f"{auc[1]:.4f}",
                "fp32 - int8": f"{auc[0] - auc[1]:+.4f}",
                "mean score difference": f"{gap.mean():.4f}",
                "largest": f"{gap.max():.3f}",
            }
        )
    return pd.DataFrame(rows)
