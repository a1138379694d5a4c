"""Two models on pictures that people decided: which does better, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from zhentu.decide.policy import Policy, decide
from zhentu.detect.entries import ModelEntry
from zhentu.errors import PictureError, PictureNotFound, UsageError
from zhentu.ports import DetectorPort
from zhentu.record.store import RecordStore
from zhentu.review.pictures import ReviewPictures
from zhentu.review.truths import Reviewed, Truth, truths
from zhentu.types import Action, Picture, Record

_CHANCE = 0.05
LEAST_APART = 6  # 2 / 2^6 is the first below `_CHANCE`: of fewer, even all on one side may be chance


@dataclass(frozen=True, slots=True)
class Judged:
    """One model over the decided pictures.

    caught: of the forged, how many it flags (any action above allow).  alarms: of the honest, how many it flags.
    auc: of `forged` between the two groups, None if one is empty.
    """

    model: str
    forged: int
    caught: int
    honest: int
    alarms: int
    auc: float | None
    by_category: tuple[tuple[str, int, int], ...]

    @property
    def recall(self) -> float:
        """Share of the forged that is flagged, 0..1; 0 if there are none."""
        return self.caught / self.forged if self.forged else 0.0

    @property
    def precision(self) -> float:
        """Share of the flagged that is forged, 0..1; 0 if there are none."""
        flagged = self.caught + self.alarms
        return self.caught / flagged if flagged else 0.0


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Model A beside model B. only_a, only_b: pictures that only that one judges rightly.

    p: exact McNemar, two-sided: how likely so uneven a split is by chance.  left_out: pictures whose bytes are gone.
    """

    a: Judged
    b: Judged
    only_a: int
    only_b: int
    p: float
    left_out: int
    disputed: int

    @property
    def b_is_worse(self) -> bool:
        """Whether A is right more often than chance explains."""
        return self.only_a > self.only_b and self.p < _CHANCE


def compare_models(
    store: RecordStore,
    pictures: ReviewPictures,
    a: DetectorPort,
    b: DetectorPort,
    policy: Policy,
) -> ModelComparison:
    """Score every decided picture with both models, each under its own thresholds and the same policy.

    Disputed pictures are left out. Raises UsageError if no decided picture is available.
    """
    found, _ = truths(store.database)
    clear = [truth for truth in found if truth.reviewed is not Reviewed.DISPUTED]
    kept: list[Truth] = []
    flags: list[tuple[bool, bool]] = []
    scores: list[tuple[float, float]] = []
    for truth in clear:
        record = store.get(truth.record_id)
        try:
            picture = pictures.picture(record)
        except (PictureNotFound, PictureError):
            continue
        said = [_judge(each, picture, record, policy) for each in (a, b)]
        kept.append(truth)
        flags.append((said[0][0], said[1][0]))
        scores.append((said[0][1], said[1][1]))
    if not kept:
        raise UsageError(
            "no decided picture can be had: review some first, and keep their pictures (ZHENTU_STORE_PICTURES); "
            "`zhentu model use` puts a model in force without this comparison"
        )
    flagged, forged_score = np.array(flags, bool), np.array(scores)
    forged = np.array([bool(truth.category) for truth in kept])
    right = flagged == forged[:, None]
    only_a, only_b = int((right[:, 0] & ~right[:, 1]).sum()), int((right[:, 1] & ~right[:, 0]).sum())
    judged = [
        _judged(str(each.entry.ref), flagged[:, column], forged_score[:, column], forged, kept)
        for column, each in enumerate((a, b))
    ]
    return ModelComparison(
        judged[0],
        judged[1],
        only_a,
        only_b,
        mcnemar(only_a, only_b),
        len(clear) - len(kept),
        len(found) - len(clear),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided test (McNemar 1947) of whether one of two judges is better, from what only one got right."""
    total, few = only_a + only_b, min(only_a, only_b)
    if total == 0:
        return 1.0
    ways: int = sum(comb(total, count) for count in range(few + 1))
    return min(2 * ways / float(2**total), 1.0)


def auc(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> float | None:
    """Chance that a positive scores higher than a negative; ties count half."""
    if not len(positive) or not len(negative):
        return None
    order = np.sort(negative)
    below, upto = np.searchsorted(order, positive, "left"), np.searchsorted(order, positive, "right")
    share: float = float((below + upto).mean()) / (2 * len(order))
    return share


def _judge(detector: DetectorPort, picture: Picture, record: Record, policy: Policy) -> tuple[bool, float]:
    entry: ModelEntry = detector.entry
    verdict = entry.read_at(detector.detect(picture), policy.prior)
    # The model alone: the file's metadata would be the same for both.
    decision = decide(verdict, (), record.listing, policy, entry.thresholds_for(policy.profile, policy.prior))
    return decision.action is not Action.ALLOW, verdict.scores.forged


def _judged(
    model: str,
    flagged: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    forged: npt.NDArray[np.bool_],
    kept: Sequence[Truth],
) -> Judged:
    categories = sorted({truth.category for truth in kept if truth.category})
    by_category = []
    for category in categories:
        these = np.array([truth.category == category for truth in kept])
        by_category.append((category, int(these.sum()), int((flagged & these).sum())))
    return Judged(
        model,
        int(forged.sum()),
        int((flagged & forged).sum()),
        int((~forged).sum()),
        int((flagged & ~forged).sum()),
        auc(scores[forged], scores[~forged]),
        tuple(by_category),
    )
