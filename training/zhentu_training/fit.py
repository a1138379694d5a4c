"""Fit the shipped model: the heads on all pictures; fusion, calibration and thresholds on held-out scores.

    python -m zhentu_training.fit --manifest runs/set/manifest.csv --features runs/features --run runs/reference
    python -m zhentu_training.fit --manifest NEW.csv --run runs/tuned --config configs/tune.yaml --start-from models

The run folder keeps the config, heads.npz (the heads), calibration.json (fusion, profiles, drift reference, figures),
held_out.npz (what heads that never saw a picture's source say of it) and training_data.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from zhentu.detect.calibration import any_of
from zhentu.detect.drift import references_of
from zhentu.detect.entries import FirstLook
from zhentu.errors import UsageError
from zhentu_training.calibrate import (
    Sources,
    all_profiles,
    few_for,
    first_look,
    fit_fusion,
    held_out,
    settled_by,
    untaught_of,
)
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import EARLY, TrainSpec, load_spec
from zhentu_training.crossval import assignments_by, figures_of, folds_by, judged_ai, look_logits, looks_of
from zhentu_training.dataset import Origin, digest
from zhentu_training.encoder_mark import check_mark
from zhentu_training.features import LOOKS, pictures_of
from zhentu_training.heads import FittedHead, fit_head, read_tokens, weights_of
from zhentu_training.leaving import exit_content, judging_of, left_early
from zhentu_training.reading import some_of
from zhentu_training.rows import Rows, gather
from zhentu_training.start import head_of, shipped_calibration, shipped_fusion

HEADS, CALIBRATION, HELD_OUT = "heads.npz", "calibration.json", "held_out.npz"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What heads and fusions that never saw a row's source say of it, and the truth, so that figures need no features.

    names (paths), road, fold (of the first assignment), source (n,).  looks: logits (n, 2, 5).
    probabilities, targets, known: (n, 5).
    """

    names: np.ndarray
    road: np.ndarray
    fold: np.ndarray
    source: np.ndarray
    looks: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray
    known: np.ndarray


def fit_heads(
    rows: Rows,
    spec: TrainSpec,
    start_from: Path | None = None,
    teach: tuple[str, ...] = (),
    only: np.ndarray | None = None,
) -> list[FittedHead]:
    """Both looks' heads on all rows of the roads that teach, or on `only` some of them, bool (n,), and the early one.

    start_from: a models folder whose heads they are drawn towards.  teach: then, sources whose labels are learnt, all
    others remind the head of what it said; empty = all teach.
    """
    use = np.isin(rows.road, spec.fit.roads) & (True if only is None else only)
    samples = [sample for sample, chosen in zip(rows.samples, use, strict=True) if chosen]
    weights = weights_of(samples, rows.targets[use], rows.known[use], spec.fit.source_power, spec.fit.real_share)
    reminded = np.array([bool(teach) and sample.source not in teach for sample in samples])
    heads = []
    for name, look_spec in spec.heads.items():
        anchor = None if start_from is None else head_of(start_from, name, spec)
        x = read_tokens(rows.look("whole" if name == EARLY else name)[use], look_spec.tokens)
        told = reminded if anchor is not None else None
        heads.append(fit_head(x, rows.targets[use], weights, look_spec, spec.seed, anchor, told))
    return heads


def calibrate(
    rows: Rows, folds: Sequence[np.ndarray], spec: TrainSpec, kept: Path
) -> tuple[HeldOut, dict[str, object]]:
    """`calibrated` on what linear heads say out of fold, in the mean over the assignments of sources to folds.

    folds: the fold of each row, by assignment. A head that four fifths of the sources fitted says more at random than
    the shipped one, and which sources it lacked is chance: the mean has less of both, and no head in it saw the row's
    source (repeated cross-validation: Kim 2009, "Estimating classification error rate").
    kept: as in `crossval.look_logits`.
    """
    early = None
    if spec.exit is not None:
        head = spec.heads[EARLY]
        early = _mean([look_logits(rows, fold, "whole", head, spec.fit, spec.seed, kept) for fold in folds])
    looks = _mean([looks_of(rows, fold, spec.fit, spec.seed, kept) for fold in folds])
    honest, content = calibrated(rows, looks, folds[0], spec, early)
    return honest, content | {"assignments": len(folds)}


def _mean(said: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(said, axis=0, dtype=np.float64), dtype=np.float32)


def calibrated(
    rows: Rows, looks: np.ndarray, fold: np.ndarray, spec: TrainSpec, early: np.ndarray | None = None
) -> tuple[HeldOut, dict[str, object]]:
    """Honest scores, and what the manifest entry and the card need of them.

    looks: logits out of fold (n, 2, 5).  early: of the head that may end the whole look (n, 5), None without an exit.
    """
    weights = weights_of(rows.samples, rows.targets, rows.known, spec.fit.source_power, spec.fit.real_share)
    fusion = fit_fusion(looks, rows.targets, weights, spec.fit.crop_share, spec.priors)
    honest = held_out(looks, rows.targets, weights, fold, spec.fit.crop_share, spec.priors)
    genuine = np.array([sample.origin is Origin.REAL and not sample.forged for sample in rows.samples])
    source = np.array([sample.source for sample in rows.samples])
    profiles = all_profiles(spec, honest, rows.targets, weights, genuine, Sources(source, rows.road))
    first = None
    if spec.cascade:
        first = first_look(looks, fusion, genuine, source, profiles)
        settled, alone = settled_by(first, looks, fusion)
        honest = np.where(settled[:, None], alone, honest)
    way_out = None
    if early is not None and first is not None and spec.exit is not None:
        judging = judging_of(spec, spec.exit, honest, rows, weights, fold, profiles, first)
        left = left_early(early, judging, spec.exit)
        way_out = exit_content(early, judging, spec.exit, first) | {"figures": left.figures(judging)}
        honest = np.where(left.early[:, None], left.probabilities, honest)
    native = honest[genuine & (rows.road == spec.fit.roads[0])]
    content = {
        "fusion": fusion.weights.tolist(),
        "calibration": {name: asdict(line) for name, line in fusion.calibration().items()},
        "prior": spec.prior,
        "category_prior": spec.category_prior,
        "first_look": TypeAdapter(FirstLook | None).dump_python(first, mode="json"),
        "exit": way_out,
        "profiles": {name.value: asdict(each) for name, each in profiles.items()},
        "reference": references_of(np.c_[native, any_of(native)]),
        "figures": {road: figures_of(judged_ai(rows, honest, road)) for road in dict.fromkeys(rows.road)},
    }
    names = np.array([str(sample.path) for sample in rows.samples])
    held = HeldOut(names, rows.road, fold, source, looks, honest, rows.targets, rows.known)
    return held, content


def tuned(rows: Rows, fold: np.ndarray, spec: TrainSpec, start_from: Path, teach: tuple[str, ...]) -> HeldOut:
    """Honest scores of tuned heads: each row by heads tuned without its fold, read by the shipped fusion."""
    shipped = shipped_fusion(start_from)
    looks = np.zeros((len(rows), 2, rows.targets.shape[1]), np.float32)
    for each in np.unique(fold):
        rest, inside = (fold != each) if (fold != each).any() else fold == each, fold == each
        for k, head in enumerate(fit_heads(rows, spec, start_from, teach, rest)[: len(LOOKS)]):
            x = read_tokens(rows.look(LOOKS[k])[inside], getattr(spec.fit, LOOKS[k]).tokens)
            looks[inside, k] = head.logits(x)
    names = np.array([str(sample.path) for sample in rows.samples])
    source = np.array([sample.source for sample in rows.samples])
    said = shipped.probabilities(looks)
    return HeldOut(names, rows.road, fold, source, looks, said, rows.targets, rows.known)


def save_heads(heads: list[FittedHead], run: Path) -> Path:
    """heads.npz: weight, bias and, where there is a network, its two layers, by look; and of the early head."""
    arrays: dict[str, np.ndarray] = {}
    for look, head in zip((*LOOKS, EARLY), heads, strict=False):
        arrays |= {f"{look}.weight": head.weight, f"{look}.bias": head.bias}
        arrays |= {f"{look}.deep{k}": value for k, value in enumerate(head.deep or ())}
    np.savez(run / HEADS, **{name: value.astype(np.float32) for name, value in arrays.items()})  # type: ignore[arg-type]
    return run / HEADS


def load_heads(run: Path) -> dict[str, FittedHead]:
    """What `save_heads` wrote, by look."""
    with np.load(run / HEADS) as kept:
        arrays = dict(kept)
    heads = {}
    for look in (each for each in (*LOOKS, EARLY) if f"{each}.weight" in arrays):
        deep = tuple(arrays[f"{look}.deep{k}"] for k in range(4) if f"{look}.deep{k}" in arrays)
        heads[look] = FittedHead(arrays[f"{look}.weight"], arrays[f"{look}.bias"], deep or None)
    return heads


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, calibrate, and write the run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"))
    parser.add_argument("--shards", type=Path, help="whose folds hold, for features of zhentu_training.unfold")
    parser.add_argument("--kept", type=Path, help="logits that zhentu_training.crossval kept; default: of the run")
    parser.add_argument("--start-from", type=Path, help="tune: a models folder whose heads are drawn towards")
    parser.add_argument("--teach", nargs="*", default=[], help="when tuning: sources whose labels are learnt")
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _fit(arguments)


def _fit(arguments: argparse.Namespace) -> None:
    spec, run = load_spec(arguments.config), arguments.run
    if arguments.teach and arguments.start_from is None:
        raise UsageError(
            "--teach: only a model that is tuned has sources that teach and others that remind; add --start-from"
        )
    check_mark(arguments.features, spec)
    rows = gather(pictures_of(arguments.manifest), arguments.features, spec.fit.roads)
    _check_taught(rows, arguments.teach)
    run.mkdir(parents=True, exist_ok=True)
    if arguments.config.resolve() != (run / "train.yaml").resolve():
        shutil.copyfile(arguments.config, run / "train.yaml")
    start, teach = arguments.start_from, tuple(arguments.teach)
    if start is None:
        count = spec.assignments if arguments.shards is None else 1  # tuned encoders know the packed folds alone
        folds = assignments_by(arguments, rows.samples, spec, count)
        honest, content = calibrate(rows, folds, spec, arguments.kept or run / "kept")
    else:  # one person's decisions set no thresholds: fusion and calibration are those of what was shipped
        fold = folds_by(arguments, rows.samples, spec)
        honest, content = tuned(rows, fold, spec, start, teach), shipped_calibration(start)
    save_heads(fit_heads(rows, spec, start, teach), run)
    np.savez(run / HELD_OUT, **asdict(honest))
    (run / CALIBRATION).write_text(json.dumps(content, indent=1), encoding="utf-8")
    unique = list({sample.path: sample for sample in rows.samples}.values())
    record = {"pictures": len(unique), "sources": len({s.source for s in unique}), "digest": digest(unique)}
    (run / "training_data.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(json.dumps({name: content.get(name) for name in ("figures", "profiles", "exit")}, indent=1))
    if start is None:
        genuine = {s.path for s in rows.samples if s.origin is Origin.REAL and not s.forged}
        said = [*few_for(spec, len(genuine)), *untaught_of(rows.samples)]
        print("".join(f"{each}\n" for each in said), end="")


def _check_taught(rows: Rows, teach: Sequence[str]) -> None:
    """Raise UsageError for a source that is not there: the head would be reminded of everything, and learn nothing."""
    sources = sorted({sample.source for sample in rows.samples})
    if unknown := [name for name in teach if name not in sources]:
        raise UsageError(f"--teach {' '.join(unknown)}: no source of that name; there are {some_of(sources)}")


if __name__ == "__main__":
    main()
