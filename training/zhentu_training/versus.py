"""Two models on the same pictures: the new one's held-out scores against those of the model in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.types import CATEGORIES, Category
from zhentu_training.dataset import Origin
from zhentu_training.features import views_on
from zhentu_training.figures import Interval, Judged, auc, interval, recall, resampled
from zhentu_training.progress import track
from zhentu_training.tables import Scored, against

FALSE_ALARMS = 0.01


def in_force(models: Path) -> ModelEntry:
    """The active model of a folder, in floating point where it is listed. Raises ModelError."""
    manifest = Manifest.load(models)
    entry = manifest.active_entry
    return manifest.in_floating_point(entry) or entry


def some_of(scored: Scored, count: int, seed: int) -> Scored:
    """At most `count` pictures as stored that were not forged by the project, drawn by the seed, genuine ones half."""
    rng = np.random.default_rng(seed)
    found = [scored.where(origin, forged) for origin in (Origin.REAL, Origin.EDIT) for forged in (False, True)]
    genuine, forged = (np.flatnonzero(found[k] | found[k + 2]) for k in (0, 1))
    half = max(count // 2, count - min(len(genuine), len(forged)))
    use = np.sort(np.concatenate([rng.permutation(side)[:half] for side in (genuine, forged)]))
    return Scored([scored.samples[k] for k in use], scored.road[use], scored.probabilities[use])


def said_by(entry: ModelEntry, models: Path, paths: list[Path]) -> np.ndarray:
    """Probabilities (n, 5) of a model of a folder, of pictures as the native road gives them."""
    detector, found = Detector(entry, models), []
    for path in track(paths, f"{entry.name}@{entry.version}"):
        scores = detector.scores_of(detector.look(views_on(path, "native", entry.views)))
        found.append([scores.of(category) for category in CATEGORIES])
    return np.array(found).reshape(-1, len(CATEGORIES))


def versus_table(scored: Scored, other: np.ndarray, name: str) -> pd.DataFrame:
    """AUC and recall of both and their difference, new - in force, a row an output; intervals over sources.

    scored: as `some_of` gives them.  other: probabilities (n, 5) of the model in force, called `name`.
    """
    rows = []
    old = Scored(scored.samples, scored.road, other)
    for title, columns, own in _outputs(scored):
        genuine = np.array([not sample.forged for sample in scored.samples])
        if not own.any() or not genuine.any():
            continue
        pair = [against(_highest(each, columns), own, genuine, 0) for each in (scored, old)]
        row: dict[str, object] = {"output": title, "pictures": f"{genuine.sum()} + {own.sum()}"}
        for figure, of in (("AUC", _auc), (f"recall at {FALSE_ALARMS:.0%}", _recall)):
            row[f"{figure}, new"], row[f"{figure}, {name}"], row[f"{figure}, difference"] = _compared(pair, of)
        rows.append(row)
    return pd.DataFrame(rows)


def _outputs(scored: Scored) -> list[tuple[str, list[int], np.ndarray]]:
    """Title, columns of which the highest counts, and rows that the output should find."""
    found = []
    for column, category in enumerate(CATEGORIES):
        found.append((category.value, [column], np.array([category in s.labels for s in scored.samples], bool)))
    others = [k for k, category in enumerate(CATEGORIES) if category is not Category.AI_GENERATED]
    misleads = np.array([bool(s.labels - {Category.AI_GENERATED}) for s in scored.samples], bool)
    found.append(("any of the four", others, misleads))
    return found


def _highest(scored: Scored, columns: list[int]) -> Scored:
    return Scored(scored.samples, scored.road, scored.probabilities[:, columns].max(1, keepdims=True))


def _compared(
    pair: list[Judged], of: Callable[[Judged, np.ndarray | None], float]
) -> tuple[Interval, Interval, Interval]:
    """Of the new, of the old, and of their difference: the same sources are drawn for both."""
    values = [of(each, None) for each in pair]
    drawn = np.array([[of(each, weight) for each in pair] for weight in resampled(pair[0])])
    return (
        interval(values[0], drawn[:, 0]),
        interval(values[1], drawn[:, 1]),
        interval(values[0] - values[1], drawn[:, 0] - drawn[:, 1]),
    )


def _auc(judged: Judged, weight: np.ndarray | None) -> float:
    return auc(judged.score, judged.made, weight)


def _recall(judged: Judged, weight: np.ndarray | None) -> float:
    return recall(judged, FALSE_ALARMS, weight)
