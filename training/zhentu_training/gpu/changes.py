"""What tuning changed in an encoder, in a few bits a weight: small enough that every fold's encoder can be kept.

A fold's matrices change by a few per cent, and rounding those changes to 2 bits moves them by less than the 8 bits in
which an encoder is served. What a fold says is said by the rounded encoder, so that what is kept is what was judged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zhentu_training.gpu.arrays import STEP
from zhentu_training.gpu.network import Model

FOLD_BITS, FINAL_BITS = 2, 4
_BEST_STEP = {2: 0.9957, 4: 0.3352}  # of the deviation, for values that are normally distributed (Max 1960)
_BITS, _CHANGE, _PLAIN, _TUNED, _VIT = "bits", "change.", "plain.", "tuned.", "vit."
Kept = Mapping[str, npt.NDArray[Any]]


def in_bits(values: Tensor, bits: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """A matrix (rows, columns) in codes of so many bits, packed, and the step of each row (rows, 1)."""
    step = values.std(1, keepdim=True, correction=0).clamp(min=1e-12) * _BEST_STEP[bits]
    half = 2 ** (bits - 1)
    codes = ((values / step).floor().clamp(-half, half - 1) + half).to(torch.uint8)
    shifts = bits * torch.arange(8 // bits, device=values.device)
    packed = (codes.unflatten(1, (-1, len(shifts))).int() << shifts).sum(2)
    return packed.to(torch.uint8).cpu().numpy(), step.float().cpu().numpy()


def from_bits(packed: npt.NDArray[np.uint8], step: npt.NDArray[np.float32], bits: int) -> Tensor:
    """The matrix that `in_bits` packed, as nearly as the bits tell."""
    shifts = bits * torch.arange(8 // bits)
    codes = (torch.from_numpy(packed)[..., None].int() >> shifts) & (2**bits - 1)
    return (codes.flatten(1) - 2 ** (bits - 1) + 0.5) * torch.from_numpy(step)


def kept_of(begun: Model, tuned: Model, bits: int) -> dict[str, npt.NDArray[Any]]:
    """The encoder's change, matrices in bits and all else in 16; both models' heads and what they are read with."""
    kept: dict[str, npt.NDArray[Any]] = {_BITS: np.array(bits)}
    before, after = begun.state_dict(), tuned.state_dict()
    packed = {*tuned.integer_weights(), f"{_VIT}patch_embed.proj.weight"}
    for name, value in after.items():
        if name in packed:
            key = _CHANGE + name.removeprefix(_VIT)
            kept[key], kept[key + STEP] = in_bits((value - before[name]).float().flatten(1), bits)
        elif name.startswith(_VIT):
            change = (value - before[name]).cpu().numpy().astype(np.float16)
            kept[_CHANGE + name.removeprefix(_VIT)] = change
        elif not name.startswith("places"):  # heads that help while training, and are not served
            kept[_PLAIN + name], kept[_TUNED + name] = (each[name].float().cpu().numpy() for each in (before, after))
    return kept


def encoder_at(frozen: Mapping[str, Tensor], kept: Kept, share: float) -> dict[str, Tensor]:
    """The encoder so far on the way from the frozen to the tuned one, by timm's names."""
    found = {}
    for name in kept:
        if not name.startswith(_CHANGE) or name.endswith(STEP):
            continue
        plain, step = name.removeprefix(_CHANGE), kept.get(name + STEP)
        values = kept[name]
        change = torch.from_numpy(values).float() if step is None else from_bits(values, step, int(kept[_BITS]))
        before = frozen[plain].float()
        found[plain] = before + share * change.reshape(before.shape).to(before.device)
    return found


def heads_at(kept: Kept, share: float) -> dict[str, Tensor]:
    """Heads, and the figures that standardise what they read, so far on the way, by the names of `Model`."""
    plain = {name.removeprefix(_PLAIN): value for name, value in kept.items() if name.startswith(_PLAIN)}
    return {
        name: torch.from_numpy(value).lerp(torch.from_numpy(kept[_TUNED + name]), share)
        for name, value in plain.items()
    }


def model_at(begun: Model, kept: Kept, share: float) -> Model:
    """Half way (0.5) is what is shipped: it keeps what the frozen encoder knew (WiSE-FT, Wortsman et al. 2022)."""
    model = copy.deepcopy(begun)
    encoder = encoder_at(begun.vit.state_dict(), kept, share)
    state = {_VIT + name: value for name, value in encoder.items()} | heads_at(kept, share)
    model.load_state_dict(state, strict=False)
    return model
