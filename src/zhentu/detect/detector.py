"""A picture in, a verdict out: views, a look at the whole picture, a closer one if needed, calibration.

The first look settles most genuine pictures: when none of the five can be lifted over a threshold by what crops show,
none is looked at (a cascade, Viola & Jones 2001). What decides that is in the manifest, so that the same picture
gets the same verdict whatever the policy and the load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zhentu.detect.batching import BatchedNetwork, Batching
from zhentu.detect.calibration import Platt, any_of, sigmoid
from zhentu.detect.entries import FirstLook, Golden, ModelEntry
from zhentu.detect.heatmap import heatmaps_of, spread_over
from zhentu.detect.locator import Locator
from zhentu.detect.models import read_golden
from zhentu.detect.sessions import Network, open_network
from zhentu.detect.views import Views, make_views
from zhentu.errors import ModelError
from zhentu.types import CATEGORIES, Category, Heatmap, ModelRef, Picture, Scores, Verdict

# Of a probability: processors round differently, 8-bit and 16-bit arithmetic more so; an altered model, or int8 on a
# processor whose 8-bit sums overflow, is further off.
GOLDEN_TOLERANCE, ROUNDED_TOLERANCE = 5e-3, 5e-2
GRAPH_OUTPUTS = WHOLE_LOGITS, CROP_LOGITS = "whole_logits", "crop_logits"
_INPUT = "views"
_Floats = npt.NDArray[np.float32]
_NOWHERE = np.zeros((len(CATEGORIES), 1, 1), np.float32)  # maps of no place


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """What the closer look said. logits: float32 (5,), the crops' part, the mean over `count` of them."""

    logits: _Floats
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the looks said. whole: float32 (5,), the whole picture's part of the logits.

    crops: None if the first look settled the picture.
    """

    whole: _Floats
    crops: Crops | None = None

    @property
    def crops_seen(self) -> int:
        """How many crops were looked at."""
        return 0 if self.crops is None else self.crops.count


class Detector:
    """One model, opened with the runtime its entry names; `detect` may be called from several threads at once.

    threads: threads per call. One call of one thread per core gave the most pictures a second on CPUs.
    batching: put the views of threads that call at the same moment into one call of the network; None = never.
    locator: says where, for heatmaps; None = they point at no place, and say how surely, everywhere.
    Raises ModelError when the file is missing or altered, or is not the graph its manifest entry describes.
    """

    def __init__(
        self,
        entry: ModelEntry,
        folder: Path,
        threads: int = 1,
        batching: Batching | None = None,
        locator: Locator | None = None,
    ) -> None:
        self._entry, self._folder, self._locator = entry, folder, locator
        self._both = _Lines(entry.calibration)
        self._first = _FirstLines(entry.first_look) if entry.first_look is not None else None
        network = _open(entry, folder, threads)
        self._session = network if batching is None else BatchedNetwork(network, batching)

    @property
    def model(self) -> ModelRef:
        """Name, version and sha256 of the model."""
        return self._entry.ref

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry: views, thresholds, calibration."""
        return self._entry

    def with_threads(self, threads: int) -> Detector:
        """The same model with so many threads a call; its scores are the same, bit by bit. Raises as the class does."""
        return Detector(self._entry, self._folder, threads, locator=self._locator)

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture; heatmaps, one per category, only where asked for.

        The scores are the same with heatmaps and without them.
        """
        seen = self.look(make_views(picture.rgb, self._entry.views))
        scores = self.scores_of(seen)
        heatmaps: tuple[Heatmap, ...] = ()
        if with_heatmaps:
            heatmaps = heatmaps_of(self.locate(picture), scores, self._entry.stands_out)
        return Verdict(scores=scores, model=self.model, heatmaps=heatmaps, crops_seen=seen.crops_seen)

    def locate(self, picture: Picture) -> _Floats:
        """How surely each place was forged, if the picture was: (5, rows, columns); noughts without a locator."""
        maps = _NOWHERE if self._locator is None else self._locator.find(picture.rgb)
        return spread_over(maps, picture.height, picture.width)

    def look(self, views: Views) -> Seen:
        """The whole picture, and its crops unless that settled it."""
        (said,) = self._session.run((WHOLE_LOGITS,), {_INPUT: views.whole})
        whole = np.asarray(said)[0]
        return Seen(whole, None if self._settles(whole) else self._look_closer(views))

    def both_looks(self, views: Views) -> Seen:
        """The whole picture and its crops, whatever the first look says."""
        seen = self.look(views)
        return replace(seen, crops=seen.crops or self._look_closer(views))

    def _look_closer(self, views: Views) -> Crops:
        (said,) = self._session.run((CROP_LOGITS,), {_INPUT: views.crops})
        return Crops(np.asarray(said).mean(0), len(views.crops))

    def _settles(self, whole: _Floats) -> bool:
        return self._first is not None and bool((whole < self._first.below).all())

    def scores_of(self, seen: Seen) -> Scores:
        """Calibrated scores of what was seen.

        `forged`, that any of the five holds, is what `any_of` makes of them.
        """
        if seen.crops is not None:
            five = self._both.read(seen.whole + seen.crops.logits)
        else:
            assert self._first is not None  # noqa: S101 - only then is a picture settled early
            five = self._first.read(seen.whole)
        named = {category.value: float(p) for category, p in zip(CATEGORIES, five, strict=True)}
        return Scores(**named, forged=float(any_of(five)))

    def verify_golden(self, samples: Path, most: int = 0) -> float:
        """Score the golden pictures and return the largest difference. Raises ModelError above the tolerance.

        most: of so many of them at most, evenly spread; 0 = all.
        """
        worst, tolerance = 0.0, GOLDEN_TOLERANCE if self._entry.exact else ROUNDED_TOLERANCE
        step = math.ceil(len(self._entry.golden) / most) if most else 1
        for golden in self._entry.golden[:: max(step, 1)]:
            worst = max(worst, self._off(golden, read_golden(samples, golden.picture, self.model), tolerance))
        return worst

    def _off(self, golden: Golden, picture: Picture, tolerance: float) -> float:
        """The largest difference from golden scores. Raises ModelError above the tolerance."""
        views = make_views(picture.rgb, self._entry.views)
        seen = self.look(views)
        readings = [self.scores_of(seen)]
        if self._first is not None and not self._entry.exact:
            # Rounding may move a borderline picture across the border, and it is then read the other way.
            other = self._look_closer(views) if seen.crops is None else None
            readings.append(self.scores_of(replace(seen, crops=other)))
        found = []
        for scores in readings:
            given = scores.as_dict()
            name = max(golden.scores, key=lambda each: abs(given[each] - golden.scores[each]))
            found.append((abs(given[name] - golden.scores[name]), name, given[name]))
        off, name, score = found[0] if found[0][0] <= tolerance else min(found)
        if off > tolerance:
            raise ModelError(
                f"{self.model}: {golden.picture} scores {score:.4f} for {name}, the manifest says "
                f"{golden.scores[name]:.4f} (tolerance {tolerance}); this processor or runtime gives other results "
                f"than the tested ones: choose another model with ZHENTU_MODELS_ACTIVE, see `zhentu model list`"
            )
        return off


def _open(entry: ModelEntry, folder: Path, threads: int) -> Network:
    session = open_network(folder / entry.file, entry.sha256, entry.weights, threads, entry.runtime)
    shapes = {each.name: each.shape for each in session.get_inputs()}
    given = {each.name: each.shape for each in session.get_outputs()}
    if set(shapes) != {_INPUT} or not given.keys() >= set(GRAPH_OUTPUTS):  # more of them do no harm
        raise ModelError(
            f"{entry.file}: graph takes {sorted(shapes)} and gives {tuple(given)}; expected {_INPUT!r} and "
            f"{GRAPH_OUTPUTS}; a model of another version of zhentu? Take one that belongs to this version"
        )
    if given[WHOLE_LOGITS][1:] != [len(CATEGORIES)]:
        raise ModelError(
            f"{entry.file}: graph gives logits of shape {given[WHOLE_LOGITS]}, expected is one for each of the five "
            "outputs of each view; it is a model of another version of zhentu: take one that belongs to this version"
        )
    for side in (entry.views.whole_size, entry.views.crop_size):
        if any(isinstance(size, int) and size != side for size in shapes[_INPUT][1:3]):
            raise ModelError(
                f"{entry.file}: views are {shapes[_INPUT]}, the manifest's are {side} pixels a side: "
                f"copy graph and manifest from the same folder"
            )
    return session


class _Lines:
    """Platt's lines of the five, over arrays in their order."""

    def __init__(self, lines: Mapping[Category, Platt]) -> None:
        self.slope = np.array([lines[each].slope for each in CATEGORIES])
        self.intercept = np.array([lines[each].intercept for each in CATEGORIES])

    def read(self, logits: _Floats) -> npt.NDArray[np.float64]:
        """Logits (5,) -> probabilities (5,)."""
        return np.asarray(sigmoid(self.slope * logits + self.intercept))


class _FirstLines(_Lines):
    """How the first look is read, and under what it settles."""

    def __init__(self, first: FirstLook) -> None:
        super().__init__(first.calibration)
        self.below = np.array([first.below[each] for each in CATEGORIES])
