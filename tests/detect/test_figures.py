"""Figures on looks whose tokens are the pixels themselves: what is measured must not need a trained encoder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from zhentu.detect.canvas import PLACES, VIEW, canvas_of, lab_of, linear, neutral_light, view_of
from zhentu.detect.compare import over_picture
from zhentu.detect.figures import IDENTITY_NAMES, NAMES, measure
from zhentu.detect.goods import judged
from zhentu.detect.look import Look
from zhentu.detect.surface import _RANKS, _UNIFORM, _blurred, _quantiles, surface_of
from zhentu.types import Picture

RGB = np.ndarray
_LAID_OVER = ("aligned", "points", "patch", "drawn", "mutual.geometry")  # the second over the first


def on_ground(goods: RGB, tint: tuple[float, float, float] = (1, 1, 1), side: int = 400, at: int = 80) -> RGB:
    """Goods in a disc on near-white ground, everything under one light."""
    picture = np.full((side, side, 3), 235.0)
    size = min(goods.shape[:2])
    disc = np.zeros((size, size, 1), np.float32)
    cv2.circle(disc, (size // 2, size // 2), size // 2 - 2, 1.0, -1)
    window = picture[at : at + size, at : at + size]
    window[:] = window * (1 - disc) + goods[:size, :size] * disc
    return (picture * tint).clip(0, 255).astype(np.uint8)


def look(picture: RGB, at: int = 80, size: int = 240) -> Look:
    """A look whose mask is the disc and whose tokens are centred pixels."""
    mask = np.zeros(picture.shape[:2], np.float32)
    cv2.circle(mask, (at + size // 2, at + size // 2), size // 2 - 2, 1.0, -1)
    goods = judged(cv2.resize(mask, (VIEW, VIEW)), *picture.shape[:2], least_sureness=0.5)
    canvas = canvas_of(picture, goods)
    step = VIEW // PLACES
    cells = view_of(canvas).reshape(PLACES, step, PLACES, step, 3).swapaxes(1, 2).reshape(PLACES * PLACES, -1) / 255
    tokens = np.stack([cells - cells.mean(0)] * 3)
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True) + 1e-6
    classes = tokens.mean(1)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    identity = np.concatenate([classes, classes]).astype(np.float32)
    return Look(
        canvas, surface_of(canvas), tokens.astype(np.float16), classes.astype(np.float32), identity, goods.found
    )


def figures(first: Look, second: Look) -> dict[str, float]:
    return dict(zip(NAMES, measure(first, second).figures.tolist(), strict=True))


@pytest.fixture(scope="module")
def cup() -> RGB:
    return np.ascontiguousarray(data.coffee()[80:320, 160:400])


def test_the_same_picture_measures_as_the_same_in_everything(cup: RGB) -> None:
    once = look(on_ground(cup))
    same = figures(once, once)
    assert same["place1.mean"] == pytest.approx(1, abs=2e-3)
    assert [same[name] for name in IDENTITY_NAMES] == pytest.approx([1] * len(IDENTITY_NAMES), abs=1e-3)
    assert same["aligned"] == 1
    assert same["mutual.geometry"] == 1
    assert same["outline.unlike"] == pytest.approx(0, abs=0.02)
    for name in ("colour.raw.ab", "colour.lit.hue", "texture.pattern1", "texture.band2", "gloss.skew", "aligned.own"):
        assert same[name] == pytest.approx(0, abs=1e-3), name


def test_which_picture_is_the_reference_hardly_matters(cup: RGB) -> None:
    first, second = look(on_ground(cup)), look(on_ground(cup[::-1, ::-1]))
    there, back = measure(first, second), measure(second, first)
    plain = [k for k, name in enumerate(NAMES) if not name.startswith(_LAID_OVER)]
    assert np.allclose(there.figures[plain], back.figures[plain], atol=1e-3)
    assert np.allclose(there.unlike, back.unlike_back, atol=1e-5)


def test_a_warm_lamp_is_told_from_another_colour_by_the_white_ground() -> None:
    cat = np.ascontiguousarray(data.chelsea()[30:270, 100:340])
    plain = look(on_ground(cat))
    lamp = figures(plain, look(on_ground(cat, tint=(1.0, 0.97, 0.9))))
    hue = cv2.cvtColor(cat, cv2.COLOR_RGB2HSV)
    hue[..., 0] = (hue[..., 0].astype(int) + 40) % 180
    dyed = figures(plain, look(on_ground(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB))))
    assert lamp["colour.lit.mean_ab"] < 0.5 * lamp["colour.raw.mean_ab"]
    assert dyed["colour.lit.mean_ab"] > 3 * lamp["colour.lit.mean_ab"]


def test_a_picture_without_neutral_areas_has_no_known_light() -> None:
    gains, known = neutral_light(np.full((64, 64, 3), (200, 60, 40), np.uint8))
    assert not known
    assert gains.tolist() == [1, 1, 1]
    gains, known = neutral_light(np.full((64, 64, 3), (250, 240, 225), np.uint8))
    assert known
    assert gains[2] > 1 > gains[0]


def test_another_weave_shows_in_texture_and_not_in_colour() -> None:
    y, x = np.mgrid[:240, :240]
    plain = np.full((240, 240, 3), (150, 110, 90), np.uint8)
    twill = (plain + 18 * np.sin((x + y) * 1.1)[..., None]).clip(0, 255).astype(np.uint8)
    other = figures(look(on_ground(plain)), look(on_ground(twill)))
    assert other["texture.pattern1"] > 0.2
    assert other["texture.band1"] > 0.5
    assert other["colour.raw.mean_ab"] < 3


def test_a_print_added_to_goods_that_align_is_found_where_it_is(cup: RGB) -> None:
    printed = cup.copy()
    cv2.circle(printed, (150, 90), 26, (30, 60, 200), -1)
    clean, altered = look(on_ground(cup)), look(on_ground(printed))
    same, differs = figures(clean, look(on_ground(cup, tint=(0.97, 0.97, 0.97)))), figures(clean, altered)
    assert differs["aligned"] == 1
    assert differs["aligned.spot_top"] > 3 * same["aligned.spot_top"]
    assert differs["patch.area"] > np.sqrt(np.pi) * 26 / 240  # of the canvas's side; what lies around stands out too
    assert differs["patch.depth"] > 20
    assert same["patch.area"] == same["patch.depth"] == 0
    for side in (9, 21):
        assert differs[f"drawn{side}.least"] < 0.3 < 0.9 < same[f"drawn{side}.least"]
        assert differs[f"drawn{side}.area"] > 0.05 > same[f"drawn{side}.area"] == 0
    unlike = measure(altered, clean).unlike
    row, column = np.unravel_index(int(unlike.argmax()), unlike.shape)
    assert abs(column - 150 / 240 * PLACES) < 2.5
    assert abs(row - 90 / 240 * PLACES) < 2.5


def test_goods_that_align_and_lost_their_detail_are_told(cup: RGB) -> None:
    clean, dull = look(on_ground(cup)), look(on_ground(cv2.GaussianBlur(cup, (0, 0), 2)))
    same, differs = figures(clean, clean), figures(clean, dull)
    assert differs["aligned"] == 1
    for name in ("fine", "middle", "coarse"):
        assert differs[f"aligned.{name}"] > 0.05 > same[f"aligned.{name}"]
        assert differs[f"aligned.{name}_energy"] > 0.1 > same[f"aligned.{name}_energy"]
    assert differs["aligned.fine_energy"] > differs["aligned.coarse_energy"]


def test_weave_smoothed_between_edges_that_stay_is_told_from_blur() -> None:
    rng, bars = np.random.default_rng(3), np.full((240, 240), 90.0)
    bars[:, ::40] = bars[:, 1::40] = 200
    woven = (bars + 12 * rng.standard_normal(bars.shape)).clip(0, 255)
    goods = {"woven": woven, "plain": bars, "blurred": cv2.GaussianBlur(woven, (0, 0), 1.0)}
    looks = {name: look(on_ground(np.repeat(each[..., None], 3, 2).astype(np.uint8))) for name, each in goods.items()}
    drawn, blurred = (figures(looks["woven"], looks[name]) for name in ("plain", "blurred"))
    assert drawn["aligned"] == blurred["aligned"] == 1
    assert drawn["aligned.fine_split"] > 2 * blurred["aligned.fine_split"]
    assert drawn["aligned.fine_plain"] > blurred["aligned.fine_plain"]


def test_edges_are_uniform_patterns_and_noise_is_not() -> None:
    bars = np.where((np.arange(240) // 24 % 2 == 0)[None, :, None], 90, 170).repeat(240, 0).repeat(3, 2)
    noise = np.random.default_rng(2).integers(60, 200, (240, 240, 1)).repeat(3, 2)
    of_bars, of_noise = (look(on_ground(goods.astype(np.uint8))).surface.patterns[0] for goods in (bars, noise))
    assert of_bars.sum() == pytest.approx(1, abs=1e-5)
    assert of_bars[9] < 0.05
    assert of_bars[1:9].sum() > 0.05, "the darker side of an edge has brighter neighbours in a row"
    assert of_noise[9] > 0.15


@pytest.mark.parametrize("box", [(20, 30, 240, 240), (150, 100, 300, 120), (40, 60, 90, 280)])
def test_a_map_over_the_canvas_lies_over_the_same_goods_in_the_picture(box: tuple[int, int, int, int]) -> None:
    """box: left, top, width, height."""
    left, top, width, height = box
    rgb, mask = np.full((400, 500, 3), 235, np.uint8), np.zeros((400, 500), np.float32)
    rgb[top : top + height, left : left + width] = (40, 90, 160)
    mask[top : top + height, left : left + width] = 1
    canvas = canvas_of(rgb, judged(cv2.resize(mask, (VIEW, VIEW)), 400, 500, least_sureness=0.5))
    over = cv2.resize(canvas.mask, (PLACES, PLACES), interpolation=cv2.INTER_AREA)
    grid = over_picture(over, canvas, Picture(rgb, "0" * 64, "PNG", 1)).grid
    cell = 500 / grid.shape[1]
    for places, start, length in zip(np.nonzero(grid > 0.5), (top, left), (height, width), strict=True):
        ends = (places.min() + 0.5) * cell, (places.max() + 0.5) * cell
        assert ends == pytest.approx((start, start + length), abs=2 * cell)


def test_tiny_and_flat_goods_give_finite_figures() -> None:
    flat = look(on_ground(np.full((240, 240, 3), 200, np.uint8)))
    speck = look(on_ground(np.full((24, 24, 3), 40, np.uint8)), size=24)
    for pair in ((flat, flat), (flat, speck), (speck, speck)):
        assert np.isfinite(measure(*pair).figures).all()


def test_the_same_surface_under_flatter_light_is_as_peaked() -> None:
    """Kurtosis says how rare and strong the marks of a surface are, whatever their contrast."""
    marks = (np.random.default_rng(4).random((240, 240, 1)) > 0.97) * 1.0
    strong, flat = (look(on_ground((150 - depth * marks.repeat(3, 2)).astype(np.uint8))) for depth in (90, 45))
    seen = figures(strong, flat)
    assert seen["texture.band1"] > 0.4
    assert seen["texture.peak1"] < 0.15


def test_srgb_becomes_linear_light() -> None:
    levels = np.array([[[0, 10, 11]], [[12, 128, 255]]], np.uint8)
    assert linear(levels).ravel().tolist() == pytest.approx([0, 0.003035, 0.003347, 0.003677, 0.215861, 1], abs=1e-6)


def test_quantiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(3).normal(size=(4, 501)).astype(np.float32)
    assert _quantiles(values) == pytest.approx(np.quantile(values, _RANKS, axis=1).T, abs=1e-6)


@pytest.mark.parametrize("sigma", [6.4, 24.0])
def test_a_wide_blur_at_half_the_size_is_the_blur(sigma: float) -> None:
    light = np.ascontiguousarray(lab_of(data.coffee())[..., 0])
    assert np.abs(_blurred(light, sigma) - cv2.GaussianBlur(light, (0, 0), sigma)).max() < 1  # of 100, at the border


def test_a_code_of_a_ring_is_uniform_up_to_two_changes() -> None:
    assert [int(_UNIFORM[code]) for code in (0b0, 0b1, 0b111, 0b10000001, 0b11111111, 0b101, 0b1101)] == [
        *(0, 1, 3, 2, 8, 9, 9)
    ]


def test_a_light_that_is_neutral_changes_no_colour(cup: RGB) -> None:
    # OpenCV interpolates the way from sRGB in a coarse table; a just noticeable difference is 2.
    assert lab_of(cup, np.ones(3, np.float32)) == pytest.approx(lab_of(cup), abs=0.5)
