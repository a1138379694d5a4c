"""Pictures of known noise, blur, grid, light and shadow: each figure says what was put in."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from zhentu.detect.goods import Goods
from zhentu.detect.views import Box
from zhentu_training.consistent.measure import measure
from zhentu_training.consistent.regions import WORK_SIDE, regions_of

SIDE = 400
DISC = (200, 210), 110  # centre (x, y) and radius of the goods


def disc(side: int = SIDE) -> np.ndarray:
    """The goods' mask over a picture of any size, as the finder gives it."""
    mask = np.zeros((side, side), np.float32)
    scale = side / SIDE
    cv2.circle(mask, (round(DISC[0][0] * scale), round(DISC[0][1] * scale)), round(DISC[1] * scale), 1.0, -1)
    return mask


def figures(rgb: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
    goods = Goods(disc(320) if mask is None else mask, Box(0, 0, rgb.shape[1], rgb.shape[0]), 0.95, True)
    measured = measure(rgb, goods)
    return dict(zip(measured.names, measured.figures.tolist(), strict=True))


def uint8(values: np.ndarray) -> np.ndarray:
    return np.round(values).clip(0, 255).astype(np.uint8)


def two_tone(goods: float = 90.0, ground: float = 150.0, softness: float = 0.8) -> np.ndarray:
    """A flat disc on flat ground, float (SIDE, SIDE, 3)."""
    soft = cv2.GaussianBlur(disc(), (0, 0), softness)[..., None]
    return np.repeat(ground + (goods - ground) * soft, 3, 2)


def noisy(goods: float, ground: float, tone: float = 90.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    level = np.where(disc()[..., None] > 0, goods, ground)
    return uint8(two_tone(tone) + rng.normal(0, 1, (SIDE, SIDE, 3)) * level)


def textured(seed: int = 2) -> np.ndarray:
    """Sharp blotches of many sizes, uint8 RGB."""
    rng = np.random.default_rng(seed)
    field = sum(cv2.resize(rng.random((n, n)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) / k
                for k, n in enumerate((12, 40, 90), 1))  # fmt: skip
    steps = np.floor((field - field.min()) / (field.max() - field.min()) * 6) * 40
    return uint8(np.repeat(cv2.GaussianBlur(steps, (0, 0), 0.6)[..., None], 3, 2))


def only_goods(changed: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return np.where(disc()[..., None] > 0, changed, otherwise)


def jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    _, payload = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(np.asarray(payload), cv2.IMREAD_COLOR))


@pytest.mark.parametrize(("goods", "ground"), [(6.0, 6.0), (8.0, 3.0), (2.0, 7.0)])
def test_noise_of_goods_and_ground_is_told_apart_by_as_much_as_it_differs(goods: float, ground: float) -> None:
    found = figures(noisy(goods, ground))
    assert found["noise.luma.1.apart"] == pytest.approx(np.log(goods / ground), abs=0.2)
    assert found["noise.chroma.1.apart"] == pytest.approx(np.log(goods / ground), abs=0.25)


def test_noise_that_goods_bring_along_stands_out_whatever_the_mask_says() -> None:
    nowhere = np.zeros((320, 320), np.float32)
    nowhere[20:60, 20:60] = 1.0
    even, patched = (figures(noisy(level, 3.0, 150.0), nowhere) for level in (3.0, 9.0))
    assert patched["cells.patch"] > even["cells.patch"] + 0.1


def test_goods_out_of_focus_before_a_sharp_ground_are_blurred_and_their_spectrum_falls() -> None:
    sharp = textured()
    blurred = figures(only_goods(cv2.GaussianBlur(sharp, (0, 0), 2.0), sharp))
    alike = figures(sharp)
    assert abs(alike["blur.goods_ground"]) < 0.15
    assert blurred["blur.goods_ground"] > 0.4
    assert blurred["spectrum.4.apart"] < alike["spectrum.4.apart"] - 0.5


def test_a_grid_that_only_the_goods_have_is_seen_and_the_files_own_is_another() -> None:
    clean = textured(3)
    shifted = np.roll(jpeg(np.roll(clean, (-3, -5), (0, 1)), 30), (3, 5), (0, 1))
    pasted, whole, untouched = figures(only_goods(shifted, clean)), figures(jpeg(clean, 30)), figures(clean)
    assert pasted["grid.other.apart"] > untouched["grid.other.apart"] + 0.3
    assert whole["grid.goods.own"] > untouched["grid.goods.own"] + 0.3
    assert abs(whole["grid.own.apart"]) < whole["grid.goods.own"]


def test_recompression_changes_ground_less_where_only_the_ground_was_compressed_before() -> None:
    clean = uint8(textured(4) + np.random.default_rng(4).normal(0, 5, (SIDE, SIDE, 3)))
    pasted = figures(only_goods(clean, jpeg(clean, 65)))
    assert pasted["ghost.65.apart"] > figures(clean)["ghost.65.apart"] + 0.3


@pytest.mark.parametrize("softness", [1.0, 2.0, 3.0])
def test_the_outline_is_as_wide_as_it_was_drawn(softness: float) -> None:
    found = figures(uint8(two_tone(softness=softness)))
    assert found["edge.width.50"] == pytest.approx(2.563 * softness, abs=1.1)  # from 10 to 90 % of a Gaussian's step
    assert found["edge.seen"] > 0.95


def test_a_bright_rim_is_seen_and_a_plain_step_has_none() -> None:
    rim = cv2.GaussianBlur(cv2.dilate(disc(), np.ones((5, 5))) - disc(), (0, 0), 0.6)[..., None]
    plain, fringed = two_tone(), two_tone() * (1 - rim) + 255 * rim
    assert figures(uint8(fringed))["edge.light_rim"] > 0.8
    assert figures(uint8(plain))["edge.light_rim"] < 0.1


def test_stairs_of_an_enlarged_mask_make_the_outline_rough() -> None:
    coarse = cv2.resize(cv2.resize(disc(), (50, 50), interpolation=cv2.INTER_NEAREST), (SIDE, SIDE),
                        interpolation=cv2.INTER_NEAREST)[..., None]  # fmt: skip
    stairs, smooth = figures(uint8(150.0 - 60 * np.repeat(coarse, 3, 2))), figures(uint8(two_tone()))
    assert stairs["edge.stairs"] > smooth["edge.stairs"] + 0.5


def test_light_of_another_colour_and_from_the_other_side() -> None:
    ramp = np.linspace(0.6, 1.4, SIDE)[None, :, None]
    neutral = two_tone(120, 120) * ramp
    against = only_goods(two_tone(120, 120) * ramp[:, ::-1] * [1.2, 1.0, 0.8], neutral)
    found, honest = figures(uint8(against)), figures(uint8(neutral))
    assert found["light.warm.apart"] == pytest.approx(np.log(1.2 / 0.8), abs=0.08)
    assert found["light.angle"] > honest["light.angle"] + 5
    assert honest["light.alike"] > 0.5
    assert found["light.alike"] < -0.5


def test_the_shadow_below_the_goods_is_found_where_there_is_one() -> None:
    shade = cv2.GaussianBlur(np.roll(disc(), 14, 0), (0, 0), 6)[..., None]
    standing = only_goods(two_tone(), two_tone() * (1 - 0.5 * shade))
    found, floating = figures(uint8(standing)), figures(uint8(two_tone()))
    assert found["shadow.below.0"] < -0.2
    assert abs(floating["shadow.below.0"]) < 0.03
    assert found["shadow.below_beside"] < floating["shadow.below_beside"] - 0.1


def test_what_occurs_twice_is_found_though_it_was_turned() -> None:
    once = np.ascontiguousarray(data.astronaut()[:SIDE, :SIDE])
    twice = once.copy()
    turned = cv2.warpAffine(once[40:180, 160:300], cv2.getRotationMatrix2D((70, 70), 15, 1.0), (140, 140))
    twice[250:370, 20:140] = turned[10:130, 10:130]
    assert figures(twice)["repeat.agree"] > figures(once)["repeat.agree"] + 1.0


@pytest.mark.parametrize(
    ("rgb", "mask"),
    [
        (np.full((64, 90, 3), 255, np.uint8), np.ones((320, 320), np.float32)),
        (np.full((64, 90, 3), 7, np.uint8), np.zeros((320, 320), np.float32)),
        (np.zeros((40, 40, 3), np.uint8), np.eye(320, dtype=np.float32)),
        (np.random.default_rng(1).integers(0, 256, (1400, 300, 3), dtype=np.uint8), disc(320)),
    ],
)
def test_every_picture_has_the_same_figures_and_all_are_numbers(rgb: np.ndarray, mask: np.ndarray) -> None:
    with np.errstate(all="raise", under="ignore"):
        found = figures(rgb, mask)
    assert list(found) == list(figures(uint8(two_tone())))
    assert np.isfinite(list(found.values())).all()


def test_the_same_picture_has_the_same_figures() -> None:
    rgb = np.ascontiguousarray(data.coffee()[:SIDE, :SIDE])
    assert figures(rgb) == figures(rgb)


def test_a_large_picture_is_measured_at_the_working_size() -> None:
    regions = regions_of(np.zeros((1600, 2400, 3), np.uint8), disc(320))
    assert max(regions.grey.shape) == WORK_SIDE
    assert regions.goods.any()
    assert regions.ground.any()
    assert not (regions.goods & regions.ground).any()
