"""Whether heatmaps point: the serving detector on forgeries with masks, of products the places' head never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zhentu.detect.detector import Detector
from zhentu.detect.heatmap import overlay
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES
from zhentu_training.dataset import Sample
from zhentu_training.figures import auc
from zhentu_training.locate import read_mask
from zhentu_training.progress import track

_LARGEST = 0.9  # share of a picture; a forgery that fills it has no place to point at
_TILE = 240  # pixels a side of a contact sheet's tile


@dataclass(frozen=True, slots=True)
class Pointing:
    """hits: share of heatmaps whose hottest place lies in the mask (pointing game).  pixel_auc: mean over pictures."""

    hits: float
    pixel_auc: float
    everywhere: float
    pictures: int


def point(samples: Sequence[Sample], detector: Detector) -> Pointing:
    """Judge the heatmap of the forgery's own category. everywhere: share of maps that name no place."""
    hits, areas, flat = [], [], []
    for sample in track(samples, "heatmaps"):
        picture = decode(sample.path.read_bytes())
        verdict = detector.detect(picture, with_heatmaps=True)
        category = next(each for each in CATEGORIES if each in sample.labels)
        grid = next(each.grid for each in verdict.heatmaps if each.category is category)
        mask = cv2.resize(
            read_mask(sample, picture.height, picture.width), grid.shape[::-1], interpolation=cv2.INTER_AREA
        )
        inside = mask >= 0.5
        if not inside.any() or inside.mean() > _LARGEST:
            continue
        flat.append(np.ptp(grid) < 1e-6)
        # A tie is not a hit: a map that says "everywhere" points nowhere.
        hits.append(bool(inside.ravel()[grid.argmax()]) and not flat[-1])
        areas.append(auc(grid.ravel(), inside.ravel()))
    if not hits:
        return Pointing(float("nan"), float("nan"), float("nan"), 0)
    return Pointing(float(np.mean(hits)), float(np.mean(areas)), float(np.mean(flat)), len(hits))


def contact_sheet(samples: Sequence[Sample], detector: Detector, path: Path, columns: int = 6) -> None:
    """One JPEG of pictures under the heatmap of their highest score, for people to look at."""
    tiles = []
    for sample in samples:
        picture = decode(sample.path.read_bytes())
        verdict = detector.detect(picture, with_heatmaps=True)
        strongest = max(verdict.heatmaps, key=lambda each: verdict.scores.of(each.category))
        drawn = overlay(picture, strongest, _TILE)
        tile = np.full((_TILE + 18, _TILE, 3), 255, np.uint8)
        tile[: drawn.shape[0], : drawn.shape[1]] = drawn
        text = f"{strongest.category.value} {verdict.scores.forged:.2f}"
        cv2.putText(tile, text, (2, _TILE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    sheet = np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
