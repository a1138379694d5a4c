"""The tables of the model card, from heads that never saw a picture's source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from zhentu.detect.calibration import any_of
from zhentu.detect.operating import ProfilePoints
from zhentu.types import CATEGORIES, FORGERY_CATEGORIES, Category, Profile
from zhentu_training.crossval import figures_of
from zhentu_training.dataset import Origin, Sample
from zhentu_training.edits import kind_of
from zhentu_training.figures import Judged, alike, auc, calibration_error, interval, recall, resampled

_MADE = CATEGORIES.index(Category.AI_GENERATED)
_JUDGED_ON = {Origin.OWN: "own forgeries", Origin.EDIT: "real edits", Origin.REAL: "pictures found so"}


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Pictures on their roads with held-out probabilities (n, 5)."""

    samples: Sequence[Sample]
    road: np.ndarray
    probabilities: np.ndarray

    def where(self, origin: Origin, forged: bool | None = None, road: str = "native") -> np.ndarray:
        """Rows of an origin and road, bool (n,)."""
        alone = [s.origin is origin and forged in (None, s.forged) for s in self.samples]
        return np.array(alone) & (self.road == road)

    def made(self, road: str = "native") -> np.ndarray:
        """Rows of pictures found so that are AI-made, bool (n,); who labelled other forgeries said nothing of AI."""
        made = np.array([Category.AI_GENERATED in sample.labels for sample in self.samples])
        return self.where(Origin.REAL, True, road) & made

    @property
    def sources(self) -> np.ndarray:
        """Source of each row (n,)."""
        return np.array([sample.source for sample in self.samples])

    @property
    def roads(self) -> list[str]:
        """All roads."""
        return list(dict.fromkeys(self.road))


def lone_together(sources: np.ndarray) -> np.ndarray:
    """Sources (n,) of a single picture under one name: where nobody names sources, each picture is one."""
    _, at, counts = np.unique(sources, return_inverse=True, return_counts=True)
    return np.where(counts[at] == 1, "(single pictures)", sources)


def against(scored: Scored, own: np.ndarray, others: np.ndarray, column: int) -> Judged:
    """Rows `own`, which are forged, and `others`, which are not, by one output."""
    use = own | others
    source = np.array([f"{s} (genuine)" if other else s for s, other in zip(scored.sources, others, strict=True)])
    return Judged(scored.probabilities[use, column], own[use], source[use])


def real_table(scored: Scored) -> pd.DataFrame:
    """`ai_generated` on pictures found so, a row a road."""
    rows = []
    for road in scored.roads:
        made = scored.made(road)
        found = figures_of(against(scored, made, scored.where(Origin.REAL, False, road), _MADE))
        rows.append({"road": road, **{name: value for name, value in found.items() if "sources" not in name}})
    return pd.DataFrame(rows)


def source_table(scored: Scored, threshold: float) -> pd.DataFrame:
    """Each AI source alone: AUC against all genuine pictures, and the share that is labelled, native."""
    made, genuine = scored.made(), scored.where(Origin.REAL, False)
    rows, sources = [], lone_together(scored.sources)
    for source in np.unique(sources[made]):
        own = made & (sources == source)
        judged = against(scored, own, genuine, _MADE)
        labelled = float((scored.probabilities[own, _MADE] >= threshold).mean())
        generator = next(s.generator for s, use in zip(scored.samples, own, strict=True) if use)
        rows.append({"AI source": source, "generator": generator[:60], "pictures": int(own.sum()),
                     "AUC": f"{auc(judged.score, judged.made):.3f}", "labelled": f"{labelled:.2f}"})  # fmt: skip
    return pd.DataFrame(rows)


def acted_on(scored: Scored, profile: ProfilePoints) -> np.ndarray:
    """Rows on which any threshold of a profile acts, bool (n,)."""
    limits = {each.category: each.value for each in profile.thresholds}
    return np.asarray((scored.probabilities >= np.array([limits.get(category, 2.0) for category in CATEGORIES])).any(1))


def genuine_table(scored: Scored, profiles: Mapping[Profile, ProfilePoints], by: str) -> pd.DataFrame:
    """Share of genuine pictures that any threshold acts on, by profile, native, by source or by kind."""
    genuine = scored.where(Origin.REAL, False)
    keys = np.array([str(getattr(sample, by)) for sample in scored.samples])
    keys = lone_together(keys) if by == "source" else keys
    acted = {name: acted_on(scored, profile) for name, profile in profiles.items()}
    rows = []
    for key in np.unique(keys[genuine]):
        own = genuine & (keys == key)
        shares = {f"acted on, {name}": f"{over[own].mean():.3f}" for name, over in acted.items()}
        rows.append({f"genuine, by {by}": key, "pictures": int(own.sum()), **shares})
    even = alike(scored.sources[genuine])
    total = {f"acted on, {name}": f"{(over[genuine] * even).sum():.4f}" for name, over in acted.items()}
    rows.append({f"genuine, by {by}": "all, sources weighted alike", "pictures": int(genuine.sum()), **total})
    return pd.DataFrame(rows)


def profile_table(profiles: Mapping[Profile, ProfilePoints]) -> pd.DataFrame:
    """Every threshold with its measured rates."""
    return pd.DataFrame(
        [
            {"profile": name, "output": point.threshold.category, "action": point.threshold.action,
             "threshold": f"{point.threshold.value:.3f}",
             "false alarms": f"{point.false_alarms:.4f}", "recall": f"{point.recall:.3f}"}
            for name, profile in profiles.items() for point in profile.points
        ]
    )  # fmt: skip


def category_table(scored: Scored) -> pd.DataFrame:
    """Each category on own forgeries of unseen products, on real edits of its kind, and on pictures found so."""
    rows = []
    for column, category in enumerate(CATEGORIES):
        for origin, on in _JUDGED_ON.items():
            if origin is not Origin.EDIT and category is Category.AI_GENERATED:
                continue  # of own networks it learns nothing; pictures found so have tables of their own
            own = scored.where(origin, True) & np.array([category in sample.labels for sample in scored.samples])
            clean = scored.where(origin, False)
            if not own.any() or not clean.any():
                continue
            judged = against(scored, own, clean, column)
            # Forgeries of a category share few sources; pictures are what differs there.
            apart = Judged(judged.score, judged.made, np.arange(len(judged.score)).astype(str))
            drawn = [auc(judged.score, judged.made, w) for w in resampled(apart)]
            at = recall(apart, 0.01)
            rows.append({"output": category.value, "judged on": on,
                         "pictures": f"{int(own.sum())} against {int(clean.sum())} genuine",
                         "AUC": str(interval(auc(judged.score, judged.made), drawn)),
                         "recall at 1 %": f"{at:.2f}"})  # fmt: skip
    return pd.DataFrame(rows)


def confusion_table(scored: Scored, origin: Origin) -> pd.DataFrame:
    """Which of the four categories is named first, by the category that was made, native."""
    columns = [CATEGORIES.index(category) for category in FORGERY_CATEGORIES]
    rows = []
    for category in FORGERY_CATEGORIES:
        shown = [kind_of(sample) is category for sample in scored.samples]
        own = scored.where(origin, True) & np.array(shown)
        if not own.any():
            continue
        first = scored.probabilities[own][:, columns].argmax(1)
        shares = {named.value: f"{(first == k).mean():.2f}" for k, named in enumerate(FORGERY_CATEGORIES)}
        rows.append({"made": category.value, "pictures": int(own.sum()), **shares})
    return pd.DataFrame(rows)


def error_table(scored: Scored, priors: np.ndarray) -> pd.DataFrame:
    """Expected calibration error out of fold, at each output's prior (5,); of `forged` at that of `ai_generated`."""
    rows = []
    genuine = scored.where(Origin.REAL, False)
    for name, column, own in _calibrated(scored):
        judged = against(scored, own, genuine, column)
        rows.append({"output": name, "pictures": f"{genuine.sum()} + {own.sum()}", "prior": f"{priors[column]:g}",
                     "ECE": f"{calibration_error(judged, priors[column]):.3f}"})  # fmt: skip
    any_made = scored.where(Origin.REAL, True) | scored.where(Origin.EDIT, True) | scored.where(Origin.OWN, True)
    use = genuine | any_made
    judged = Judged(any_of(scored.probabilities[use]), any_made[use], scored.sources[use])
    rows.append({"output": "forged", "pictures": f"{genuine.sum()} + {any_made.sum()}", "prior": f"{priors[_MADE]:g}",
                 "ECE": f"{calibration_error(judged, priors[_MADE]):.3f}"})  # fmt: skip
    return pd.DataFrame(rows)


def _calibrated(scored: Scored) -> list[tuple[str, int, np.ndarray]]:
    found = []
    for column, category in enumerate(CATEGORIES):
        shown = np.array([category in sample.labels for sample in scored.samples])
        own = (scored.where(Origin.EDIT, True) | scored.where(Origin.REAL, True)) & shown
        if category is not Category.AI_GENERATED:
            own = own | scored.where(Origin.OWN, True) & shown
        if own.any():
            found.append((category.value, column, own))
    return found


def training_table(samples: Sequence[Sample]) -> pd.DataFrame:
    """Pictures by source and generator."""
    unique = [s for s in {sample.path: sample for sample in samples}.values() if s.origin is not Origin.OWN]
    sources = lone_together(np.array([sample.source for sample in unique]))
    rows = [
        {"source": source, "origin": s.origin, "generator": s.generator[:60] or "genuine", "pictures": 1}
        for s, source in zip(unique, sources, strict=True)
    ]
    return pd.DataFrame(rows).groupby(["source", "origin", "generator"], as_index=False).sum()
