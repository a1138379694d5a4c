"""Fit, judge and export the comparison with references.

    python -m zhentu_training.compare.sights --views runs/views --run runs/compare      # looks at every picture once
    python -m zhentu_training.compare.train --run runs/compare --models models

Products of the judged split are never seen in fitting; thresholds and calibration come from cross-fitting the others by
group of products. The transformer stays as it is: the tokens' centre and the heads alone are fitted. Figures are kept
in the run by unit, so that another fit takes minutes and an added product costs its own pairs alone.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from zhentu.detect.calibration import Platt
from zhentu.detect.entries import QuestionLevels, TrainingData
from zhentu.detect.figures import IDENTITY_NAMES, NAMES
from zhentu.detect.questions import ANSWERED
from zhentu_training.card import markdown
from zhentu_training.commands import errors_said_plainly
from zhentu_training.compare.designs import choose
from zhentu_training.compare.export import NAME, Fitted, export
from zhentu_training.compare.gists import centres, gists_of
from zhentu_training.compare.heads import MEMBERS, RIDGE, fit, mixed
from zhentu_training.compare.identity import crossed, summaries_of
from zhentu_training.compare.measuring import figures_of
from zhentu_training.compare.pairing import Pair, copies_of, pairs_of
from zhentu_training.compare.report import baselines, into_card, report
from zhentu_training.figures import alike, quantile

_FOLDS = 5
_RISK = 1 / 100  # share of true matches that may be called a mismatch
_DESIGNS = "\nWorth of each design there (half the AUC over all, half the mean of kinds); the best one is shipped:\n\n"
_IDENTITY = [NAMES.index(name) for name in IDENTITY_NAMES]
_MISSED = 1 / 10  # share of a question's real differences that may be called the same


def weights_of(pairs: Sequence[Pair]) -> np.ndarray:
    """Every kind of every source weighs by the root of its count: large ones neither drown the others nor vanish."""
    keys = pd.Series([f"{pair.source}/{pair.kind}" for pair in pairs])
    return (1 / np.sqrt(keys.map(keys.value_counts()))).to_numpy()


def truths_of(pairs: Sequence[Pair]) -> np.ndarray:
    """Truth (N, ANSWERED): whether it is a mismatch at all, then each question's answer."""
    return np.array([(int(pair.mismatch), *pair.truth) for pair in pairs])


def crossfit(figures: np.ndarray, pairs: Sequence[Pair], ridge: float = RIDGE) -> np.ndarray:
    """Logits (members, N, ANSWERED) of each pair by heads that never saw its group of products."""
    truth, weight = truths_of(pairs), weights_of(pairs)
    groups = [pair.group for pair in pairs]
    found = np.zeros((len(MEMBERS), *truth.shape), np.float32)
    for teach, ask in GroupKFold(_FOLDS).split(figures, groups=groups):
        found[:, ask] = fit(figures[teach], truth[teach], weight[teach], ridge).members(figures[ask])
    return found


def calibrated(logits: np.ndarray, truth: np.ndarray) -> Platt:
    """Platt's slope and intercept, both answers weighing alike; pairs of unknown truth are left out."""
    known = truth >= 0
    fitted = LogisticRegression(C=1e4, class_weight="balanced").fit(logits[known, None], truth[known])
    return Platt(max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))


def crossfitted(run: Path, figures: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
    """`crossfit`, kept in the run: it is nine tenths of a fit, and what comes after it may be done again."""
    digest = hashlib.sha256(np.ascontiguousarray(figures).tobytes())
    digest.update(json.dumps([[pair.kind, pair.source, pair.group] for pair in pairs]).encode())
    kept = run / f"crossfit-{digest.hexdigest()[:16]}.npy"
    if not kept.is_file():
        found = crossfit(figures, pairs)
        half_written = kept.with_suffix(".tmp.npy")
        np.save(half_written, found)
        half_written.replace(kept)
    return np.asarray(np.load(kept))


def level(scores: np.ndarray, sources: np.ndarray, risk: float) -> float:
    """The lowest level that at most `risk` of the scores reach, sources weighing alike.

    As the detector's thresholds: made products are most of the matches, and easier than a shop's photographs.
    """
    return float(round(min(quantile(scores, alike(sources), 1 - risk) + 1e-4, 0.9999), 4))


def levels(scores: np.ndarray, truth: np.ndarray, match: np.ndarray, sources: np.ndarray) -> QuestionLevels:
    """From where a question is answered "differs", and up to where "the same"; in between nobody can tell."""
    differs = level(scores[match], sources[match], _RISK)
    same = float(np.quantile(scores[truth == 1], _MISSED)) if (truth == 1).any() else 0.0
    return QuestionLevels(same=round(min(same, differs), 4), differs=differs)


@errors_said_plainly()
def main() -> None:
    """Read gists, measure pairs (kept), fit, judge, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/compare"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--version", default="1.5.0")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--card", type=Path, help="write the tables into this model card")
    parser.add_argument("--no-export", action="store_true", help="judge only")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run: Path = arguments.run
    gists = gists_of(run)
    pairs = [*pairs_of(gists, arguments.seed), *copies_of(gists)]
    rows = [asdict(pair) for pair in pairs]
    centre, class_centre = centres(gists)
    figures = figures_of(run, gists, pairs, (centre, class_centre))
    identity, figures[:, _IDENTITY] = crossed(summaries_of(gists), pairs, weights_of(pairs))
    judged = np.array([pair.split == "judge" for pair in pairs])
    taught = [pair for pair, out in zip(pairs, judged, strict=True) if not out]
    asked = [pair for pair, out in zip(pairs, judged, strict=True) if out]
    truth, members = truths_of(taught), crossfitted(run, figures[~judged], taught)
    heads = fit(figures[~judged], truth, weights_of(taught))
    told = np.array([pair.first != pair.second for pair in taught])  # copies are no evidence of anything
    truth, members, taught = truth[told], members[:, told], [pair for pair in taught if pair.first != pair.second]
    mixture, designs = choose(members, truth, taught)
    unseen = mixed(members, mixture)
    platts = tuple(calibrated(unseen[:, k], truth[:, k]) for k in range(len(ANSWERED)))
    match = truth[:, 0] == 0
    scores = [platt.probability(unseen[:, k]) for k, platt in enumerate(platts)]
    sources = np.array([pair.source for pair in taught])
    limits = {name: levels(scores[k], truth[:, k], match, sources) for k, name in enumerate(ANSWERED)}
    threshold = level(scores[0][match], sources[match], _RISK)
    found = heads.logits(figures[judged], mixture)
    judged_scores = np.stack([platt.probability(found[:, k]) for k, platt in enumerate(platts)], 1)
    wholes = baselines(gists, asked)
    text = report(asked, judged_scores, threshold, limits, wholes, crossed=(taught, scores[0]))
    text += _DESIGNS + markdown(designs.astype(object).fillna(""))
    print(text)
    (run / "report.md").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    seen = {index for pair in taught for index in (pair.first, pair.second)}
    fitted = Fitted(
        heads=heads,
        mixture=mixture,
        centre=torch.from_numpy(centre.astype(np.float32)),
        class_centre=torch.from_numpy(class_centre.astype(np.float32)),
        identity=identity,
        calibration=dict(zip(ANSWERED, platts, strict=True)),
        levels=limits,
        review_threshold=threshold,
        data=TrainingData(digest, len(seen), len({gists[k].subject.group for k in seen})),
    )
    if not arguments.no_export:
        created = datetime.datetime.now(datetime.UTC).date().isoformat()
        print(export(fitted, arguments.version, created, arguments.models))
    if arguments.card:
        into_card(arguments.card, f"{NAME} {arguments.version}", text)


if __name__ == "__main__":
    main()
