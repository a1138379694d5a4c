from __future__ import annotations

import hashlib
import json
import math
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import encoded, photo
from fakes import change_manifest as change
from fakes import profiles, verdict
from PIL import Image

from zhentu.detect.calibration import any_of
from zhentu.detect.detector import Crops, Detector, Seen
from zhentu.detect.entries import ModelEntry
from zhentu.detect.heatmap import heatmaps_of, overlay, render
from zhentu.detect.models import Manifest, models_folder
from zhentu.errors import ModelError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Action, Category, Heatmap, Picture, Profile, Scores


@pytest.fixture
def folder(entry: ModelEntry, tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def picture() -> Picture:
    return decode(encoded(photo((120, 80)), "PNG"))


def test_brighter_pictures_score_higher_in_the_tiny_model(entry: ModelEntry, folder: Path) -> None:
    detector = Detector(entry, folder)
    dark, bright = (decode(encoded(Image.new("RGB", (64, 64), (v, v, v)), "PNG")) for v in (40, 220))
    low, high = detector.detect(dark).scores, detector.detect(bright).scores
    assert all(low.of(each) < high.of(each) for each in CATEGORIES)
    assert low.forged < high.forged
    assert low.material_mismatch == pytest.approx(1 / (1 + np.exp(-(40 / 127.5 - 1))), abs=1e-4)


def test_calibration_stretches_the_logit(folder: Path, picture: Picture) -> None:
    plain = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.ai_generated
    content = json.loads((folder / "manifest.json").read_text())
    content["models"][0]["calibration"]["ai_generated"] = {"slope": 1.0, "intercept": 2.0}
    (folder / "manifest.json").write_text(json.dumps(content))
    raised = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.ai_generated
    assert np.log(raised / (1 - raised)) - np.log(plain / (1 - plain)) == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize("logits", [[-4, 1, 0, 2, -9], [3, -3, -3, -3, -3], [-5, -5, -5, -5, -4.9]])
def test_forged_is_that_any_of_the_five_holds(entry: ModelEntry, folder: Path, logits: list[float]) -> None:
    halves = np.array(logits, np.float32) / 2
    scores = Detector(entry, folder).scores_of(Seen(halves, Crops(halves, 1)))
    five = [scores.of(category) for category in CATEGORIES]
    assert max(five) == pytest.approx(1 / (1 + np.exp(-max(logits))))
    assert scores.forged == pytest.approx(1 - math.prod(1 - p for p in five))
    assert scores.forged >= max(five)


def test_one_of_several_is_never_less_likely_than_the_likeliest() -> None:
    alone = np.eye(9) * np.linspace(0.1, 0.9, 9)[:, None]  # 1 - (1 - 0.1) is a little less than 0.1
    assert (any_of(alone) >= alone.max(1)).all()
    assert any_of([[0.5, 0.5], [0.0, 1.0]]) == pytest.approx([0.75, 1.0])


def settling(folder: Path, below: float, intercept: float = 0.5) -> Detector:
    """A detector whose first look settles pictures when every part of the logits is under `below`."""
    lines = {category.value: {"slope": 1.0, "intercept": intercept} for category in CATEGORIES}
    change(folder, first_look={"below": {category.value: below for category in CATEGORIES}, "calibration": lines})
    return Detector(Manifest.load(folder).active_entry, folder)


def test_the_first_look_settles_a_picture_when_all_five_are_low_enough(folder: Path) -> None:
    detector = settling(folder, below=0.0)
    dark, bright = (decode(encoded(Image.new("RGB", (64, 64), (v, v, v)), "PNG")) for v in (40, 220))
    settled, seen = detector.detect(dark), detector.detect(bright)
    assert (settled.crops_seen, seen.crops_seen) == (0, 3)
    # Read by its own line: the tiny model's logits are k times the brightness around 0.
    expected = 1 / (1 + np.exp(-(40 / 127.5 - 1 + 0.5)))
    assert settled.scores.material_mismatch == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("open_one", list(CATEGORIES))
def test_one_output_that_is_not_low_enough_asks_for_the_closer_look(folder: Path, open_one: Category) -> None:
    lines = {category.value: {"slope": 1.0, "intercept": 0.0} for category in CATEGORIES}
    below = {category.value: -9.0 if category is open_one else 9.0 for category in CATEGORIES}
    change(folder, first_look={"below": below, "calibration": lines})
    grey = decode(encoded(Image.new("RGB", (64, 64), (120, 120, 120)), "PNG"))
    assert Detector(Manifest.load(folder).active_entry, folder).detect(grey).crops_seen == 3


def test_a_settled_picture_has_the_same_scores_with_heatmaps(folder: Path, picture: Picture) -> None:
    detector = settling(folder, below=9.0)
    plain, shown = detector.detect(picture), detector.detect(picture, with_heatmaps=True)
    assert plain.crops_seen == shown.crops_seen == 0
    assert plain.scores == shown.scores
    assert len(shown.heatmaps) == len(CATEGORIES)
    for each in shown.heatmaps:  # there is no locator, so no place is pointed at
        assert each.grid.min() == each.grid.max() == pytest.approx(shown.scores.of(each.category))


def test_an_altered_file_is_refused(entry: ModelEntry, folder: Path) -> None:
    path = folder / entry.file
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="file altered"):
        Detector(entry, folder)


def test_views_that_do_not_fit_the_graph_are_refused(folder: Path, entry: ModelEntry) -> None:
    graph = onnx.load(str(folder / entry.file))
    for size in graph.graph.input[0].type.tensor_type.shape.dim[1:3]:
        size.dim_value = 32
    content = graph.SerializeToString()
    (folder / entry.file).write_bytes(content)
    views = {"whole_size": 48, "crop_size": 32, "crop_count": 3}
    change(folder, views=views, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match="48 pixels"):
        Detector(Manifest.load(folder).active_entry, folder)


def test_golden_scores_are_checked(folder: Path, picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "sample.png").write_bytes(encoded(photo((120, 80)), "PNG"))
    scores = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.as_dict()
    change(folder, golden=[{"picture": "sample.png", "scores": scores}])
    assert Detector(Manifest.load(folder).active_entry, folder).verify_golden(tmp_path) < 1e-6
    change(folder, golden=[{"picture": "sample.png", "scores": scores | {"forged": scores["forged"] - 0.02}}])
    with pytest.raises(ModelError, match="forged"):
        Detector(Manifest.load(folder).active_entry, folder).verify_golden(tmp_path)


@pytest.mark.parametrize(("most", "looked_at"), [(0, 19), (5, 5), (40, 19)])
def test_so_many_golden_pictures_are_looked_at_from_first_to_last(
    folder: Path, picture: Picture, tmp_path: Path, most: int, looked_at: int
) -> None:
    (tmp_path / "sample.png").write_bytes(encoded(photo((120, 80)), "PNG"))
    scores = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.as_dict()
    wrong = scores | {"forged": scores["forged"] - 0.02}
    caught = 0
    for place in range(19):
        golden = [{"picture": "sample.png", "scores": wrong if at == place else scores} for at in range(19)]
        change(folder, golden=golden)
        try:
            Detector(Manifest.load(folder).active_entry, folder).verify_golden(tmp_path, most)
        except ModelError:
            caught += 1
    assert caught == looked_at


def test_one_detector_serves_several_threads(entry: ModelEntry, folder: Path, picture: Picture) -> None:
    detector = Detector(entry, folder)
    expected, seen = detector.detect(picture).scores, []
    threads = [threading.Thread(target=lambda: seen.append(detector.detect(picture).scores)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 8


def test_a_manifest_reports_every_problem(folder: Path) -> None:
    change(folder, sha256="short", thresholds={"ai_generated.label": 3}, extra=1)
    with pytest.raises(ModelError) as caught:
        Manifest.load(folder)
    assert all(word in str(caught.value) for word in ("sha256", "thresholds", "extra"))


def test_a_graph_of_six_logits_is_refused_in_words(entry: ModelEntry, folder: Path) -> None:
    graph = onnx.load(str(folder / entry.file))
    graph.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 6
    for each in graph.graph.initializer:
        if each.name == "five":
            each.CopyFrom(onnx.numpy_helper.from_array(np.ones(6, np.float32), each.name))
    content = graph.SerializeToString()
    (folder / entry.file).write_bytes(content)
    change(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match="another version of zhentu"):
        Detector(Manifest.load(folder).active_entry, folder)


def test_a_graph_that_says_more_is_served_and_one_that_says_less_is_refused(
    entry: ModelEntry, folder: Path, picture: Picture
) -> None:
    """Graphs of earlier versions also gave places."""

    def written(graph: onnx.ModelProto) -> Detector:
        content = graph.SerializeToString()
        (folder / entry.file).write_bytes(content)
        change(folder, sha256=hashlib.sha256(content).hexdigest())
        return Detector(Manifest.load(folder).active_entry, folder)

    graph = onnx.load(str(folder / entry.file))
    expected = Detector(entry, folder).detect(picture).scores
    graph.graph.output.insert(1, onnx.helper.make_tensor_value_info("scaled", onnx.TensorProto.FLOAT, None))
    assert written(graph).detect(picture).scores == expected
    del graph.graph.output[2]
    with pytest.raises(ModelError, match=r"gives \('whole_logits', 'scaled'\); expected"):
        written(graph)


def test_another_prior_moves_scores_by_its_odds(folder: Path, entry: ModelEntry, picture: Picture) -> None:
    stated = Detector(entry, folder).detect(picture)
    read = entry.read_at(stated, {Category.AI_GENERATED: 0.05})
    odds = [verdict.scores.ai_generated / (1 - verdict.scores.ai_generated) for verdict in (stated, read)]
    assert odds[1] / odds[0] == pytest.approx(0.05 / 0.95)
    assert read.scores.cutout_artifact == stated.scores.cutout_artifact
    assert read.scores.forged == pytest.approx(1 - math.prod(1 - read.scores.of(each) for each in CATEGORIES))
    assert read.scores.forged < stated.scores.forged


def test_a_verdict_that_was_read_at_one_prior_can_be_read_at_another(entry: ModelEntry) -> None:
    stated = verdict(0.3)
    there = entry.read_at(stated, {Category.AI_GENERATED: 0.02, Category.SCENE_DISTORTION: 0.9})
    elsewhere = entry.read_at(there, {Category.AI_GENERATED: 0.2})
    assert elsewhere.scores.as_dict() == pytest.approx(
        entry.read_at(stated, {Category.AI_GENERATED: 0.2}).scores.as_dict()
    )
    back = entry.read_at(there, {})
    assert [back.scores.of(each) for each in CATEGORIES] == pytest.approx([0.3] * 5)


@pytest.mark.parametrize("prior", [1e-4, 0.01, 0.5, 0.999])
def test_the_same_pictures_pass_shipped_thresholds_whatever_the_prior(entry: ModelEntry, prior: float) -> None:
    everywhere = dict.fromkeys(CATEGORIES, prior)
    for score in (0.0, 1e-5, 0.7999, 0.8, 0.8001, 0.9, 0.99999, 1.0):
        (shipped,) = (each for each in entry.thresholds if each.action is Action.LABEL)
        (held,) = (each for each in entry.thresholds_for(Profile.STRICT, everywhere) if each.action is Action.LABEL)
        read = entry.read_at(verdict(score), everywhere)
        assert (read.scores.ai_generated >= held.value) == (score >= shipped.value)


def test_thresholds_are_those_of_the_profile(folder: Path) -> None:
    change(folder, profiles=profiles({"careful": 0.95, "balanced": 0.8, "strict": 0.6}))
    entry = Manifest.load(folder).active_entry
    found = [entry.thresholds_for(profile, {})[-1] for profile in Profile]
    assert [(each.value, each.profile) for each in found] == list(zip((0.95, 0.8, 0.6), Profile, strict=True))


def test_a_model_without_profiles_keeps_its_own_thresholds(entry: ModelEntry) -> None:
    assert entry.thresholds_for(Profile.STRICT, {}) == entry.thresholds
    assert {each.profile for each in entry.thresholds_for(Profile.STRICT, {})} == {None}


def test_a_manifest_with_some_profiles_alone_is_refused(folder: Path) -> None:
    change(folder, profiles=profiles({"balanced": 0.8}))
    with pytest.raises(ModelError, match="not careful, strict"):
        Manifest.load(folder)


def test_an_unknown_model_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(ModelError, match="tiny@1"):
        Manifest.load(folder).entry("other")


def scores_of(value: float) -> Scores:
    return Scores(0.1, 0.1, 0.1, 0.1, value, value)


def test_a_place_that_stands_out_is_pointed_at() -> None:
    places = np.full((5, 10, 10), 0.2, np.float32)
    places[:4, 2, 3] = 0.7
    places[4, 5, 6] = 0.7
    heats = [each.grid for each in heatmaps_of(places, scores_of(0.4), stands_out=0.25)]
    assert heats[0][2, 3] == pytest.approx(0.1)
    assert heats[4][5, 6] == pytest.approx(0.4)
    assert [float(heat.sum()) for heat in heats] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.4])


def test_the_map_of_a_picture_that_a_generator_made_says_everywhere() -> None:
    """Rather AI-made than not: then the whole of it is, and no place is to be pointed at."""
    places = np.full((5, 10, 10), 0.2, np.float32)
    places[:, 2, 3] = 0.9
    material, *_, made = heatmaps_of(places, scores_of(0.5), stands_out=0.25)
    assert made.grid.min() == made.grid.max() == pytest.approx(0.5)
    assert material.grid.sum() == pytest.approx(0.1), "the other categories still point"


def test_where_no_place_stands_out_the_map_says_everywhere() -> None:
    places = np.full((5, 10, 10), 0.6, np.float32)
    places[:, 2, 3] = 0.7
    heat = heatmaps_of(places, scores_of(0.9), stands_out=0.25)[0].grid
    assert heat.min() == heat.max() == pytest.approx(0.1)


def test_the_higher_the_score_the_less_of_the_picture_shows_through(picture: Picture) -> None:
    """Colours and their covering grow together; a score near nothing leaves every pixel as it is."""
    off = []
    for score in (0.04, 0.3, 0.6, 1.0):
        drawn = overlay(picture, Heatmap(np.full((8, 12), score, np.float32), Category.CUTOUT_ARTIFACT))
        off.append(float(np.abs(drawn.astype(int) - picture.rgb).mean()))
    assert off[0] == 0
    assert off == sorted(off)
    assert off[3] > 1.5 * off[1] > 0


def test_the_picture_shows_through_where_nothing_is_seen(picture: Picture) -> None:
    grid = np.zeros((8, 12), np.float32)
    assert (overlay(picture, Heatmap(grid, Category.AI_GENERATED)) == picture.rgb).all()
    grid[:, :3] = 1.0
    drawn = overlay(picture, Heatmap(grid, Category.AI_GENERATED))
    assert (drawn[:, -20:] == picture.rgb[:, -20:]).all()
    assert (drawn[:, :10] != picture.rgb[:, :10]).any()


def test_everywhere_is_a_tint_through_which_the_picture_is_seen(picture: Picture) -> None:
    """A map that names no place would cover all; its grid is even, and so fainter than that of a place."""
    even, place = np.full((8, 12), 0.9, np.float32), np.full((8, 12), 0.9, np.float32)
    place[0, 0] = 0.0
    tint, cover = (overlay(picture, Heatmap(grid, Category.AI_GENERATED))[-20:, -20:] for grid in (even, place))
    shown = picture.rgb[-20:, -20:].astype(int)
    assert 0 < np.abs(tint - shown).mean() < 0.6 * np.abs(cover - shown).mean()


def test_heatmaps_cover_every_category_and_render_as_png(entry: ModelEntry, folder: Path, picture: Picture) -> None:
    heatmaps = Detector(entry, folder).detect(picture, with_heatmaps=True).heatmaps
    assert [each.category for each in heatmaps] == list(CATEGORIES)
    assert decode(render(picture, heatmaps[0])).width == picture.width


def test_a_manifest_names_every_file_of_the_shipped_folder() -> None:
    folder = models_folder()
    listed = Manifest.load(folder).files
    assert all((folder / name).is_file() for name in listed)
    big = {path.name for path in folder.iterdir() if path.suffix in (".onnx", ".bin")}
    assert big == set(listed)
