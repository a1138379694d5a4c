"""Which model of a manifest is meant, and how what it says is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded
from fakes import change_manifest as change
from fakes import verdict
from PIL import Image

from zhentu.detect.calibration import Platt, at_prior, log_odds, sigmoid
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.heatmap import heatmaps_of, overlay
from zhentu.detect.models import Manifest
from zhentu.detect.sessions import has_8bit_products, verify_files
from zhentu.errors import ModelError, UsageError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Category, Heatmap, Picture, Scores


@pytest.fixture
def folder(entry: ModelEntry, tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def both(entry: ModelEntry) -> Manifest:
    """The int8 model in force beside the one it was made from, and an older one."""
    small = replace(entry, name="tiny-int8", precision="int8")
    old = replace(entry, version="0.9")
    return Manifest(schema=1, active="tiny-int8@1", models=(old, entry, small))


def test_a_processor_without_8_bit_products_gets_the_same_model_in_floating_point(both: Manifest) -> None:
    assert str(both.chosen(None, has_8bit_products=True).ref) == "tiny-int8@1"
    assert str(both.chosen(None, has_8bit_products=False).ref) == "tiny@1"


@pytest.mark.parametrize("has", [True, False])
def test_a_model_that_is_named_is_taken_as_it_is(both: Manifest, has: bool) -> None:
    assert str(both.chosen("tiny-int8@1", has).ref) == "tiny-int8@1"
    assert str(both.chosen("tiny@0.9", has).ref) == "tiny@0.9"
    assert str(replace(both, active="tiny@1").chosen(None, has).ref) == "tiny@1"


def test_without_its_floating_point_model_int8_is_better_than_none(both: Manifest) -> None:
    alone = replace(both, models=(both.models[0], both.models[2]))
    assert str(alone.chosen(None, has_8bit_products=False).ref) == "tiny-int8@1"
    assert alone.in_floating_point(alone.active_entry) is None


def test_a_name_without_a_version_is_the_last_listed_of_that_name(both: Manifest) -> None:
    assert str(both.entry("tiny").ref) == "tiny@1"
    assert str(both.entry("tiny@0.9").ref) == "tiny@0.9"
    assert str(both.entry("tiny@1+openvino").ref) == "tiny@1"


def test_models_since_a_version_are_of_that_name_and_not_older(both: Manifest) -> None:
    entry = both.entry("tiny@1")
    assert [each.version for each in both.since(entry, "0.9")] == ["0.9", "1"]
    assert [each.version for each in both.since(entry, "0.9.1")] == ["1"]
    assert [each.version for each in both.since(entry, "1.0")] == ["1"]
    with pytest.raises(UsageError, match="give a version"):
        both.since(entry, "newest")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"labels": list(CATEGORIES)[::-1]}, "in this order"),
        ({"calibration": {"ai_generated": {"slope": 1.0, "intercept": 0.0}}}, "no calibration for material_mismatch"),
        ({"golden": [{"picture": "a.jpg", "scores": {"forged": 0.5}}]}, "golden scores of a.jpg must be"),
        ({"prior": 1.0}, "prior"),
        ({"sha256": "A" * 64}, "sha256"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(folder: Path, damage: dict, named: str) -> None:
    change(folder, **damage)
    with pytest.raises(ModelError, match=named):
        Manifest.load(folder)


@pytest.mark.parametrize(("content", "named"), [("{", "not JSON"), ("[]", "manifest.json")])
def test_a_manifest_that_cannot_be_read_is_named(folder: Path, content: str, named: str) -> None:
    (folder / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=named):
        Manifest.load(folder)
    with pytest.raises(ModelError, match="ZHENTU_MODELS_DIR"):
        Manifest.load(folder / "none")


def test_an_active_model_must_be_listed(folder: Path) -> None:
    path = folder / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    for wrong, named in (({"active": "tiny@2"}, "tiny@1"), ({"active_comparer": "c@1"}, "active_comparer")):
        path.write_text(json.dumps(plain | wrong), encoding="utf-8")
        with pytest.raises(ModelError, match=named):
            Manifest.load(folder)


@pytest.mark.parametrize(("value", "fits"), [(0.0, True), (1.0, True), (-0.1, False), (1.1, False)])
def test_thresholds_of_a_model_lie_from_0_to_1(folder: Path, value: float, fits: bool) -> None:
    change(folder, thresholds=[{"category": "ai_generated", "action": "label", "value": value}])
    if fits:
        assert Manifest.load(folder).active_entry.thresholds[0].value == value
    else:
        with pytest.raises(ModelError, match="it must be 0 to 1"):
            Manifest.load(folder)


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags : fpu sse2 avx512_vnni avx2", True),
        ("flags : fpu avx_vnni", True),
        ("Features : fp asimddp", True),
        ("flags : fpu sse2 avx2 vnni", False),
    ],
)
def test_processors_with_8_bit_products_are_known_by_their_flags(tmp_path: Path, flags: str, has: bool) -> None:
    (tmp_path / "cpuinfo").write_text(flags, encoding="utf-8")
    assert has_8bit_products(tmp_path / "cpuinfo") is has


def test_a_system_that_does_not_describe_its_processor_is_believed_to_have_them(tmp_path: Path) -> None:
    assert has_8bit_products(tmp_path / "none")


def test_a_graph_whose_weights_are_missing_or_altered_is_refused(entry: ModelEntry, folder: Path) -> None:
    from zhentu.detect.entries import WeightsFile

    weights = (WeightsFile("shared.bin", "0" * 64),)
    with pytest.raises(ModelError, match=r"shared\.bin: model file cannot be read"):
        verify_files(folder / entry.file, entry.sha256, weights)
    (folder / "shared.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="file altered"):
        verify_files(folder / entry.file, entry.sha256, weights)
    with pytest.raises(ModelError, match="file altered"):
        verify_files(folder / entry.file, "0" * 64, ())


def test_a_part_that_lies_at_its_border_is_not_settled(folder: Path) -> None:
    """Black gives the tiny model's logits -1 to -5 exactly: a picture is settled below the border, not at it."""
    black = decode(encoded(Image.new("RGB", (64, 64)), "PNG"))
    lines = {category.value: {"slope": 1.0, "intercept": 0.0} for category in CATEGORIES}
    borders = {category.value: -float(k) for k, category in enumerate(CATEGORIES, 1)}
    for moved, looked_at in ((0.0, 3), (1e-6, 0)):
        below = {name: border + moved for name, border in borders.items()}
        change(folder, first_look={"below": below, "calibration": lines})
        assert Detector(Manifest.load(folder).active_entry, folder).detect(black).crops_seen == looked_at


def test_a_prior_moves_odds_as_bayes_has_it() -> None:
    assert at_prior(0.5, 0.5, 0.2) == pytest.approx(0.2)
    assert at_prior(0.8, 0.5, 0.2) == pytest.approx(0.5)  # odds 4 to 1, a quarter as many pictures
    assert at_prior(0.5, 0.2, 0.5) == pytest.approx(0.8)
    assert [at_prior(end, 0.5, 0.01) for end in (0.0, 1.0)] == [0.0, 1.0]
    assert at_prior(0.3, 0.5, 0.5) == 0.3


def test_logits_become_probabilities_however_large() -> None:
    assert sigmoid([0.0, np.log(3), -np.log(3)]).tolist() == pytest.approx([0.5, 0.75, 0.25])
    with np.errstate(all="raise"):
        assert sigmoid([-1e6, 1e6]).tolist() == pytest.approx([0, 1])
    assert log_odds(0.75) == pytest.approx(np.log(3))
    assert Platt(2.0, -np.log(3)).probability([0.0, np.log(3)]).tolist() == pytest.approx([0.25, 0.75])


def test_priors_left_out_are_those_the_model_states(folder: Path) -> None:
    change(folder, prior=0.2, category_prior=0.1)
    entry = Manifest.load(folder).active_entry
    assert entry.stated_prior == dict.fromkeys(CATEGORIES, 0.1) | {Category.AI_GENERATED: 0.2}
    said = verdict(0.5)
    assert entry.read_at(said, {}) is said
    read = entry.read_at(said, {Category.CUTOUT_ARTIFACT: 0.5})
    assert read.scores.cutout_artifact == pytest.approx(0.9)
    assert read.scores.ai_generated == 0.5


SCORES = Scores(0.1, 0.2, 0.3, 0.4, 0.9, 0.9)


@pytest.mark.parametrize(("needed", "points"), [(0.5, True), (0.51, False)])
def test_a_place_stands_out_from_the_difference_on_that_the_model_states(needed: float, points: bool) -> None:
    places = np.full((5, 10, 10), 0.25, np.float32)
    places[:, 2, 3] = 0.75
    heat = heatmaps_of(places, SCORES, needed)[3].grid
    assert heat[2, 3] == pytest.approx(0.4)
    assert heat[9, 9] == pytest.approx(0.0 if points else 0.4)


def test_each_category_has_the_map_of_its_own_score() -> None:
    places = np.full((5, 10, 10), 0.25, np.float32)
    for k in range(5):
        places[k, k, 3] = 0.75
    maps = heatmaps_of(places, SCORES, 0.25)
    assert [each.category for each in maps] == list(CATEGORIES)
    assert [int(each.grid[:, 3].argmax()) for each in maps[:4]] == [0, 1, 2, 3]
    assert [float(each.grid.max()) for each in maps] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.9])


@pytest.mark.parametrize(("size", "drawn"), [((40, 30), (40, 30)), ((3000, 1500), (1024, 512)), ((1025, 1), (1024, 1))])
def test_an_overlay_is_drawn_no_larger_than_a_screen(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    picture = Picture(np.zeros((size[1], size[0], 3), np.uint8), "a" * 64, "PNG", 1)
    shown = overlay(picture, Heatmap(np.zeros((4, 8), np.float32), Category.AI_GENERATED))
    assert (shown.shape[1], shown.shape[0]) == drawn
