from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, photo
from PIL import Image

from zhentu.detect.detector import Detector
from zhentu.detect.heatmap import combine, render
from zhentu.detect.models import Manifest, ModelEntry
from zhentu.detect.views import Box
from zhentu.errors import ModelError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Picture


@pytest.fixture
def folder(entry: ModelEntry, tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def picture() -> Picture:
    return decode(encoded(photo((120, 80)), "PNG"))


def change(folder: Path, **values: object) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    content["models"][0].update(values)
    (folder / "manifest.json").write_text(json.dumps(content))


def test_brighter_pictures_score_higher_in_the_tiny_model(entry: ModelEntry, folder: Path) -> None:
    detector = Detector(entry, folder)
    dark, bright = (decode(encoded(Image.new("RGB", (64, 64), (v, v, v)), "PNG")) for v in (40, 220))
    low, high = detector.detect(dark).scores, detector.detect(bright).scores
    assert low.forged < 0.1 < 0.9 < high.forged
    assert low.material_mismatch == pytest.approx(1 / (1 + np.exp(-(40 / 127.5 - 1))), abs=1e-4)


def test_calibration_stretches_the_logit(folder: Path, picture: Picture) -> None:
    plain = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.forged
    content = json.loads((folder / "manifest.json").read_text())
    content["models"][0]["calibration"]["forged"] = {"slope": 1.0, "intercept": 2.0}
    (folder / "manifest.json").write_text(json.dumps(content))
    raised = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.forged
    assert np.log(raised / (1 - raised)) - np.log(plain / (1 - plain)) == pytest.approx(2.0, abs=1e-3)


def test_an_altered_file_is_refused(entry: ModelEntry, folder: Path) -> None:
    path = folder / entry.file
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="file altered"):
        Detector(entry, folder)


def test_views_that_do_not_fit_the_graph_are_refused(folder: Path, entry: ModelEntry) -> None:
    change(folder, views={"whole_size": 48, "crop_size": 16, "crop_count": 3})
    with pytest.raises(ModelError, match="48x48x3"):
        Detector(Manifest.load(folder).active_entry, folder)


def test_golden_scores_are_checked(folder: Path, picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "sample.png").write_bytes(encoded(photo((120, 80)), "PNG"))
    scores = Detector(Manifest.load(folder).active_entry, folder).detect(picture).scores.as_dict()
    change(folder, golden=[{"picture": "sample.png", "scores": scores}])
    assert Detector(Manifest.load(folder).active_entry, folder).verify_golden(tmp_path) < 1e-6
    change(folder, golden=[{"picture": "sample.png", "scores": scores | {"forged": scores["forged"] - 0.02}}])
    with pytest.raises(ModelError, match="forged"):
        Detector(Manifest.load(folder).active_entry, folder).verify_golden(tmp_path)


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


def test_an_unknown_model_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(ModelError, match="tiny@1"):
        Manifest.load(folder).entry("other")


def test_heat_is_high_where_the_crop_saw_something() -> None:
    whole, crops = np.zeros((5, 4, 4)), np.ones((1, 5, 2, 2))
    heatmap = combine(whole, crops, (Box(0, 0, 50, 50),), 100, 100)[0]
    assert heatmap.grid[5, 5] == pytest.approx(0.5)
    assert heatmap.grid[40, 40] == 0.0


def test_heatmaps_cover_every_category_and_render_as_png(entry: ModelEntry, folder: Path, picture: Picture) -> None:
    heatmaps = Detector(entry, folder).detect(picture, with_heatmaps=True).heatmaps
    assert [each.category for each in heatmaps] == list(CATEGORIES)
    assert decode(render(picture, heatmaps[0])).width == picture.width
