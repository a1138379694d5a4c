"""Judge the exported model through the serving code, and write what came out.

    python -m zhentu_training.evaluate --pictures DATA --manifest runs/set/manifest.csv --card models/MODEL_CARD.md
    python -m zhentu_training.evaluate --rows dev.csv --pictures DATA      # only the AUC of a finished scan

Every figure is of sources that training never saw. The fusion and the thresholds were fitted on these sources (few
parameters); figures marked "held out" were made by a fusion that did not see the picture's own source.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest
from zhentu.intake.decode import decode
from zhentu.types import Action, Category, Picture
from zhentu_training.card import write_card
from zhentu_training.dataset import Sample, read_manifest
from zhentu_training.plots import plot_curves
from zhentu_training.prepare import real_samples
from zhentu_training.tables import (
    Scored,
    auc_interval,
    flip_table,
    forged_table,
    genuine_table,
    level_of,
    network_table,
    precision_table,
    real_table,
    source_table,
)
from zhentu_training.tiers import TIERS


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
    parser.add_argument("--manifest", type=Path, help="with forged dev pictures, written by zhentu_training.prepare")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", help="name@version; default: the active one")
    parser.add_argument("--run", type=Path, help="run folder: its held-out figures enter the card")
    parser.add_argument("--card", type=Path, help="write the model card there")
    parser.add_argument("--exact", action="store_true", help="score with the fp32 model too, and compare an int8 one")
    parser.add_argument("--tiers", nargs="+", default=list(TIERS))
    arguments = parser.parse_args()
    if arguments.rows:
        print(rows_auc(arguments.rows, arguments.pictures))
        return
    manifest = Manifest.load(arguments.models)
    entry = manifest.entry(arguments.model or manifest.active)
    detector = Detector(entry, arguments.models)
    real = score([s for s in real_samples(arguments.pictures) if s.split == "dev"], detector, arguments.tiers)
    thresholds = entry.thresholds
    tables = {
        "Real AI-made against genuine pictures, all of unseen sources": real_table(real),
        "Each AI source alone": source_table(real, level_of(thresholds, Category.AI_GENERATED, Action.LABEL)),
        "False alarms by kind of genuine picture": genuine_table(real, thresholds, "kind"),
        "False alarms by genuine source": genuine_table(real, thresholds, "source"),
        "Verdicts that flip when a picture is re-encoded": flip_table(real, thresholds),
    }
    full = manifest.in_floating_point(entry) if arguments.exact else None
    if full is not None:
        exact = score(real.samples, Detector(full, arguments.models), arguments.tiers[:1])
        compared = Scored(real.samples, {tier: real.tiers[tier] for tier in exact.tiers})
        tables["8-bit integers against floating point"] = precision_table(exact, compared)
    if arguments.manifest:
        made = [s for s in read_manifest(arguments.manifest) if s.split == "dev" and s.recipe and s.forged]
        own = [s for s in made if s.recipe != "pair"]
        forged = score(own, detector, arguments.tiers)
        tables["The project's own forgeries of unseen products"] = forged_table(real, forged)
        known = {s.generator for s in read_manifest(arguments.manifest) if s.split == "train"}
        tables["Forgeries by network"] = network_table(real, forged, known)
        honest = [s for s in read_manifest(arguments.manifest) if s.split == "dev" and s.recipe and not s.forged]
        tables["False alarms on hard negatives"] = genuine_table(
            score([s for s in honest if s.recipe != "pair"], detector, arguments.tiers), thresholds, "recipe"
        )
    for title, table in tables.items():
        print(f"\n{title}\n{table.to_string(index=False)}")
    if arguments.card:
        plot_curves(real, arguments.card.with_name("curves.png"))
        write_card(arguments.card, entry, tables, arguments.run, read_manifest_counts(arguments.pictures))
        print(f"\nwrote {arguments.card}")


def read_manifest_counts(pictures: Path) -> pd.DataFrame:
    """Training pictures by source and generator, for the card."""
    samples = [s for s in real_samples(pictures) if s.split == "train"]
    table = pd.DataFrame([{"source": s.source, "generator": s.generator or "genuine", "pictures": 1} for s in samples])
    return table.groupby(["source", "generator"], as_index=False).sum()


if __name__ == "__main__":
    main()
