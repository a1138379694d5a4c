"""First weights for fine-tuning: those of a finished run folder, or of the model in a models folder.

Who has only what is shipped tunes on with `--start-from models`: an ONNX graph holds everything that was trained. Batch
normalisation was folded into the convolutions when it was written, which changes no result; it is unfolded into ones
whose statistics are 0 and 1, so they must stay as they are (`hold_statistics`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from zhentu.detect.models import MANIFEST, Manifest
from zhentu.errors import UsageError
from zhentu_training.model import Branch, TokenBranch

_NORMS = (nn.BatchNorm2d, BatchNormAct2d)


def set_first_weights(model: Branch, branch: str, start: Path) -> None:
    """Give a freshly built branch ("whole" or "crops") the weights of `start`; a frozen backbone keeps its package's.

    Raises UsageError when there is no model, or one of another shape than the config's.
    """
    state = _of_graph(model, branch, start) if (start / MANIFEST).is_file() else _of_run(branch, start)
    frozen = ("backbone.",) if isinstance(model, TokenBranch) else ()
    theirs = {name: value for name, value in state.items() if not name.startswith(frozen)}
    counts = "num_batches_tracked"  # of batch normalisation; no graph has them
    ours = [(name, value) for name, value in model.state_dict().items() if not name.startswith(frozen)]
    wrong = [
        name
        for name, value in ours
        if not name.endswith(counts) and (name not in theirs or theirs[name].shape != value.shape)
    ]
    if wrong:
        raise UsageError(
            f"{start}: its {branch} branch is not the one of the config, they differ at {', '.join(wrong[:3])}; "
            "tune with the views and backbones it was trained with"
        )
    model.load_state_dict(theirs, strict=False)


def hold_statistics(model: nn.Module) -> None:
    """Keep the statistics of batch normalisation: a few hundred pictures would undo those of thousands."""
    for module in model.modules():
        if isinstance(module, _NORMS):
            module.eval()


def _of_run(branch: str, run: Path) -> dict[str, Tensor]:
    path = run / f"{branch}.pt"
    if not path.is_file():
        raise UsageError(f"{run}: is neither a finished run (no {path.name}) nor a models folder (no {MANIFEST})")
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _of_graph(model: Branch, branch: str, folder: Path) -> dict[str, Tensor]:
    manifest = Manifest.load(folder)
    entry = manifest.entry(manifest.active)
    if entry.precision != "fp32":
        entry = manifest.in_floating_point(entry) or entry
    if entry.precision != "fp32":
        raise UsageError(f"{folder}: holds {entry.ref} as {entry.precision} alone; tuning needs it in floating point")
    # A frozen transformer's matrices lie in a file beside it, and are not read: its package has them.
    graph = onnx.load(str(folder / entry.file), load_external_data=False).graph
    inside = [each for each in graph.initializer if each.data_location != onnx.TensorProto.EXTERNAL]
    arrays = {each.name: numpy_helper.to_array(each) for each in inside}
    state = {
        name: array for name, array in arrays.items() if name.startswith(f"{branch}.") and array.dtype == np.float32
    }
    state = {name.removeprefix(f"{branch}."): array for name, array in state.items()}
    if isinstance(model, TokenBranch):
        state |= _turned(model.patch_head.weight, "patch_head.weight", arrays)
    for convolution, norm, channels in _folded(model):
        if (bias := state.pop(f"{convolution}.weight_bias", None)) is None:
            continue
        eps = next(each.eps for name, each in model.named_modules() if name == norm)
        state |= {
            f"{norm}.running_mean": np.zeros(channels, np.float32),
            f"{norm}.running_var": np.ones(channels, np.float32),
            f"{norm}.weight": np.full(channels, np.sqrt(1 + eps), np.float32),
            f"{norm}.bias": bias,
        }
    return {name: torch.tensor(np.array(array)) for name, array in state.items()}


def _turned(weight: Tensor, name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A matrix that the exporter turned and renamed: the only one of its shape."""
    found = [array for array in arrays.values() if array.shape == tuple(weight.shape)[::-1]]
    return {name: found[0].T} if len(found) == 1 else {}


def _folded(model: nn.Module) -> Iterator[tuple[str, str, int]]:
    """Every convolution and the batch normalisation that follows it: their names, and the channels between."""
    last: tuple[str, int] | None = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            last = name, module.out_channels
        elif isinstance(module, _NORMS) and last is not None and module.num_features == last[1]:
            yield last[0], name, last[1]
            last = None
