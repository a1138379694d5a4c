"""Designs judged on unseen sources: cross-validation that leaves whole sources out.

    python -m zhentu_training.crossval --manifest runs/set/manifest.csv --features runs/features --out runs/crossval

Every row of `configs/designs.yaml` is fitted on four fifths of the sources and scores the rest, five times; what the
heads said is kept, so that a stopped run continues. Intervals are a bootstrap over sources, not pictures: the question
is how another set of sources would have judged. `--assignments 2` divides the sources into folds once more, in another
way: what gains in one alone is the partition's gain, not the design's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from zhentu.errors import UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training.calibrate import held_out
from zhentu_training.card import markdown
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import Design, FitSpec, LookSpec, TrainSpec, load_designs, load_spec
from zhentu_training.dataset import Sample
from zhentu_training.duplicates import same_looks
from zhentu_training.encoder_mark import check_mark
from zhentu_training.features import pictures_of
from zhentu_training.figures import (
    Judged,
    auc,
    balanced_accuracy,
    by_source,
    calibration_error,
    interval,
    recall,
    resampled,
)
from zhentu_training.folds import folds_of, groups_of, load_siblings, packed_folds
from zhentu_training.heads import fit_head, read_tokens, weights_of
from zhentu_training.progress import track
from zhentu_training.rows import Rows, gather
from zhentu_training.tiers import TIERS

_WORST = 5  # sources named
MADE = CATEGORIES.index(Category.AI_GENERATED)


def folds_for(samples: Sequence[Sample], siblings: Path, hashes: Path, spec: TrainSpec) -> np.ndarray:
    """The fold of each sample: by family of sources and by look, labels spread evenly. hashes: kept by `prepare`."""
    unique = list({sample.path: sample for sample in samples}.values())
    groups = groups_of(unique, load_siblings(siblings), same_looks(unique, hashes))
    strata = np.array([f"{sample.origin.value} {sample.forged}" for sample in unique])
    folds = folds_of(groups, strata, spec.folds, spec.seed)
    fold = {sample.path: int(each) for sample, each in zip(unique, folds, strict=True)}
    return np.array([fold[sample.path] for sample in samples])


def folds_by(arguments: argparse.Namespace, samples: Sequence[Sample], spec: TrainSpec) -> np.ndarray:
    """The fold of each sample: as packed where `--shards` names them, else by `folds_for`. Raises UsageError."""
    if arguments.shards is None:
        return folds_for(samples, arguments.siblings, arguments.manifest[0].with_name("looks.csv"), spec)
    packed = packed_folds(arguments.shards)
    if absent := [sample for sample in samples if str(sample.path) not in packed]:
        raise UsageError(
            f"{arguments.shards}: {len(absent)} of {len(samples)} pictures were not packed, so their folds are not "
            f"known ({absent[0].path}); --shards is for features that zhentu_training.unfold wrote"
        )
    return np.array([packed[str(sample.path)] for sample in samples])


def assignments_by(
    arguments: argparse.Namespace, samples: Sequence[Sample], spec: TrainSpec, count: int
) -> list[np.ndarray]:
    """The fold of each sample in each of `count` ways; the first is `folds_by`. Raises UsageError."""
    if count < 1 or (count > 1 and arguments.shards is not None):
        raise UsageError(
            f"{count} assignments of sources to folds: 1 at least, and 1 alone with --shards, whose features are of "
            "encoders tuned without the folds that were packed"
        )
    first = folds_by(arguments, samples, spec)
    hashes = arguments.manifest[0].with_name("looks.csv")
    others = (replace(spec, seed=spec.seed + k) for k in range(1, count))
    return [first, *(folds_for(samples, arguments.siblings, hashes, other) for other in others)]


def look_logits(  # noqa: PLR0913 - what the kept logits depend on
    rows: Rows, fold: np.ndarray, look: str, spec: LookSpec, fit: FitSpec, seed: int, kept: Path
) -> np.ndarray:
    """Logits (n, 5) of one look's head, each row by a head that saw nothing of its fold. kept: of earlier runs."""
    name = [look, TypeAdapter(LookSpec).dump_python(spec), fit.roads, fit.source_power, fit.real_share, seed]
    rows_are = [*map(str, (sample.path for sample in rows.samples)), *rows.road, *fold.tolist()]
    digest = hashlib.sha256(json.dumps([name, rows_are, rows.targets.tolist()]).encode()).hexdigest()[:16]
    path = kept / f"{look}-{digest}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    x, said = read_tokens(rows.look(look), spec.tokens), np.zeros((len(rows), len(CATEGORIES)), np.float32)
    teaches = np.isin(rows.road, fit.roads)
    for each in track(np.unique(fold), f"{look} head", unit="fold"):
        train = teaches & (fold != each) if (fold != each).any() else teaches
        samples = [sample for sample, use in zip(rows.samples, train, strict=True) if use]
        weights = weights_of(samples, rows.targets[train], rows.known[train], fit.source_power, fit.real_share)
        head = fit_head(x[train], rows.targets[train], weights, spec, seed)
        said[fold == each] = head.logits(x[fold == each])
    kept.mkdir(parents=True, exist_ok=True)
    half_written = path.with_suffix(".tmp")
    with half_written.open("wb") as file:
        np.save(file, said)
    half_written.replace(path)
    return said


def looks_of(rows: Rows, fold: np.ndarray, fit: FitSpec, seed: int, kept: Path) -> np.ndarray:
    """Logits of both looks (n, 2, 5), out of fold; a look that the design leaves out gives zero."""
    said = np.zeros((len(rows), 2, len(CATEGORIES)), np.float32)
    for k, (look, spec) in enumerate((("whole", fit.whole), ("crops", fit.crops))):
        if fit.crop_share != (1.0, 0.0)[k]:
            said[:, k] = look_logits(rows, fold, look, spec, fit, seed, kept)
    return said


def scores_of(rows: Rows, fold: np.ndarray, fit: FitSpec, spec: TrainSpec, kept: Path) -> np.ndarray:
    """Probabilities (n, 5) out of fold, fusion and calibration included."""
    looks = looks_of(rows, fold, fit, spec.seed, kept)
    weights = weights_of(rows.samples, rows.targets, rows.known, fit.source_power, fit.real_share)
    return held_out(looks, rows.targets, weights, fold, fit.crop_share, spec.priors)


def judged_ai(rows: Rows, probabilities: np.ndarray, road: str) -> Judged:
    """Unaltered finds, genuine or AI-made, on one road, by `ai_generated`."""
    use = np.array([sample.origin.value == "real" for sample in rows.samples]) & (rows.road == road)
    use &= rows.known[:, MADE] > 0
    # A source that gives pictures of both classes counts as two.
    source = np.array([f"{sample.source}{' (genuine)' if not sample.forged else ''}" for sample in rows.samples])
    return Judged(probabilities[use, MADE], rows.targets[use, MADE] > 0, source[use])


def figures_of(judged: Judged) -> dict[str, object]:
    """One row of the table, and its worst sources."""
    drawn = resampled(judged)
    forged, genuine = by_source(judged)
    at = recall(judged, 0.01)
    return {
        "AUC": str(interval(auc(judged.score, judged.made), [auc(judged.score, judged.made, w) for w in drawn])),
        "AUC, mean over sources": f"{np.mean(list(forged.values())):.3f}" if forged else "",
        "AUC, worst source": f"{min(forged.values()):.3f}" if forged else "",
        "balanced accuracy": f"{balanced_accuracy(judged):.3f}",
        "recall at 1 %": str(interval(at, [recall(judged, 0.01, w) for w in drawn])),
        "ECE": f"{calibration_error(judged):.3f}",
        "pictures": f"{(~judged.made).sum()} + {judged.made.sum()}",
        "worst AI sources": _named(sorted(forged.items(), key=lambda each: each[1])),
        "worst genuine sources": _named(sorted(genuine.items(), key=lambda each: -each[1])),
    }


def _named(sources: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in sources[:_WORST])


def table(
    rows: Rows, folds: Sequence[np.ndarray], designs: Sequence[Design], spec: TrainSpec, kept: Path
) -> pd.DataFrame:
    """One row per design, assignment of folds and road. folds: the fold of each row, by assignment."""
    found = []
    for design in track(designs, "designs"):
        for number, fold in enumerate(folds, start=1):
            probabilities = scores_of(rows, fold, design.fit, spec, kept)
            for road in dict.fromkeys(rows.road):
                judged = figures_of(judged_ai(rows, probabilities, road))
                found.append({"design": design.name, "assignment": number, "road": road, **judged})
    return pd.DataFrame(found)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and write crossval.csv and crossval.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--designs", type=Path, default=Path("configs/designs.yaml"))
    parser.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"))
    parser.add_argument("--shards", type=Path, help="whose folds hold, for features of zhentu_training.unfold")
    parser.add_argument("--roads", nargs="+", default=list(TIERS), choices=list(TIERS), help="that judge")
    parser.add_argument(
        "--assignments", type=int, default=1, help="of the sources to folds; a design should win in two"
    )
    parser.add_argument("--only", nargs="*", help="names of designs")
    parser.add_argument("--out", type=Path, default=Path("runs/crossval"))
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _compare(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    spec = load_spec(arguments.config)
    designs = load_designs(arguments.designs, spec.fit)
    if unknown := [name for name in arguments.only or [] if name not in {design.name for design in designs}]:
        known = ", ".join(design.name for design in designs)
        raise UsageError(
            f"--only {', '.join(unknown)}: no design of that name in {arguments.designs}; there are {known}"
        )
    check_mark(arguments.features, spec)
    rows = gather(pictures_of(arguments.manifest), arguments.features, arguments.roads)
    folds = assignments_by(arguments, rows.samples, spec, arguments.assignments)
    chosen = [design for design in designs if not arguments.only or design.name in arguments.only]
    found = table(rows, folds, chosen, spec, arguments.out / "kept")
    arguments.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(arguments.out / "crossval.csv", index=False)
    (arguments.out / "crossval.md").write_text(markdown(found), encoding="utf-8")
    print(found.drop(columns=["worst AI sources", "worst genuine sources"]).to_string(index=False))


if __name__ == "__main__":
    main()
