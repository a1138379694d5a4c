"""Everything that goods and surroundings can disagree about, as named figures of one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhentu.detect.goods import Goods
from zhentu.detect.views import RgbArray
from zhentu_training.consistent.grain import grain
from zhentu_training.consistent.history import history
from zhentu_training.consistent.light import light
from zhentu_training.consistent.outline import outline
from zhentu_training.consistent.regions import FloatArray, regions_of
from zhentu_training.consistent.repeats import repeats


@dataclass(frozen=True, slots=True, eq=False)
class Consistency:
    """names: of the figures, always the same and in the same order.  figures: float32 (len(names),)."""

    names: tuple[str, ...]
    figures: FloatArray


def measure(rgb: RgbArray, goods: Goods) -> Consistency:
    """All figures of uint8 RGB (H, W, 3) whose goods were found."""
    regions = regions_of(rgb, goods.mask)
    found = {
        **grain(regions),
        **history(regions),
        **outline(regions),
        **light(regions),
        **repeats(regions),
        "goods.sureness": goods.sureness,
    }
    return Consistency(tuple(found), np.nan_to_num(np.array(list(found.values()), np.float32)))
