from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zhentu.detect.calibration import Platt
from zhentu.detect.compare import Comparer
from zhentu.detect.models import Manifest, TrainingData, models_folder, samples_folder
from zhentu.errors import ModelError, UsageError
from zhentu.intake.decode import decode
from zhentu_training.compare import pairs
from zhentu_training.compare.export import export
from zhentu_training.compare.model import FIGURES, Comparison
from zhentu_training.compare.train import calibrated, report, review_threshold
from zhentu_training.export import add_to_manifest
from zhentu_training.forge.base import Materials
from zhentu_training.model import BackboneSpec

TINY = BackboneSpec("test_vit", "none", depth=6)


@pytest.fixture(scope="module")
def goods() -> pairs.Goods:
    matte = np.zeros((240, 240), np.float32)
    cv2.ellipse(matte, (120, 120), (100, 80), 0, 0, 360, 1.0, -1)
    return pairs.Goods("cup", np.ascontiguousarray(data.coffee()[80:320, 160:400]), matte, "train")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with a comparison of random weights."""
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("models")
    manifest = Manifest.load(models_folder())
    add_to_manifest(folder, manifest.active_entry)
    model = Comparison(TINY, blocks=(1, 3, 5)).eval()
    export(model, Platt(1.0, 0.0), 0.5, TrainingData("d", 1, 1), "0.0.1", "2026-11-24", folder)
    return folder


def test_pairs_repeat_bit_for_bit_and_hold_matches_and_mismatches(goods: pairs.Goods) -> None:
    other = pairs.Goods("cat", np.ascontiguousarray(data.chelsea()[30:270, 100:340]), goods.matte, "train")
    views, made = pairs.make_pairs([goods, other], [1, 0], Materials(), seed=5)
    again, _ = pairs.make_pairs([goods, other], [1, 0], Materials(), seed=5)
    assert all(np.array_equal(a, b) for a, b in zip(views, again, strict=True))
    kinds = [pair.kind for pair in made if pair.product == "cup"]
    assert kinds.count("match") == 2
    assert {"recoloured", "look-alike"} < set(kinds)
    assert all(pair.mismatch == (pair.kind != "match") for pair in made)


def test_another_colour_is_another_colour_also_for_grey_goods(goods: pairs.Goods) -> None:
    grey = np.repeat(cv2.cvtColor(goods.rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    for rgb in (goods.rgb, grey):
        changed = pairs.recoloured(rgb, np.random.default_rng(3))
        assert np.abs(changed.astype(int) - rgb).mean() > 12


def test_an_untrusted_matte_gives_no_goods(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((200, 200, 3), 128, np.uint8))
    assert pairs.goods_of(tmp_path / "blank.png", "train") is None


def test_the_same_view_is_more_alike_than_another_and_figures_are_finite(goods: pairs.Goods) -> None:
    torch.manual_seed(4)
    model = Comparison(TINY, blocks=(1, 3, 5)).eval()
    cup = cv2.resize(goods.rgb, (160, 160))
    cat = cv2.resize(data.chelsea(), (160, 160))
    with torch.inference_mode():
        logits, likeness, places = model(torch.from_numpy(np.stack([cup, cup, cat])))
    assert logits.shape == (2,)
    assert places.shape == (2, 10, 10)
    assert likeness[0] > 0.999 > likeness[1]
    assert torch.isfinite(logits).all()
    assert model.mean.shape == (FIGURES,)


def test_calibration_and_threshold_keep_their_promise_on_matches() -> None:
    rng = np.random.default_rng(2)
    mismatch = np.arange(3000) % 2 == 1
    logits = rng.standard_normal(3000) + 3.0 * mismatch
    platt = calibrated(logits, mismatch)
    probability = 1 / (1 + np.exp(-(platt.slope * logits + platt.intercept)))
    assert probability[mismatch].mean() == pytest.approx(1 - probability[~mismatch].mean(), abs=0.02)
    threshold = review_threshold(probability, mismatch)
    assert (probability[~mismatch] >= threshold).mean() <= 0.01
    kinds = [pairs.Pair(0, 0, "recoloured" if wrong else "match", "dev", "p") for wrong in mismatch]
    table = report(probability, kinds, threshold).set_index("kind")
    assert 0.97 < float(table.loc["all", "AUC"]) < 0.999


def test_the_exported_comparison_answers_by_the_most_similar_reference(exported: Path) -> None:
    entry = Manifest.load(exported).comparer
    assert entry is not None
    comparer = Comparer(entry, exported)
    assert comparer.verify_golden(samples_folder()) < 1e-6
    cup, cat = (decode((samples_folder() / f"genuine_{name}.jpg").read_bytes()) for name in ("cup", "cat"))
    alone = [comparer.compare(cup, [each]).score for each in (cup, cat)]
    both = comparer.compare(cup, [cat, cup])
    assert both.score == pytest.approx(min(alone), abs=1e-5)
    assert both.reference_sha256 == (cup, cat)[int(np.argmin(alone))].sha256
    assert both.difference is not None
    assert both.difference.grid.shape == (10, 10)


def test_no_references_too_many_and_altered_files_are_named(exported: Path, tmp_path: Path) -> None:
    entry = Manifest.load(exported).comparer
    assert entry is not None
    cup = decode((samples_folder() / "genuine_cup.jpg").read_bytes())
    for references in ([], [cup] * 17):
        with pytest.raises(UsageError, match="1 to 16"):
            Comparer(entry, exported).compare(cup, references)
    (tmp_path / entry.file).write_bytes(b"other")
    with pytest.raises(ModelError, match="altered"):
        Comparer(entry, tmp_path).compare(cup, [cup])
