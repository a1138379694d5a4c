from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from zhentu.bootstrap.models import build_comparer
from zhentu.detect.entries import FinderEntry
from zhentu.detect.goods import GoodsFinder, judged
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.detect.views import Box
from zhentu.errors import ModelError
from zhentu.intake.decode import decode
from zhentu.settings import load_settings
from zhentu.types import Runtime


@pytest.fixture(scope="module")
def finder() -> GoodsFinder:
    entry = Manifest.load(models_folder()).finder
    assert entry is not None
    return GoodsFinder(entry, models_folder())


def disc(level: float = 1.0, side: int = 100) -> np.ndarray:
    mask = np.zeros((side, side), np.float32)
    cv2.circle(mask, (30, 50), 20, level, -1)
    return mask


def test_a_cup_on_a_table_is_found_and_boxed(finder: GoodsFinder) -> None:
    picture = decode((samples_folder() / "genuine_cup.jpg").read_bytes())
    goods = finder.find(picture)
    assert goods.found
    assert goods.sureness > 0.9
    assert goods.box.w * goods.box.h < 0.9 * picture.width * picture.height
    mask = goods.mask_at(picture.height, picture.width)
    assert mask.shape == picture.rgb.shape[:2]
    assert mask[picture.height // 2, picture.width // 2] > 0.9 > 0.1 > mask[2, 2]


def test_a_wall_of_bricks_has_no_goods_and_stands_whole(finder: GoodsFinder) -> None:
    picture = decode((samples_folder() / "genuine_bricks.jpg").read_bytes())
    goods = finder.find(picture)
    assert not goods.found
    assert goods.box == Box(0, 0, picture.width, picture.height)
    assert goods.mask.min() == 1.0


@pytest.mark.parametrize("level", [0, 255])
def test_a_blank_picture_has_no_goods(finder: GoodsFinder, level: int) -> None:
    assert not finder.find_in(np.full((90, 140, 3), level, np.uint8)).found


def test_the_golden_pictures_are_found_as_when_it_was_made(finder: GoodsFinder) -> None:
    assert finder.verify_golden(samples_folder()) < 5e-3


@pytest.mark.parametrize(
    ("wished", "finds_goods"),
    [("openvino", Runtime.ONNXRUNTIME), ("onnxruntime", Runtime.ONNXRUNTIME), ("cuda", Runtime.CUDA)],
)
def test_openvino_serves_the_encoders_and_leaves_the_goods_to_onnx_runtime(
    wished: str, finds_goods: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Runtime] = []

    def made(entry: FinderEntry, folder: Path, threads: int, runtime: Runtime) -> GoodsFinder:
        given.append(runtime)
        return GoodsFinder(entry, folder, threads, runtime)

    monkeypatch.setattr("zhentu.bootstrap.models.GoodsFinder", made)
    comparer = build_comparer(load_settings(None, {"ZHENTU_MODELS_RUNTIME": wished}))
    assert comparer is not None
    assert given == [finds_goods]


def test_a_hesitant_mask_and_a_speck_are_no_goods() -> None:
    speck = np.zeros((100, 100), np.float32)
    speck[50:54, 50:54] = 1
    for mask in (disc(0.55), speck, np.zeros((100, 100), np.float32)):
        assert not judged(mask, 200, 400, 0.75).found


def test_the_box_covers_the_goods_in_picture_pixels_with_a_margin_and_stays_inside() -> None:
    goods = judged(disc(), 200, 400, 0.75)  # mask columns 10 to 50 of 100, rows 30 to 70
    assert goods.found
    assert goods.box.x in range(30, 41)
    assert goods.box.x + goods.box.w in range(204, 216)
    assert goods.box.y in range(50, 61)
    filled = judged(np.ones((100, 100), np.float32), 200, 400, 0.75)
    assert filled.box == Box(0, 0, 400, 200)


def test_a_small_island_does_not_widen_the_box() -> None:
    mask = disc()
    mask[95:98, 95:98] = 1
    assert judged(mask, 100, 100, 0.75).box == judged(disc(), 100, 100, 0.75).box


def test_an_altered_file_is_refused_when_first_asked(tmp_path: Path) -> None:
    entry = Manifest.load(models_folder()).finder
    assert entry is not None
    (tmp_path / entry.file).write_bytes(b"other")
    with pytest.raises(ModelError, match="altered"):
        GoodsFinder(entry, tmp_path).find_in(np.zeros((64, 64, 3), np.uint8))
