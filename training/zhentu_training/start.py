"""Heads of a shipped model, read back from its ONNX graph, so that a platform can tune them on its own pictures.

The graph holds everything that was fitted; what it does not hold, the frozen transformer, comes from its package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from pydantic import TypeAdapter

from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import MANIFEST, Manifest
from zhentu.errors import UsageError
from zhentu.types import CATEGORIES
from zhentu_training.calibrate import Fusion
from zhentu_training.config import EARLY, TrainSpec
from zhentu_training.heads import FittedHead
from zhentu_training.leaving import lines_of, read_by


def head_of(folder: Path, look: str, spec: TrainSpec) -> FittedHead:
    """The head of a look ("whole" or "crops") of the model in a models folder, or the one that ends looks (EARLY).

    Raises UsageError if there is no model, or one that reads other tokens than the config's.
    """
    arrays = _initialisers(folder)
    width = int(arrays[next(name for name in arrays if name.endswith("cls_token"))].shape[-1])
    wanted = (len(CATEGORIES), width * len(spec.heads[look].tokens.places))
    layers = [f"{look}.linear"]
    if spec.heads[look].hidden:
        layers += [f"{look}.deep.0", f"{look}.deep.2"]
    found = [arrays.get(f"{layer}.{part}") for layer in layers for part in ("weight", "bias")]
    missing = [layer for layer, weight in zip(layers, found[::2], strict=True) if weight is None]
    if missing or found[0] is None or found[0].shape != wanted:
        shape = "none" if found[0] is None else str(found[0].shape)
        raise UsageError(
            f"{folder}: its {look} head is not the one of the config ({shape}, the config's is {wanted}); "
            "tune with the tokens it was trained with"
        )
    weight, bias, *deep = (np.array(each, np.float32) for each in found if each is not None)
    head = FittedHead(weight, bias, tuple(deep) or None)  # type: ignore[arg-type]
    first = _entry(folder).first_look
    return read_by(head, *lines_of(first)) if look == EARLY and first is not None else head


def shipped_fusion(folder: Path) -> Fusion:
    """How the model in a models folder adds its looks, and reads the sum."""
    entry, arrays = _entry(folder), _initialisers(folder)
    lines = [entry.calibration[category] for category in CATEGORIES]
    slopes, intercepts = (np.array([getattr(line, part) for line in lines]) for part in ("slope", "intercept"))
    return Fusion(np.array(arrays["fusion"], np.float64), slopes, intercepts)


def shipped_calibration(folder: Path) -> dict[str, object]:
    """The content of calibration.json, as `zhentu_training.fit` writes it, of the model in a models folder."""
    entry, fusion = _entry(folder), shipped_fusion(folder)
    plain: dict[str, object] = TypeAdapter(ModelEntry).dump_python(entry, mode="json")
    kept = {
        name: plain[name] for name in ("calibration", "prior", "category_prior", "profiles", "reference", "first_look")
    }
    below = _initialisers(folder).get("leaves_below")
    way_out = None if below is None else {"slope": [1.0] * len(below), "intercept": [0.0] * len(below)}
    if way_out is not None:  # `head_of` gives the early head's log-odds
        way_out["below"] = np.asarray(below, np.float64).tolist()
    return {"fusion": fusion.weights.tolist(), "exit": way_out, **kept}


def _entry(folder: Path) -> ModelEntry:
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder}: is not a models folder (no {MANIFEST})")
    manifest = Manifest.load(folder)
    entry = manifest.entry(manifest.active)
    # An int8 graph keeps the heads in floating point, but the fp32 one is what was fitted.
    return manifest.in_floating_point(entry) or entry


def _initialisers(folder: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(str(folder / _entry(folder).file), load_external_data=False).graph
    inside = [each for each in graph.initializer if each.data_location != onnx.TensorProto.EXTERNAL]
    return {each.name: numpy_helper.to_array(each) for each in inside}
