from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from zhentu.types import Category
from zhentu_training.forge import by_hand
from zhentu_training.forge.base import Materials, NotApplicable
from zhentu_training.forge.draws import Draws, load_sections
from zhentu_training.forge.masks import foreground_mask
from zhentu_training.forge.registry import RECIPES, forge
from zhentu_training.forge.tiny import KINDS, round_trip, train

LOCAL = [name for name in RECIPES if name.startswith(("material.", "scene.bent", "scene.new", "cutout.pasted"))]
EXPECTED = {
    "material": Category.MATERIAL_MISMATCH,
    "effect": Category.EXAGGERATED_EFFECT,
    "scene": Category.SCENE_DISTORTION,
    "cutout": Category.CUTOUT_ARTIFACT,
    "reconstruct": Category.AI_GENERATED,
}


@pytest.fixture(scope="module")
def cup() -> np.ndarray:
    return np.ascontiguousarray(data.coffee()[:320, 100:420])


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    ellipse = np.zeros((320, 320), np.float32)
    cv2.ellipse(ellipse, (170, 190), (110, 90), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(ellipse, (0, 0), 2)


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    folder = tmp_path_factory.mktemp("materials")
    cv2.imwrite(str(folder / "texture.png"), data.brick())
    cv2.imwrite(str(folder / "scene.png"), data.chelsea())
    rgba = np.dstack([data.astronaut()[:200, 100:300], np.zeros((200, 200), np.uint8)])
    cv2.circle(rgba, (100, 100), 80, (90, 120, 200, 255), -1)
    cv2.imwrite(str(folder / "goods.png"), rgba)
    return Materials((folder / "texture.png",), (folder / "goods.png",), (folder / "scene.png",))


def made(name: str, rgb: np.ndarray, mask: np.ndarray | None, materials: Materials):
    """The first seed a recipe accepts."""
    for seed in range(12):
        try:
            return forge(name, rgb, seed, materials, mask), seed
        except NotApplicable as reason:
            if any(each in str(reason) for each in ("not found", "not installed", "not trained")):
                pytest.skip(str(reason))
    raise AssertionError(f"{name} refused twelve seeds")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_picture_mask_and_label_and_repeats_bit_for_bit(
    name: str, cup: np.ndarray, mask: np.ndarray, materials: Materials
) -> None:
    forgery, seed = made(name, cup, mask, materials)
    assert forgery.rgb.dtype == np.uint8
    assert forgery.mask.shape == forgery.rgb.shape[:2]
    family = name.split(".")[0]
    assert forgery.labels == (frozenset({EXPECTED[family]}) if family in EXPECTED else frozenset())
    again = forge(name, cup, seed, materials, mask)
    assert np.array_equal(again.rgb, forgery.rgb)
    assert not forgery.labels or forgery.mask.max() > 0.5


@pytest.mark.parametrize("name", LOCAL)
def test_pixels_outside_the_mask_stay_the_originals(
    name: str, cup: np.ndarray, mask: np.ndarray, materials: Materials
) -> None:
    forgery, _ = made(name, cup, mask, materials)
    outside = forgery.mask < 1e-3
    source = cup if forgery.source is None else forgery.source
    if name != "scene.new_ground":
        assert np.array_equal(forgery.rgb[outside], source[outside])
    assert np.abs(forgery.rgb.astype(int) - source)[~outside].mean() > 1


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("material.")])
def test_without_a_mask_the_goods_are_left_alone(name: str, cup: np.ndarray, materials: Materials) -> None:
    with pytest.raises(NotApplicable):
        forge(name, cup, 1, materials, None)


def test_a_plain_ground_gives_a_good_mask_and_a_blank_picture_none() -> None:
    picture = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(picture, (150, 150), 80, (180, 40, 40), -1)
    found = foreground_mask(picture)
    assert found is not None
    assert found[150, 150] > 0.9
    assert found[10, 10] < 0.1
    assert foreground_mask(np.full((300, 300, 3), 200, np.uint8)) is None


def test_mild_retouching_is_weaker_than_the_forgery(cup: np.ndarray, materials: Materials) -> None:
    mild = np.mean(
        [np.abs(forge("negatives.retouch", cup, s, materials).rgb.astype(int) - cup).mean() for s in range(8)]
    )
    strong = np.mean(
        [
            np.abs(made(f"effect.{n}", cup, None, materials)[0].rgb.astype(int) - cup).mean()
            for n in ("glow", "halo", "saturate")
        ]
    )
    assert mild < strong / 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_autoencoder_of_each_kind_learns_and_repeats(kind: str, tmp_path: Path, cup: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "cup.png"), cup[..., ::-1])
    first, later = (train(kind, [tmp_path / "cup.png"], steps, seed=1) for steps in (2, 25))
    window = np.ascontiguousarray(cup[:66, :90])  # sides that are no multiples of the factor
    errors = [np.abs(round_trip(model, window, 0.0, 1).astype(int) - window).mean() for model in (first, later)]
    assert errors[1] < errors[0]
    noisy = round_trip(later, window, 0.3, 1)
    assert noisy.shape == window.shape
    assert np.array_equal(noisy, round_trip(later, window, 0.3, 1))


def test_a_tiny_picture_is_refused(materials: Materials) -> None:
    with pytest.raises(NotApplicable, match="64 pixels"):
        forge("effect.glow", np.zeros((40, 40, 3), np.uint8), 1, materials)


def test_the_magic_wand_takes_plain_ground_and_leaves_the_goods_and_a_polygon_has_straight_cuts() -> None:
    sections = load_sections()
    picture = np.full((300, 300, 3), 240, np.uint8)
    cv2.circle(picture, (150, 150), 80, (180, 40, 40), -1)
    round_goods = np.asarray((picture[..., 1] < 100), np.float32)
    wand = by_hand.wand_matte(picture, Draws(np.random.default_rng(1), sections, "cutout.wand"))
    assert set(np.unique(wand)) == {0.0, 1.0}, "hard pixels"
    assert np.array_equal(wand, round_goods)
    assert picture[5, 5, 0] == 240, "the picture is not painted on"
    cut = by_hand.polygon_matte(picture, round_goods, Draws(np.random.default_rng(1), sections, "cutout.polygon"))
    share = np.minimum(cut, round_goods).sum() / np.maximum(cut, round_goods).sum()
    assert 0.75 < share < 0.995, "near the goods, but its corners are cut"
    with pytest.raises(NotApplicable):
        by_hand.wand_matte(
            np.full((300, 300, 3), 200, np.uint8), Draws(np.random.default_rng(1), sections, "cutout.wand")
        )


def test_goods_cut_onto_white_are_no_offence_and_stand_where_they_stood(mask: np.ndarray, materials: Materials) -> None:
    picture = np.full((320, 320, 3), 225, np.uint8)
    cv2.ellipse(picture, (170, 190), (110, 90), 0, 0, 360, (90, 60, 150), -1)
    forgery, _ = made("negatives.white_ground", picture, mask, materials)
    assert not forgery.labels
    assert (forgery.rgb[:10] == 255).all()
    assert np.abs(forgery.rgb[185:195, 165:175].astype(int) - (90, 60, 150)).max() <= 2
