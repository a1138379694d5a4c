"""The gate's network as most people would serve it: both looks at every picture, in one ONNX Runtime session."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort

from zhentu.bootstrap.models import find_model
from zhentu.detect.detector import Crops, Detector, Seen
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.detect.views import make_views
from zhentu.settings import load_settings


def scorer(precision: str, threads: int = 0) -> Callable[[np.ndarray], dict[str, float]]:
    """A function from RGB pixels to scores. threads: 0 = ONNX Runtime's default, every core."""
    _, folder = find_model(load_settings())
    entry = _entry(Manifest.load(folder), precision)
    reader = Detector(entry, folder)  # only for its calibration
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(folder / entry.file), options, providers=["CPUExecutionProvider"])

    def score(rgb: np.ndarray) -> dict[str, float]:
        views = make_views(rgb, entry.views)
        ((whole,),) = session.run(("whole_logits",), {"views": views.whole})
        (crops,) = session.run(("crop_logits",), {"views": views.crops})
        return reader.scores_of(Seen(whole, Crops(crops.mean(0), len(crops)))).as_dict()

    return score


def _entry(manifest: Manifest, precision: str) -> ModelEntry:
    """The model of the active version in this precision."""
    active = manifest.active_entry
    same = (each for each in manifest.models if each.version == active.version and each.precision == precision)
    return next(same)
