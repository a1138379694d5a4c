"""Evaluate the shipped model: figures of heads that never saw a picture's source, and its heatmaps.

    python -m zhentu_training.evaluate --manifest runs/set/manifest.csv --run runs/reference --card models/MODEL_CARD.md
    python -m zhentu_training.evaluate --rows dev.csv --pictures ../shared/data      # only the AUC of a finished scan

The shipped heads have seen every source; heads of the same design, fitted without a source, stand in for what they
would say about strangers. Those figures are in held_out.npz of the run folder (`zhentu_training.fit`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.locator import Locator
from zhentu.detect.models import Manifest
from zhentu.types import CATEGORIES, Category
from zhentu_training.card import Figures, renew_heatmaps, write_card
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import load_spec
from zhentu_training.dataset import Origin, Sample
from zhentu_training.features import pictures_of
from zhentu_training.figures import auc
from zhentu_training.fit import CALIBRATION, HELD_OUT
from zhentu_training.locate import LOCATED
from zhentu_training.plots import plot_curves
from zhentu_training.pointing import Pointing, contact_sheet, point
from zhentu_training.prepare import real_samples
from zhentu_training.tables import (
    Scored,
    category_table,
    confusion_table,
    error_table,
    genuine_table,
    profile_table,
    real_table,
    source_table,
    training_table,
)
from zhentu_training.versus import in_force, said_by, some_of, versus_table

COMPARISON = "comparison.csv"
_WHOLE = 100  # AI-made pictures whose heatmaps are judged
_VERSUS = "Against {}, which may have learnt from these pictures"


def held_out(run: Path, samples: list[Sample]) -> Scored:
    """What the run's heads said of pictures whose sources they never saw."""
    by_name = {str(sample.path): sample for sample in samples}
    with np.load(run / HELD_OUT) as kept:
        held = dict(kept)
    there = np.array([name in by_name for name in held["names"]])
    chosen = [by_name[name] for name in held["names"][there]]
    return Scored(chosen, held["road"][there], held["probabilities"][there])


def rows_auc(rows: Path, pictures: Path) -> str:
    """AUC of `forged` of a `zhentu scan` output against the pictures' own manifest."""
    table = pd.read_csv(rows)
    made = {str(sample.path): sample.forged for sample in real_samples(pictures)}
    table["made"] = [made.get(str(Path(path).resolve())) for path in table["path"]]
    known = table[table["made"].notna() & table["forged"].notna()]
    found = auc(known["forged"].to_numpy(float), known["made"].astype(bool).to_numpy())
    unread = int(table["forged"].isna().sum())
    return f"AUC of forged: {found:.4f}, {len(known)} pictures scored, {unread} without a score"


def tables_of(scored: Scored, entry: ModelEntry) -> dict[str, pd.DataFrame]:
    """Every table of the card, by title."""
    made = next(each.value for each in entry.thresholds if each.category is Category.AI_GENERATED)
    tables = {
        "AI-made against genuine pictures": real_table(scored),
        "The three profiles": profile_table(entry.profiles),
        "Each AI source alone": source_table(scored, made),
        "Genuine pictures by source": genuine_table(scored, entry.profiles, "source"),
        "Genuine pictures by kind": genuine_table(scored, entry.profiles, "kind"),
        "The categories": category_table(scored),
        "Which category is named first: own forgeries": confusion_table(scored, Origin.OWN),
        "Which category is named first: real edits": confusion_table(scored, Origin.EDIT),
        "Calibration": error_table(scored, priors_of(entry)),
    }
    return {title: table for title, table in tables.items() if len(table)}


def exit_table(calibration: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """What leaves the whole look early, and whose verdict it changes, by title; none without an exit."""
    way_out = calibration.get("exit") or {}
    return {"Ending the whole look early": pd.DataFrame(way_out["figures"])} if "figures" in way_out else {}


def versus(scored: Scored, models: Path, count: int, run: Path) -> dict[str, pd.DataFrame]:
    """The table against the active model of a folder, by title; none where there is nothing to compare on."""
    old = in_force(models)
    some = some_of(scored, count, load_spec(run / "train.yaml").seed)
    said = said_by(old, models, [sample.path for sample in some.samples])
    table = versus_table(some, said, f"{old.name}@{old.version}")
    return {_VERSUS.format(f"{old.name}@{old.version}"): table} if len(table) else {}


def priors_of(entry: ModelEntry) -> np.ndarray:
    """Of each output (5,)."""
    return np.array(
        [entry.prior if category is Category.AI_GENERATED else entry.category_prior for category in CATEGORIES]
    )


def heatmaps(run: Path, samples: list[Sample], detector: Detector, most: int, sheet: Path | None) -> Pointing | None:
    """Judge the heatmaps on forgeries that the locator left out; None if nobody knows which."""
    if not (run / LOCATED).is_file():
        return None
    judged = set(map(str, pd.read_csv(run / LOCATED)["judged"]))
    chosen = [sample for sample in samples if str(sample.path) in judged and sample.mask]
    chosen = [chosen[k] for k in np.random.default_rng(3).permutation(len(chosen))[:most]]
    if sheet is not None and chosen:
        contact_sheet(chosen[:12] + _drawn(samples, True, 6) + _drawn(samples, False, 6), detector, sheet)
    return point(chosen, _drawn(samples, True, _WHOLE), detector)


def _drawn(samples: list[Sample], made: bool, most: int) -> list[Sample]:
    """Pictures found so, AI-made or genuine, at most so many."""
    found = [
        s for s in samples if s.origin is Origin.REAL and (Category.AI_GENERATED in s.labels if made else not s.forged)
    ]
    return [found[k] for k in np.random.default_rng(4).permutation(len(found))[:most]]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables and write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="with --rows")
    parser.add_argument("--rows", type=Path, help="a CSV written by `zhentu scan`: print its AUC and stop")
    parser.add_argument("--manifest", type=Path, nargs="+", help="of the run")
    parser.add_argument("--run", type=Path, help="folder of zhentu_training.fit")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", help="name@version; default: the active one")
    parser.add_argument("--card", type=Path, help="write the model card there, curves.png beside it")
    parser.add_argument("--heatmaps", type=int, default=400, help="forgeries whose heatmaps are judged")
    parser.add_argument("--against", type=Path, help="a models folder: compare with its active model")
    parser.add_argument("--against-count", type=int, default=1000, help="pictures on which both are compared")
    parser.add_argument(
        "--only-heatmaps", action="store_true", help="judge them alone, and renew their section of --card"
    )
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of 24 heatmaps there")
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _evaluate(arguments)


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.rows:
        print(rows_auc(arguments.rows, arguments.pictures))
        return
    if not arguments.manifest or not arguments.run:
        sys.exit("name --manifest and --run, or --rows alone")
    manifest = Manifest.load(arguments.models)
    entry = manifest.entry(arguments.model or manifest.active)
    served = manifest.in_floating_point(entry) or entry
    samples = pictures_of(arguments.manifest)
    if arguments.only_heatmaps:
        _only_heatmaps(arguments, samples, served)
        return
    scored = held_out(arguments.run, samples)
    calibration = json.loads((arguments.run / CALIBRATION).read_text(encoding="utf-8"))
    tables = tables_of(scored, entry) | exit_table(calibration)
    if arguments.against:
        compared = versus(scored, arguments.against, arguments.against_count, arguments.run)
        tables |= compared
        for table in compared.values():
            table.to_csv((arguments.card or arguments.run / "card").with_name(COMPARISON), index=False)
    pointing = _pointing(arguments, samples, served)
    for title, table in tables.items():
        print(f"\n{title}\n{table.to_string(index=False)}")
    if pointing is not None:
        print(f"\nHeatmaps\n{pointing.table().to_string(index=False)}")
    if arguments.card:
        plot_curves(scored, arguments.card.with_name("curves.png"))
        trained_on, count = training_table(scored.samples), calibration.get("assignments", 1)
        write_card(arguments.card, entry, Figures(tables, pointing, trained_on, count), arguments.run)
        print(f"\nwrote {arguments.card}")


def _pointing(arguments: argparse.Namespace, samples: list[Sample], served: ModelEntry) -> Pointing | None:
    locator = Locator.of(arguments.models)
    if locator is None:
        return None
    detector = Detector(served, arguments.models, locator=locator)
    return heatmaps(arguments.run, samples, detector, arguments.heatmaps, arguments.sheet)


def _only_heatmaps(arguments: argparse.Namespace, samples: list[Sample], served: ModelEntry) -> None:
    pointing = _pointing(arguments, samples, served)
    if pointing is None:
        sys.exit(f"{arguments.run}: names no forgery that the locator left out: run zhentu_training.locate first")
    print(pointing.table().to_string(index=False))
    if arguments.card:
        renew_heatmaps(arguments.card, pointing)
        print(f"\nwrote the section Heatmaps of {arguments.card}")


if __name__ == "__main__":
    main()
