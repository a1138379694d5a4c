"""The image encoder of the shipped model, or one that `zhentu_training.adopt` or `zhentu_training.smooth` wrote.

A platform that retrains the heads needs no other download than `models/`: the graph holds the encoder, its large
matrices as int8 with a step per channel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from zhentu.detect.models import Manifest, models_folder
from zhentu.errors import UsageError
from zhentu_training.gpu.arrays import STEP, floating, in_steps
from zhentu_training.pack import SCALE, WHOLE

_PREFIX = "encoder.backbone."
_MATRICES = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")  # of a block, in the order in which they are multiplied


def load_shipped(backbone: nn.Module) -> None:
    """Fill a timm transformer that keeps its first blocks. Raises UsageError if there is no such encoder."""
    named = os.environ.get("ZHENTU_TRAINING_ENCODER")
    state = read_encoder(Path(named)) if named else shipped_encoder(models_folder())
    fill(backbone, state, named or str(models_folder()))


def fill(backbone: nn.Module, state: Mapping[str, np.ndarray], where: str) -> None:
    """Put an encoder into a timm transformer. where: it is from. Raises UsageError if it has another shape."""
    own = backbone.state_dict()
    wanted = {name for name in own if not name.startswith("norm.")}  # the last norm is behind what heads read
    missing = sorted(name for name in wanted if name not in state or state[name].shape != own[name].shape)
    if missing:
        raise UsageError(f"{where}: holds no encoder of this shape ({', '.join(missing[:3])}); see docs/training.md")
    backbone.load_state_dict({name: torch.from_numpy(state[name].copy()) for name in wanted}, strict=False)


def read_encoder(path: Path) -> dict[str, np.ndarray]:
    """Arrays by timm's names, float32. Raises UsageError if the file is not there."""
    if not path.is_file():
        raise UsageError(f"{path}: is not there; $ZHENTU_TRAINING_ENCODER names the encoder.npz of a run folder")
    with np.load(path) as kept:
        return floating(dict(kept))


def write_encoder(arrays: Mapping[str, np.ndarray], path: Path, levels: int = 127) -> None:
    """Keep an encoder as it will be served: matrices of blocks as int8 with a step per channel, all else float32."""
    kept: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        if name.startswith("blocks.") and value.ndim == 2:
            kept[name], kept[name + STEP] = in_steps(value, levels)
        else:
            kept[name] = value.astype(np.float32)
    np.savez(path, **kept)


def shipped_encoder(folder: Path) -> dict[str, np.ndarray]:
    """The encoder of the active model of a models folder, by timm's names, float32. Raises UsageError."""
    manifest = Manifest.load(folder)
    entry = manifest.entry(manifest.active)
    entry = manifest.in_floating_point(entry) or entry
    graph = onnx.load(str(folder / entry.file)).graph
    arrays = {each.name: each for each in graph.initializer}
    state = {
        name.removeprefix(_PREFIX): numpy_helper.to_array(value)
        for name, value in arrays.items()
        if name.startswith(_PREFIX)
    }
    # The exporter gives matrices names of its own; they stand in the order in which they are multiplied.
    packed = [name for name in arrays if name.endswith(WHOLE)]
    if not packed or len(packed) % len(_MATRICES):
        raise UsageError(f"{folder}: {entry.ref} holds no encoder that can be read back")
    for k, name in enumerate(packed):
        block, matrix = divmod(k, len(_MATRICES))
        step = numpy_helper.to_array(arrays[name.removesuffix(WHOLE) + SCALE])
        whole = numpy_helper.to_array(arrays[name]).astype(np.float32)
        state[f"blocks.{block}.{_MATRICES[matrix]}.weight"] = np.ascontiguousarray((whole * step).T)
    return {name: np.asarray(value, np.float32) for name, value in state.items()}
