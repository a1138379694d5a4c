"""Make an encoder fit for 8-bit products without changing what it computes (SmoothQuant, Xiao et al. 2023).

    python -m zhentu_training.smooth --encoder runs/reference/encoder.npz --pictures FOLDER

An encoder.npz that is there, for instance of `zhentu_training.adopt`, is written over; where there is none, it is made
of the encoder that the config names. $ZHENTU_TRAINING_ENCODER then names it for `zhentu_training.export`.

A few channels of a transformer are far larger than the others and take a token's 8 bits from them. Part of their size
is moved from the activations into the matrix that reads them: each channel is divided where it is made (the weights of
a normalisation, the values of the attention) and the column of the matrix multiplied. The sums are the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zhentu.detect.views import make_views
from zhentu.intake.decode import decode
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import load_spec
from zhentu_training.encoder_weights import fill, read_encoder, write_encoder
from zhentu_training.model import Branch
from zhentu_training.picture_files import pictures_in
from zhentu_training.progress import track

_STRENGTH = 0.7  # how much of a channel's size is moved: 0.7 to 0.8 lose least of CLIP's logits, see DECISIONS.md
_LEAST = 1e-5
_READ_BY = {"norm1": "attn.qkv", "norm2": "mlp.fc1"}  # what makes the channels, and the matrix that reads them


@torch.inference_mode()
def peaks_of(branch: Branch, views: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The largest absolute value of each channel that enters a matrix, by its name. views: uint8 (N, S, S, 3)."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name, module in branch.backbone.named_modules():
        if name.endswith((".attn.qkv", ".mlp.fc1", ".attn.proj")):

            def keep(_: object, given: tuple[Tensor, ...], name: str = name) -> None:
                most = given[0].abs().flatten(0, -2).amax(0)
                found[name] = torch.maximum(found[name], most) if name in found else most

            hooks.append(module.register_forward_pre_hook(keep))
    for each in track(views, "largest values"):
        for _ in branch.blocks(torch.from_numpy(each)):
            pass
    for hook in hooks:
        hook.remove()
    return {name: value.numpy() for name, value in found.items()}


def smoothed(arrays: Mapping[str, np.ndarray], peaks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same encoder with channels evened out. arrays: by timm's names, float32."""
    made = dict(arrays)
    depth = 1 + max(int(name.split(".")[1]) for name in peaks)
    for k in range(depth):
        block = f"blocks.{k}"
        for maker, reader in _READ_BY.items():
            scale = _scale(peaks[f"{block}.{reader}"], made[f"{block}.{reader}.weight"])
            made[f"{block}.{reader}.weight"] = made[f"{block}.{reader}.weight"] * scale
            for part in ("weight", "bias"):
                made[f"{block}.{maker}.{part}"] = made[f"{block}.{maker}.{part}"] / scale
        # The attention adds up values, channel by channel: what divides a value's channel divides its sum.
        scale = _scale(peaks[f"{block}.attn.proj"], made[f"{block}.attn.proj.weight"])
        made[f"{block}.attn.proj.weight"] = made[f"{block}.attn.proj.weight"] * scale
        divisor = np.concatenate([np.ones(2 * len(scale), np.float32), scale])  # queries and keys stay
        made[f"{block}.attn.qkv.weight"] = made[f"{block}.attn.qkv.weight"] / divisor[:, None]
        made[f"{block}.attn.qkv.bias"] = made[f"{block}.attn.qkv.bias"] / divisor
    return made


def _scale(peak: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """By what each channel is divided, float32 (D,), of geometric mean 1. weight: (out, D)."""
    scale = (peak + _LEAST) ** _STRENGTH / (np.abs(weight).max(0) + _LEAST) ** (1 - _STRENGTH)
    return np.asarray(scale / np.exp(np.log(scale).mean()), np.float32)


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Read, look at some pictures, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.npz of a run folder, there or not")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of pictures as they will come")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument(
        "--config", type=Path, default=Path("configs/train.yaml"), help="for the encoder, and the sizes of both looks"
    )
    arguments = parser.parse_args(argv)
    chosen = pictures_in([arguments.pictures], arguments.count, seed=5, least=1)
    spec = load_spec(arguments.config)
    views = [make_views(decode(path.read_bytes()).rgb, spec.views) for path in chosen]
    branch = Branch(spec.backbone, spec.graph.sides).eval()
    if arguments.encoder.is_file():
        fill(branch.backbone, read_encoder(arguments.encoder), str(arguments.encoder))
    peaks = peaks_of(branch, [look for each in views for look in (each.whole, each.crops)])
    arrays = {name: value.numpy() for name, value in branch.backbone.state_dict().items()}
    write_encoder(smoothed(arrays, peaks), arguments.encoder)
    print(f"{arguments.encoder}: evened out by {len(chosen)} pictures")


if __name__ == "__main__":
    main()
