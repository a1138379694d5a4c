"""An encoder's arrays as they travel: big matrices as small integers with a step per channel, all else float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

STEP = ".step"  # behind the name of a matrix: its channels' steps
PART_BYTES = 15 * 2**20  # of a file; what comes back from a lent machine may be held to 16 MiB a file


def in_steps(matrix: Array, levels: int) -> tuple[npt.NDArray[np.int8], Array]:
    """A matrix (rows, columns) as int8 in [-levels, levels] and the step of each row (rows, 1)."""
    step = np.maximum(np.abs(matrix).max(1, keepdims=True), 1e-8) / levels
    return np.round(matrix / step).clip(-levels, levels).astype(np.int8), step.astype(np.float32)


def floating(arrays: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Array]:
    """Integers times their steps; all float32."""
    plain = {name: value.astype(np.float32) for name, value in arrays.items() if not name.endswith(STEP)}
    steps = {name: arrays[name + STEP].astype(np.float32) for name in plain if name + STEP in arrays}
    return {name: value * steps[name] if name in steps else value for name, value in plain.items()}


def write_parts(arrays: Mapping[str, npt.NDArray[np.generic]], stem: Path, most: int = PART_BYTES) -> list[Path]:
    """Write stem-0.npz, stem-1.npz, ... of at most so many bytes of arrays each (a larger array has a file alone)."""
    parts: list[dict[str, npt.NDArray[np.generic]]] = [{}]
    size = 0
    for name, value in arrays.items():
        if parts[-1] and size + value.nbytes > most:
            parts.append({})
            size = 0
        parts[-1][name] = value
        size += value.nbytes
    paths = [stem.with_name(f"{stem.name}-{k}.npz") for k in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        np.savez(path, allow_pickle=False, **part)
    return paths
