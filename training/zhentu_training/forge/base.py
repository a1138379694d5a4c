"""What every recipe takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from zhentu.intake.decode import decode
from zhentu.types import Category
from zhentu_training.forge.draws import Draws


class NotApplicable(Exception):
    """The recipe cannot be applied to this picture (no usable mask, no texture, too small ...)."""


@dataclass(frozen=True, slots=True, eq=False)
class Forgery:
    """A forged picture, or a hard negative when `labels` is empty.

    rgb: uint8 (H, W, 3).  mask: float32 (H, W) in [0, 1], 1 = forged.  parameters: what was drawn, by name.
    source: the genuine pixels it was made from when a window or a size was chosen, same shape as rgb; None = the input.
    """

    rgb: np.ndarray
    mask: np.ndarray
    labels: frozenset[Category]
    recipe: str
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    source: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Materials:
    """Further pictures a recipe may draw on: texture swatches, goods with alpha (RGBA files), second scenes."""

    textures: Sequence[Path] = ()
    cutouts: Sequence[Path] = ()
    scenes: Sequence[Path] = ()

    def texture(self, rng: np.random.Generator) -> np.ndarray:
        """A swatch, uint8 RGB. Raises NotApplicable if there is none."""
        return _rgb(self._draw(self.textures, rng, "textures"))

    def scene(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """A second genuine picture, cut and scaled to fill (height, width)."""
        return cover(_rgb(self._draw(self.scenes, rng, "scenes")), height, width)

    def cutout(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Goods with their matte: uint8 RGB (H, W, 3) and float32 alpha (H, W) in [0, 1]."""
        rgba = cv2.imread(str(self._draw(self.cutouts, rng, "cutouts")), cv2.IMREAD_UNCHANGED)
        if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4:
            raise NotApplicable("the cutout has no alpha channel")
        return cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGB), rgba[..., 3].astype(np.float32) / 255

    @staticmethod
    def _draw(paths: Sequence[Path], rng: np.random.Generator, name: str) -> Path:
        if not paths:
            raise NotApplicable(f"no {name} were given")
        return paths[int(rng.integers(len(paths)))]


Recipe = Callable[[np.ndarray, "np.ndarray | None", Draws, Materials], Forgery]


@lru_cache(maxsize=64)
def _rgb(path: Path) -> np.ndarray:
    return decode(path.read_bytes()).rgb


def cover(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale to fill (height, width) and cut the middle."""
    scale = max(height / rgb.shape[0], width / rgb.shape[1])
    size = (max(round(rgb.shape[1] * scale), width), max(round(rgb.shape[0] * scale), height))
    scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    y, x = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return np.ascontiguousarray(scaled[y : y + height, x : x + width])


def tile(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeat by mirroring until (height, width) is filled."""
    below, right = max(height - rgb.shape[0], 0), max(width - rgb.shape[1], 0)
    rows = np.pad(rgb, ((0, below), (0, 0), (0, 0)), mode="symmetric")
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, right), (0, 0)), mode="symmetric")[:height, :width])


def blend(below: np.ndarray, above: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Composite uint8 RGB by a float mask; where alpha is 0 the pixels of `below` stay exactly as they are."""
    soft = alpha[..., None].astype(np.float32)
    mixed = np.round(below * (1 - soft) + above.astype(np.float32) * soft).clip(0, 255)
    return np.where(soft > 0, mixed, below).astype(np.uint8)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Round and clip to uint8."""
    return np.round(values).clip(0, 255).astype(np.uint8)


def goods_mask(mask: np.ndarray | None) -> np.ndarray:
    """The foreground mask, or NotApplicable if none is good enough."""
    if mask is None:
        raise NotApplicable("no usable foreground mask")
    return mask


def changed_share(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute change inside the mask, in grey levels: invisible forgeries are dropped."""
    weight = mask[..., None]
    return float((np.abs(after.astype(np.float32) - before) * weight).sum() / (3 * max(weight.sum(), 1)))


def local_noise(shape: tuple[int, int], rng: np.random.Generator, grain: float) -> np.ndarray:
    """Smooth random field, mean 0, deviation 1, with features about `grain` pixels across."""
    height, width = shape
    small = rng.standard_normal((max(int(height / grain), 2), max(int(width / grain), 2))).astype(np.float32)
    field_ = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return (field_ - field_.mean()) / (field_.std() + 1e-6)
