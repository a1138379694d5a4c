"""Which mixture of judges an output gets: the best by cross-fitting on the groups of products that fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from zhentu.detect.questions import ANSWERED
from zhentu_training.compare.heads import Mixture, mixed
from zhentu_training.compare.pairing import Pair

DESIGNS: dict[str, tuple[float, float, float]] = {  # weights of the members, each in deviations of its own
    "ridge": (1, 0, 0),
    "forest": (0, 1, 0),
    "boosted": (0, 0, 1),
    "forest and boosted": (0, 1, 1),
    "forest and ridge": (1, 2, 0),
    "all": (1, 2, 2),
}
ASKED = (0.5, 1.0, 2.0)  # how much of the highest question may be added to "mismatch"


def choose(members: np.ndarray, truth: np.ndarray, pairs: Sequence[Pair]) -> tuple[Mixture, pd.DataFrame]:
    """The mixture of each output, and the table it was chosen from.

    members: cross-fitted logits (members, N, outputs).  truth: (N, outputs), negative where unknown.
    """
    match = truth[:, 0] == 0
    middle, spread = members[:, match].mean(1), members[:, match].std(1) + 1e-6
    kinds = np.array([pair.kind for pair in pairs])
    weight, rows = np.zeros(middle.shape), []
    for name, shares in DESIGNS.items():
        found = mixed(members, Mixture(np.array(shares)[:, None] / spread, middle))
        rows.append(
            {"design": name} | {each: worth(found[:, k], truth[:, k], kinds) for k, each in enumerate(ANSWERED)}
        )
    table = pd.DataFrame(rows)
    for k, each in enumerate(ANSWERED):
        best = DESIGNS[table["design"][int(table[each].to_numpy().argmax())]]
        weight[:, k] = np.array(best) / np.array(best).sum() / spread[:, k]
    mixtures = [Mixture(weight, middle, asked) for asked in (0.0, *ASKED)]
    worths = [worth(mixed(members, mixture)[:, 0], truth[:, 0], kinds) for mixture in mixtures]
    names = [f"the best, with {asked:g} of the highest question" for asked in ASKED]
    heard = pd.DataFrame({"design": names, ANSWERED[0]: worths[1:]})
    return mixtures[int(np.argmax(worths))], pd.concat([table, heard], ignore_index=True)


def worth(scores: np.ndarray, truth: np.ndarray, kinds: np.ndarray) -> float:
    """Mean of the AUC over all known pairs and the AUCs of each kind that differs against all that is the same.

    Half of it is the kinds', each counting once: otherwise look-alikes, which are most pairs, would choose alone. Half
    where one answer never occurred.
    """
    same = truth == 0
    different = [kind for kind in sorted(set(kinds)) if ((kinds == kind) & (truth == 1)).any()]
    if not (same.any() and different):
        return 0.5
    known = truth >= 0
    each = [_auc(scores, same | ((kinds == kind) & (truth == 1)), truth) for kind in different]
    return round((_auc(scores, known, truth) + float(np.mean(each))) / 2, 4)


def _auc(scores: np.ndarray, used: np.ndarray, truth: np.ndarray) -> float:
    return float(roc_auc_score(truth[used] == 1, scores[used]))
