"""Heads of a shipped model, read back out of its ONNX graph, so that a platform tunes on what it has.

The graph holds everything that was fitted; what it does not hold, the frozen transformer, comes from its package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from training.config import TrainSpec
from training.heads import FittedHead
from zhentu.detect.models import MANIFEST, Manifest
from zhentu.errors import UsageError
from zhentu.types import LABELS


def head_of(folder: Path, look: str, spec: TrainSpec) -> FittedHead:
    """The head of a look ("whole" or "crops") of the model in a models folder.

    Raises UsageError when there is no model, or one that reads other tokens than the config's.
    """
    arrays = _initialisers(folder)
    width = int(arrays[next(name for name in arrays if name.endswith("cls_token"))].shape[-1])
    wanted = (len(LABELS), width * len(getattr(spec.fit, look).tokens.places))
    layers = [f"{look}.linear"]
    if getattr(spec.fit, look).hidden:
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
    return FittedHead(weight, bias, tuple(deep) or None)  # type: ignore[arg-type]


def _initialisers(folder: Path) -> dict[str, np.ndarray]:
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder}: is no models folder (no {MANIFEST})")
    manifest = Manifest.load(folder)
    entry = manifest.entry(manifest.active)
    # An int8 graph keeps the heads in floating point, but the fp32 one is what was fitted.
    entry = manifest.in_floating_point(entry) or entry
    graph = onnx.load(str(folder / entry.file), load_external_data=False).graph
    inside = [each for each in graph.initializer if each.data_location != onnx.TensorProto.EXTERNAL]
    return {each.name: numpy_helper.to_array(each) for each in inside}
