"""Judge the exported model through the serving code, and write what came out.

    python -m training.evaluate --pictures ../shared/data --manifest runs/set/manifest.csv --card models/MODEL_CARD.md
    python -m training.evaluate --rows dev.csv --pictures ../shared/data      # only the AUC of a finished scan

Every figure is of sources that training never saw. The fusion and the thresholds were fitted on these sources (few
parameters); figures marked "held out" were made by a fusion that did not see the picture's own source.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from tqdm import tqdm

from training.calibrate import expected_calibration_error
from training.card import write_card
from training.dataset import Sample, read_manifest
from training.prepare import real_samples
from training.tiers import TIERS
from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest
from zhentu.intake.decode import decode
from zhentu.types import FORGERY_CATEGORIES, LABELS, Picture

_DRAWS = 1000  # bootstrap resamples


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Samples with their probabilities per tier: float64 (samples, 6)."""

    samples: list[Sample]
    tiers: dict[str, np.ndarray]


def score(samples: list[Sample], detector: Detector, tiers: list[str], workers: int = 2) -> Scored:
    """Decode once, send each picture down every tier's road, ask the serving detector."""

    def work(sample: Sample) -> list[list[float]]:
        picture = decode(sample.path.read_bytes())
        found = []
        for tier in tiers:
            changed = Picture(TIERS[tier](picture.rgb), picture.sha256, picture.format, picture.byte_count)
            found.append(list(detector.detect(changed).scores.as_dict().values()))
        return found

    with ThreadPoolExecutor(workers) as pool:
        rows = list(tqdm(pool.map(work, samples), total=len(samples), desc="scoring", mininterval=5))
    return Scored(samples, {tier: np.array([row[k] for row in rows]) for k, tier in enumerate(tiers)})


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
        p = values[:, 5]
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
            row[f"AUC {tier}"] = f"{roc_auc_score(own[own | ~made], values[own | ~made, 5]):.2f}"
        row["labelled, native"] = f"{(scored.tiers['native'][own, 4] >= label_threshold).mean():.2f}"
        rows.append(row)
    return pd.DataFrame(rows)


def genuine_table(scored: Scored, thresholds: dict[str, float], by: str) -> pd.DataFrame:
    """Share of genuine pictures labelled and sent to review at the shipped thresholds, by kind or by source."""
    rows = []
    keys = [getattr(s, by) if not s.forged else None for s in scored.samples]
    for key in [*sorted({k for k in keys if k is not None}), "all"]:
        own = np.array([k == key or (key == "all" and k is not None) for k in keys])
        row: dict[str, object] = {f"genuine, by {by}": key, "pictures": int(own.sum())}
        for tier, values in scored.tiers.items():
            review = np.zeros(int(own.sum()), bool)
            for k, label in enumerate(FORGERY_CATEGORIES):
                review |= values[own, k] >= thresholds[f"{label.value}.review"]
            row[f"review, {tier}"] = f"{review.mean():.3f}"
            row[f"label, {tier}"] = f"{(values[own, 4] >= thresholds['ai_generated.label']).mean():.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def forged_table(real: Scored, forged: Scored) -> pd.DataFrame:
    """The project's own forgeries of unseen products, a row a category: its own output against genuine pictures."""
    clean = np.array([not s.forged for s in real.samples])
    rows = []
    for k, label in enumerate(LABELS):
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


def rows_auc(rows: Path, pictures: Path) -> str:
    """AUC of `forged` of a `zhentu scan` output against the pictures' own manifest."""
    table = pd.read_csv(rows)
    made = {str(sample.path): sample.forged for sample in real_samples(pictures)}
    table["made"] = [made.get(str(Path(path).resolve())) for path in table["path"]]
    known = table[table["made"].notna() & table["forged"].notna()]
    truth = known["made"].astype(bool).to_numpy()
    auc, low, high = auc_interval(known["forged"][~truth].to_numpy(), known["forged"][truth].to_numpy())
    unread = int(table["forged"].isna().sum())
    return f"AUC of forged: {auc:.4f} [{low:.4f}, {high:.4f}], {len(known)} pictures scored, {unread} without a score"


def main() -> None:
    """Print the tables and write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=Path, help="a CSV written by `zhentu scan`: print its AUC and stop")
    parser.add_argument("--manifest", type=Path, help="with forged dev pictures, written by training.prepare")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", help="name@version; default: the active one")
    parser.add_argument("--run", type=Path, help="run folder: its held-out figures enter the card")
    parser.add_argument("--card", type=Path, help="write the model card there")
    parser.add_argument("--tiers", nargs="+", default=list(TIERS))
    arguments = parser.parse_args()
    if arguments.rows:
        print(rows_auc(arguments.rows, arguments.pictures))
        return
    manifest = Manifest.load(arguments.models)
    entry = manifest.entry(arguments.model or manifest.active)
    detector = Detector(entry, arguments.models)
    real = score([s for s in real_samples(arguments.pictures) if s.split == "dev"], detector, arguments.tiers)
    thresholds = dict(entry.thresholds)
    tables = {
        "Real AI-made against genuine pictures, all of unseen sources": real_table(real),
        "Each AI source alone": source_table(real, thresholds["ai_generated.label"]),
        "False alarms by kind of genuine picture": genuine_table(real, thresholds, "kind"),
        "False alarms by genuine source": genuine_table(real, thresholds, "source"),
    }
    if arguments.manifest:
        made = [s for s in read_manifest(arguments.manifest) if s.split == "dev" and s.recipe and s.forged]
        own = [s for s in made if s.recipe != "pair"]
        forged = score(own, detector, arguments.tiers)
        tables["The project's own forgeries of unseen products"] = forged_table(real, forged)
        honest = [s for s in read_manifest(arguments.manifest) if s.split == "dev" and s.recipe and not s.forged]
        tables["False alarms on hard negatives"] = genuine_table(
            score([s for s in honest if s.recipe != "pair"], detector, arguments.tiers), thresholds, "recipe"
        )
    for title, table in tables.items():
        print(f"\n{title}\n{table.to_string(index=False)}")
    if arguments.card:
        write_card(arguments.card, entry, tables, arguments.run, read_manifest_counts(arguments.pictures))
        print(f"\nwrote {arguments.card}")


def read_manifest_counts(pictures: Path) -> pd.DataFrame:
    """Training pictures by source and generator, for the card."""
    samples = [s for s in real_samples(pictures) if s.split == "train"]
    table = pd.DataFrame([{"source": s.source, "generator": s.generator or "genuine", "pictures": 1} for s in samples])
    return table.groupby(["source", "generator"], as_index=False).sum()


if __name__ == "__main__":
    main()
