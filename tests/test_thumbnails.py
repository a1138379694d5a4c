from __future__ import annotations

import cv2
import numpy as np
import pytest
from pictures import waves

from zhentu.thumbnails import as_jpeg, within


@pytest.mark.parametrize(
    ("height", "width", "side", "shape"),
    [(300, 200, 150, (150, 100)), (200, 300, 300, (200, 300)), (1, 1000, 100, (1, 100)), (10, 10, 99, (10, 10))],
)
def test_pictures_are_shrunk_to_a_side_and_never_enlarged(
    height: int, width: int, side: int, shape: tuple[int, int]
) -> None:
    rgb = waves(height, width)
    small = within(rgb, side)
    assert small.shape == (*shape, 3)
    assert small.mean() == pytest.approx(rgb.mean(), abs=1)


def test_a_jpeg_keeps_red_red_and_more_of_it_at_a_higher_quality() -> None:
    red = np.full((64, 64, 3), (200, 30, 20), np.uint8)
    read = cv2.imdecode(np.frombuffer(as_jpeg(red, 90), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(read.astype(int) - red).max() < 8
    assert len(as_jpeg(waves(128, 128), 95)) > len(as_jpeg(waves(128, 128), 60))
