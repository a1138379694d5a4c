"""A picture in, a verdict out: views, one ONNX Runtime call, calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from zhentu.detect.calibration import sigmoid
from zhentu.detect.heatmap import heatmaps_of, place_map
from zhentu.detect.models import ModelEntry
from zhentu.detect.sessions import open_session
from zhentu.detect.views import Views, make_views
from zhentu.errors import ModelError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Heatmap, ModelRef, Picture, Scores, Verdict

# Of a probability: processors round differently, int8 more so; an altered model, or int8 on a processor whose 8-bit
# sums overflow, is further off.
GOLDEN_TOLERANCE = {"fp32": 5e-3, "int8": 3e-2}
_INPUTS = ("whole", "crops")
_GRAPH_OUTPUTS = ("logits", "whole_map", "crop_maps")


class Detector:
    """One model in one ONNX Runtime session; `detect` may be called from several threads at once.

    threads: threads per call. One session of one thread per core gave the most pictures a second on CPUs.
    Raises ModelError when the file is missing or altered, or is not the graph its manifest entry describes.
    """

    def __init__(
        self, entry: ModelEntry, folder: Path, threads: int = 1, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        self._entry = entry
        self._slope = np.array([entry.calibration[each].slope for each in CATEGORIES])
        self._intercept = np.array([entry.calibration[each].intercept for each in CATEGORIES])
        self._session = _open(entry, folder, threads, providers)

    @property
    def model(self) -> ModelRef:
        """Name, version and sha256 of the model."""
        return self._entry.ref

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry: views, thresholds, calibration."""
        return self._entry

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture; heatmaps, one per category, only where asked for."""
        views = make_views(picture.rgb, self._entry.views)
        logits, whole_map, crop_maps = self.run(views)
        scores = self.scores_of(logits)
        heatmaps: tuple[Heatmap, ...] = ()
        if with_heatmaps:
            maps, size = (sigmoid(whole_map), sigmoid(crop_maps)), self._entry.views.crop_size
            places = place_map(*maps, views.boxes, size, picture.height, picture.width)
            heatmaps = heatmaps_of(places, scores, self._entry.stands_out)
        return Verdict(scores=scores, model=self.model, heatmaps=heatmaps)

    def run(self, views: Views) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The raw graph: logits float32 (5,), and log-odds that a place is forged: whole (h, w), crops (N, h2, w2)."""
        logits, whole_map, crop_maps = self._session.run(_GRAPH_OUTPUTS, {"whole": views.whole, "crops": views.crops})
        return np.asarray(logits), np.asarray(whole_map), np.asarray(crop_maps)

    def scores_of(self, logits: npt.NDArray[np.float32]) -> Scores:
        """Calibrated scores of the graph's logits (5,).

        `forged`, that any of the five holds, is the highest of them: the least it can be, P(any) >= P(one), and
        the most that is known, because pictures of several offences are too rare to learn how these go together.
        """
        five = sigmoid(self._slope * logits + self._intercept)
        named = {label.value: float(p) for label, p in zip(CATEGORIES, five, strict=True)}
        return Scores(**named, forged=max(named.values()))

    def verify_golden(self, samples: Path, most: int = 0) -> float:
        """Score the golden pictures and return the largest difference. Raises ModelError above the tolerance.

        most: of so many of them at most, evenly spread; 0 = all.
        """
        worst, tolerance = 0.0, GOLDEN_TOLERANCE[self._entry.precision]
        step = math.ceil(len(self._entry.golden) / most) if most else 1
        for golden in self._entry.golden[:: max(step, 1)]:
            path = samples / golden.picture
            if not path.is_file():
                raise ModelError(f"{self.model}: golden picture {path} is missing; reinstall zhentu")
            scores = self.detect(decode(path.read_bytes())).scores.as_dict()
            for name, expected in golden.scores.items():
                difference = abs(scores[name] - expected)
                if difference > tolerance:
                    raise ModelError(
                        f"{self.model}: {golden.picture} scores {scores[name]:.4f} for {name}, the manifest says "
                        f"{expected:.4f} (tolerance {tolerance}); this processor or runtime gives other results than "
                        f"the tested ones: choose another model with ZHENTU_MODELS_ACTIVE, see `zhentu model list`"
                    )
                worst = max(worst, difference)
        return worst


def _open(entry: ModelEntry, folder: Path, threads: int, providers: Sequence[str]) -> ort.InferenceSession:
    session = open_session(folder / entry.file, entry.sha256, entry.weights, threads, providers)
    expected = {"whole": entry.views.whole_size, "crops": entry.views.crop_size}
    shapes = {each.name: each.shape for each in session.get_inputs()}
    given = {each.name: each.shape for each in session.get_outputs()}
    if set(shapes) != set(_INPUTS) or tuple(given) != _GRAPH_OUTPUTS:
        raise ModelError(
            f"{entry.file}: graph takes {sorted(shapes)} and gives {tuple(given)}; expected {_INPUTS}, {_GRAPH_OUTPUTS}"
        )
    if given["logits"] != [len(CATEGORIES)]:
        raise ModelError(
            f"{entry.file}: graph gives logits of shape {given['logits']}, expected is one for each of the five "
            "outputs; it is a model of another version of zhentu: take one that belongs to this version"
        )
    for name, side in expected.items():
        if shapes[name][1:] != [side, side, 3]:
            raise ModelError(f"{entry.file}: input {name} is {shapes[name]}, the manifest's views say {side}x{side}x3")
    return session
