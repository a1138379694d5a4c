"""JPEG history and resolution: blocks' phase, ghosts, quantisation and the fall of the spectrum, goods against ground.

Phase of block edges: Barni et al. (2010); ghosts: Farid (2009), "Exposing digital forgeries from JPEG ghosts"; a
region that was enlarged or bent has less at the top of its spectrum than its neighbours.
"""

from __future__ import annotations

import cv2
import numpy as np

from zhentu_training.consistent.regions import BoolArray, FloatArray, Regions

_EDGE = 8  # pixels of a JPEG block
_QUALITIES = (50, 65, 78, 88, 95)
_BANDS = ((1, 2), (3, 4), (5, 6), (7, 9), (10, 14))  # sums of the two frequencies of a DCT coefficient, both included
_CAP = 12.0  # grey levels; an object's edge is no block's edge
_LEAST = 24  # blocks without which a region has no spectrum


def history(regions: Regions) -> dict[str, float]:
    """All figures of this file."""
    return {**_phases(regions), **_ghosts(regions), **_spectrum(regions)}


def _phases(regions: Regions) -> dict[str, float]:
    """How much a step between neighbours exceeds those beside it, by place in the grid; rows and columns together."""
    grey = regions.grey
    by_region = {each: np.zeros(_EDGE) for each in ("goods", "ground")}
    for turned in (False, True):
        values = grey.T if turned else grey
        step = np.abs(np.diff(values, axis=1))
        over = np.minimum(step[:, 1:-1] - (step[:, :-2] + step[:, 2:]) / 2, _CAP).clip(-_CAP)
        place = (np.arange(over.shape[1]) + 2) % _EDGE  # of the right one of the two pixels
        for each, sums in by_region.items():
            inside = getattr(regions, each).T if turned else getattr(regions, each)
            inside = inside[:, 2:-1]
            weight = np.bincount(place, inside.sum(0), _EDGE)
            sums += np.bincount(place, (over * inside).sum(0), _EDGE) / np.maximum(weight, 1) / 2
    found = {}
    for each, sums in by_region.items():
        rest = float(np.median(sums))
        others = np.delete(sums, 0)
        found[f"grid.{each}.own"] = float(sums[0]) - rest
        found[f"grid.{each}.other"] = float(others.max()) - rest
    for kind in ("own", "other"):
        found[f"grid.{kind}.apart"] = found[f"grid.goods.{kind}"] - found[f"grid.ground.{kind}"]
    goods, ground = (each - each.mean() for each in by_region.values())
    length = np.linalg.norm(goods) * np.linalg.norm(ground)
    return found | {"grid.alike": float(goods @ ground / (length + 1e-3))}


def _ghosts(regions: Regions) -> dict[str, float]:
    """What recompression at several qualities changes in goods and in ground, relative to their own mean."""
    grey = regions.grey.round().clip(0, 255).astype(np.uint8)
    changed: dict[str, list[float]] = {"goods": [], "ground": []}
    for quality in _QUALITIES:
        _, payload = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
        again = np.asarray(cv2.imdecode(np.asarray(payload), cv2.IMREAD_GRAYSCALE), np.float32)
        off = np.minimum((again - regions.grey) ** 2, 400)
        for each, so_far in changed.items():
            own = off[getattr(regions, each)]
            so_far.append(float(np.log(own.mean() + 0.05)) if own.size else 0.0)
    goods, ground = np.array(changed["goods"]), np.array(changed["ground"])
    found = {f"ghost.{q}.apart": float(v) for q, v in zip(_QUALITIES, goods - ground, strict=True)}
    # The curve's form without its height: how the change grows as quality falls.
    for each, values in (("goods", goods), ("ground", ground)):
        found[f"ghost.fall.{each}"] = float(values[0] - values[-1])
        found[f"ghost.bend.{each}"] = float(values[1] + values[3] - 2 * values[2])
    found["ghost.fall.apart"] = found["ghost.fall.goods"] - found["ghost.fall.ground"]
    return found | {"ghost.bend.apart": found["ghost.bend.goods"] - found["ghost.bend.ground"]}


def _spectrum(regions: Regions) -> dict[str, float]:
    """Of the blocks of the file's own grid: energy by band against the lowest band, and how much is quantised away."""
    height, width = (each // _EDGE for each in regions.grey.shape)
    cut = regions.grey[: height * _EDGE, : width * _EDGE] - 128
    blocks = cut.reshape(height, _EDGE, width, _EDGE).transpose(0, 2, 1, 3).reshape(-1, _EDGE, _EDGE)
    turned = np.abs(_DCT @ blocks @ _DCT.T)
    order = np.add.outer(np.arange(_EDGE), np.arange(_EDGE))
    bands = np.stack([turned[:, (order >= a) & (order <= b)].mean(1) for a, b in _BANDS], 1)
    nothing = (turned[:, order >= 7] < 0.5).mean(1)
    found: dict[str, float] = {}
    logs = np.log(bands + 0.1)
    for each in ("goods", "ground"):
        inside = _shares(getattr(regions, each), height, width) > 0.9
        structured = inside & (bands[:, 0] > 3)
        use = structured if structured.sum() >= _LEAST else inside
        falls = logs[use] - logs[use][:, :1]
        middle = np.median(falls, 0) if use.any() else np.zeros(len(_BANDS))
        found |= {f"spectrum.{k}.{each}": float(middle[k]) for k in range(1, len(_BANDS))}
        found[f"spectrum.none.{each}"] = float(nothing[use].mean()) if use.any() else 0.0
    for k in (*map(str, range(1, len(_BANDS))), "none"):
        found[f"spectrum.{k}.apart"] = found[f"spectrum.{k}.goods"] - found[f"spectrum.{k}.ground"]
    return found


def _shares(region: BoolArray, height: int, width: int) -> FloatArray:
    cut = region[: height * _EDGE, : width * _EDGE].astype(np.float32)
    return np.asarray(cut.reshape(height, _EDGE, width, _EDGE).mean((1, 3)).ravel(), np.float32)


def _dct_matrix() -> FloatArray:
    rows, columns = np.mgrid[:_EDGE, :_EDGE]
    matrix = np.cos(np.pi * (2 * columns + 1) * rows / (2 * _EDGE)) * np.sqrt(2 / _EDGE)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)


_DCT = _dct_matrix()
