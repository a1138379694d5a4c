"""Shards that `zhentu_training.carry` wrote -> all pictures on the device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zhentu_training.gpu.plan import MASK, WEB, WINDOW

Columns = npt.NDArray[Any]

_SOURCE_POWER = -0.45  # of a source's size, in how often its pictures are drawn
_THREADS = 16
_PLANES = {"web": WEB, "crop": WINDOW}  # side of the square that a picture lies in, at its left and upper border
_WORDS = ("name", "source", "origin", "recipe", "number", "fold")  # stay on the host
_NUMBERS = ("web_box", "crop_box", "native", "targets", "known")  # go to the device


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """All pictures of a run.

    On the host, (N,): name (its path), source, origin (real | edit | own), recipe, number, fold.
    On the device: web (N, 3, 512, 512), crop (N, 3, 256, 256), uint8 RGB, padded; web_size, crop_size (N, 2) height and
    width that are there; web_box, crop_box (N, 2) left and top of the serving crop; native (N, 4) left, top, width,
    height of the crop's window as shares of the picture; targets, known float32 (N, 5); masks uint8 (M, 64, 64), the
    first one empty; mask_at (N,): which of them is a picture's.
    cropped: pixels a side of the crops that the boxes are of.
    """

    device: str
    cropped: int
    name: Columns
    source: Columns
    origin: Columns
    recipe: Columns
    number: Columns
    fold: Columns
    web: Tensor
    crop: Tensor
    web_size: Tensor
    crop_size: Tensor
    web_box: Tensor
    crop_box: Tensor
    native: Tensor
    targets: Tensor
    known: Tensor
    masks: Tensor
    mask_at: Tensor

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self.name)

    def even(self, use: Columns) -> Columns:
        """How often each of some rows, bool (N,), is drawn, (N,): big sources do not drown small ones. Adds up to 1."""
        keys = np.where(self.origin == "own", self.recipe, self.source)
        _, at, counts = np.unique(keys[use], return_inverse=True, return_counts=True)
        weight = np.zeros(self.count)
        weight[use] = counts[at] ** _SOURCE_POWER
        return weight / max(weight.sum(), 1e-12)


def load(folder: Path, device: str) -> Pictures:
    """What `unpack` wrote, on a device."""
    with np.load(folder / "pictures.npz") as packed:
        words = {name: packed[name] for name in _WORDS}
        numbers = {name: packed[name] for name in (*_NUMBERS, "web_size", "crop_size", "masks", "mask_at")}
        cropped = int(packed["cropped"])
    numbers |= {name: np.load(folder / f"{name}.npy") for name in _PLANES}
    there = {name: torch.from_numpy(value).to(device) for name, value in numbers.items()}
    return Pictures(device, cropped, **words, **there)


def unpack(shards: Path, work: Path) -> int:
    """Decode every shard's JPEGs into arrays that a run loads in seconds; returns how many pictures there are.

    Raises ValueError if there are none, or if they are of different calls of `carry`.
    """
    cv2.setNumThreads(1)
    work.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[Columns]] = defaultdict(list)
    parts["masks"].append(np.zeros((1, MASK, MASK), np.uint8))
    masks, sides = 1, set()
    for path in sorted(shards.glob("shard-*.npz")):
        with np.load(path) as kept:
            shard = dict(kept)
        sides.add(int(shard["cropped"]))
        for name, side in _PLANES.items():
            planes, sizes = _decoded(shard[f"{name}_bytes"], shard[f"{name}_ends"], side)
            parts[name].append(planes)
            parts[f"{name}_size"].append(sizes)
        for name in (*_WORDS, *_NUMBERS, "masks"):
            parts[name].append(shard[name])
        parts["mask_at"].append(_mask_places(shard, masks))
        masks += len(shard["masks"])
    if len(sides) != 1:
        raise ValueError(f"{shards}: shards for crops of {sorted(sides)} px; one size is needed, carry packs for it")
    whole = {name: np.concatenate(each) for name, each in parts.items()}
    whole["cropped"] = np.array(sides.pop())
    for name in _PLANES:
        np.save(work / f"{name}.npy", whole.pop(name))
    np.savez(work / "pictures.npz", allow_pickle=False, **whole)
    return len(whole["name"])


def _mask_places(shard: Mapping[str, Columns], first: int) -> Columns:
    """Which mask is each picture's, where this shard's masks begin at `first`; zero = none."""
    at = np.zeros(len(shard["number"]), np.int64)
    at[shard["masked"]] = first + np.arange(len(shard["masked"]))
    return at


def _decoded(payload: Columns, ends: Columns, side: int) -> tuple[Columns, Columns]:
    """JPEGs laid end to end -> planes uint8 (n, 3, side, side), and height and width of each (n, 2)."""
    starts = np.concatenate([[0], ends[:-1]])
    planes, sizes = np.zeros((len(ends), 3, side, side), np.uint8), np.zeros((len(ends), 2), np.int64)

    def decode(k: int) -> None:
        rgb = cv2.imdecode(payload[starts[k] : ends[k]], cv2.IMREAD_COLOR_RGB)
        sizes[k] = rgb.shape[:2]
        planes[k, :, : rgb.shape[0], : rgb.shape[1]] = rgb.transpose(2, 0, 1)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(decode, range(len(ends))))
    return planes, sizes
