"""Whether heatmaps point: the serving detector on forgeries with masks, of products the locator never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from zhentu.detect.detector import Detector
from zhentu.detect.heatmap import heatmaps_of, overlay
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Category, Heatmap, Picture, Scores
from zhentu_training.dataset import Origin, Sample
from zhentu_training.figures import auc, interval
from zhentu_training.locate import read_mask
from zhentu_training.picture_files import write_picture
from zhentu_training.progress import track

_LARGEST = 0.9  # share of a picture; a forgery that fills it has no place to point at
_TILE = 240  # pixels a side of a contact sheet's tile
_DRAWS = 300  # bootstrap resamples
_CERTAIN = Scores(1, 1, 1, 1, 1, 1)
_ALL, _REAL = "all own forgeries", " (real edits)"


@dataclass(frozen=True, slots=True, eq=False)
class Pointing:
    """What heatmaps of the forgery's own category did, a value a picture.

    category: of what was forged; real edits apart.  hits: whether the hottest place lies in the mask (pointing game).
    areas: pixel AUC.  flat: whether the map names no place.  middle_hits, middle_areas: of a guess, the middle.
    whole: of AI-made pictures, whether their map of `ai_generated` names no place.
    """

    category: np.ndarray
    hits: np.ndarray
    areas: np.ndarray
    flat: np.ndarray
    middle_hits: np.ndarray
    middle_areas: np.ndarray
    whole: np.ndarray

    def table(self) -> pd.DataFrame:
        """By category and in all, with intervals over pictures."""
        rows = []
        for name in (*dict.fromkeys(self.category.tolist()), _ALL):
            own = ~np.char.endswith(self.category, _REAL) if name == _ALL else self.category == name
            if not own.any():
                continue
            rows.append({"forged": name, "pictures": int(own.sum()),
                         "hottest place in the mask": _mean(self.hits[own]), "pixel AUC": _mean(self.areas[own]),
                         "the middle, guessed": f"{self.middle_hits[own].mean():.3f}, "
                                                f"{self.middle_areas[own].mean():.3f}",
                         'says "everywhere"': f"{self.flat[own].mean():.3f}"})  # fmt: skip
        if len(self.whole):
            rows.append({"forged": "AI-made as a whole", "pictures": len(self.whole),
                         'says "everywhere"': f"{self.whole.mean():.3f}"})  # fmt: skip
        return pd.DataFrame(rows).fillna("")


def _mean(values: np.ndarray) -> str:
    rng = np.random.default_rng(7)
    drawn = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(_DRAWS)]
    return str(interval(float(values.mean()), drawn))


def point(samples: Sequence[Sample], made: Sequence[Sample], detector: Detector) -> Pointing | None:
    """Judge forgeries with masks, and AI-made pictures; None if no forgery leaves a place to point at."""
    found = []
    for sample in track(samples, "heatmaps"):
        picture = decode(sample.path.read_bytes())
        category = next(each for each in CATEGORIES if each in sample.labels)
        grid = heatmap_of(picture, detector, category).grid
        mask = cv2.resize(
            read_mask(sample, picture.height, picture.width), grid.shape[::-1], interpolation=cv2.INTER_AREA
        )
        inside = mask >= 0.5
        if not inside.any() or inside.mean() > _LARGEST:
            continue
        flat = _is_flat(grid)
        # A tie is not a hit: a map that says "everywhere" points nowhere.
        hit = bool(inside.ravel()[grid.argmax()]) and not flat
        middle = _nearness(*grid.shape)
        name = category.value + _REAL * (sample.origin is Origin.EDIT)
        found.append((name, hit, auc(grid.ravel(), inside.ravel()), flat,
                      bool(inside.ravel()[middle.argmax()]), auc(middle.ravel(), inside.ravel())))  # fmt: skip
    if not found:
        return None
    read = (decode(sample.path.read_bytes()) for sample in track(made, "AI-made"))
    whole = [_is_flat(heatmap_of(picture, detector, Category.AI_GENERATED).grid) for picture in read]
    columns: list[np.ndarray] = [np.array(column) for column in zip(*found, strict=True)]
    return Pointing(*[*columns, np.array(whole)])


def heatmap_of(picture: Picture, detector: Detector, category: Category) -> Heatmap:
    """The served heatmap of one category, of a detector with a locator.

    That of `ai_generated` depends on its score; of the others the score is but the scale, so the network is not asked.
    """
    if category is Category.AI_GENERATED:
        heatmaps = detector.detect(picture, with_heatmaps=True).heatmaps
    else:
        heatmaps = heatmaps_of(detector.locate(picture), _CERTAIN, detector.entry.stands_out)
    return next(each for each in heatmaps if each.category is category)


def _is_flat(grid: np.ndarray) -> bool:
    return bool(np.ptp(grid) < 1e-6)


def _nearness(rows: int, columns: int) -> np.ndarray:
    """To the middle of a picture."""
    y, x = np.mgrid[:rows, :columns]
    return np.asarray(-(((x + 0.5) / columns - 0.5) ** 2) - ((y + 0.5) / rows - 0.5) ** 2)


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
    write_picture(path, sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
