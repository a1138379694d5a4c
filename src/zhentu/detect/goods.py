"""Where in a picture the goods are: one saliency network, and how far its answer can be trusted.

Without goods (a poster, a room, a pattern that fills the picture) the answer is "cannot tell", and whoever asked goes
on with the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.entries import FinderEntry
from zhentu.detect.models import read_golden
from zhentu.detect.sessions import Opened, open_network
from zhentu.detect.views import Box, RgbArray, whole_view
from zhentu.errors import ModelError
from zhentu.types import ModelRef, Picture, Runtime

GOLDEN_TOLERANCE = 2e-2  # of sureness and share: processors round differently
_LEAST_SHARE = 0.004  # of the picture; less than that is a speck, not what is for sale
_MARGIN = 0.04  # of the box's longer side: edges belong to the goods' look


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """Where the goods are.

    mask: float32 (S, S) in [0, 1] over the whole picture, whatever its shape; all ones if nothing was found.
    box: the goods with a small margin, in picture pixels; the whole picture where nothing was found.
    sureness: in [0, 1], how decided the network was; found: whether that is enough.
    """

    mask: npt.NDArray[np.float32]
    box: Box
    sureness: float
    found: bool

    def mask_at(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """The mask at the picture's own size, float32 (height, width)."""
        return np.asarray(cv2.resize(self.mask, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


class GoodsFinder:
    """The finder's network, opened when first asked; `find` may be called from several threads.

    Raises ModelError if its file is missing or altered, or the runtime is not installed.
    """

    def __init__(
        self, entry: FinderEntry, folder: Path, threads: int = 1, runtime: Runtime = Runtime.ONNXRUNTIME
    ) -> None:
        self._entry = entry
        self._network = Opened(lambda: open_network(folder / entry.file, entry.sha256, (), threads, runtime))

    @property
    def model(self) -> ModelRef:
        """Name, version and sha256 of the network."""
        return self._entry.ref

    def find(self, picture: Picture) -> Goods:
        """The goods of a picture."""
        return self.find_in(picture.rgb)

    def find_in(self, rgb: RgbArray) -> Goods:
        """The goods in pixels: uint8 RGB (height, width, 3)."""
        view = whole_view(rgb, self._entry.view_size)
        (mask,) = self._network().run(("mask",), {"view": view[np.newaxis]})
        return judged(np.asarray(mask, np.float32)[0, 0], rgb.shape[0], rgb.shape[1], self._entry.least_sureness)

    def verify_golden(self, samples: Path) -> float:
        """Find the goods of the golden pictures; the largest difference. Raises ModelError above the tolerance."""
        worst = 0.0
        for golden in self._entry.golden:
            goods = self.find(read_golden(samples, golden.picture, self.model))
            share = float(goods.mask.mean())
            difference = max(abs(goods.sureness - golden.sureness), abs(share - golden.share))
            if difference > GOLDEN_TOLERANCE:
                raise ModelError(
                    f"{self.model}: the goods of {golden.picture} are off by {difference:.4f} (tolerance "
                    f"{GOLDEN_TOLERANCE}); this processor or runtime gives other results than the tested ones: upgrade "
                    "onnxruntime, or leave references out"
                )
            worst = max(worst, difference)
        return worst


def judged(mask: npt.NDArray[np.float32], height: int, width: int, least_sureness: float) -> Goods:
    """A mask (S, S) of a picture of (height, width) as goods: how sure, and where.

    Sureness is the mask's agreement with itself rounded to yes and no (soft intersection over union): a network that
    hesitates over most of what it marks has found nothing.
    """
    solid = mask > 0.5
    union = float(np.maximum(mask, solid).sum())
    sureness = float(np.minimum(mask, solid).sum()) / union if union > 0 else 0.0
    if sureness < least_sureness or solid.mean() < _LEAST_SHARE:
        return Goods(np.ones_like(mask), Box(0, 0, width, height), sureness, False)
    return Goods(mask, _box(solid, height, width), sureness, True)


def _box(solid: npt.NDArray[np.bool_], height: int, width: int) -> Box:
    """Around the goods; islands under a hundredth of them are left out: a lit corner is no product."""
    count, marks, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(marks, 1 + np.flatnonzero(areas >= 0.01 * areas.sum())) if count > 2 else solid
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    side = solid.shape[0]
    left, right = columns[0] * width / side, (columns[-1] + 1) * width / side
    top, bottom = rows[0] * height / side, (rows[-1] + 1) * height / side
    margin = _MARGIN * max(right - left, bottom - top)
    x0, y0 = max(int(left - margin), 0), max(int(top - margin), 0)
    x1, y1 = min(int(np.ceil(right + margin)), width), min(int(np.ceil(bottom + margin)), height)
    return Box(x0, y0, x1 - x0, y1 - y0)
