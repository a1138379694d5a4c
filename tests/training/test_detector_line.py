"""From pictures to a served model, with a network of random weights: every step and what it must keep."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
import yaml
from smoke import smoke_manifest

from zhentu.detect.detector import Crops, Detector, Seen
from zhentu.detect.locator import Locator
from zhentu.detect.models import Manifest, samples_folder
from zhentu.detect.traces import CELLS, FIGURES
from zhentu.errors import UsageError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Profile
from zhentu_training import crossval, export, features, fit, locate
from zhentu_training.config import load_spec
from zhentu_training.dataset import write_manifest
from zhentu_training.export import assemble, parity
from zhentu_training.features import pictures_of, read_features
from zhentu_training.fit import load_heads
from zhentu_training.model import FeatureEncoder
from zhentu_training.placing import train
from zhentu_training.start import head_of, shipped_calibration

CONFIG = Path("configs/train-smoke.yaml")
SPEC = load_spec(CONFIG)


def call(main: Callable[[], None], *arguments: object) -> None:
    before, sys.argv = sys.argv, ["x", *map(str, arguments)]
    try:
        main()
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with set/, features/, run/ and models/ as the documented commands leave them."""
    root = tmp_path_factory.mktemp("line")
    (root / "set").mkdir()
    manifest = smoke_manifest(root / "set")
    options = ["--manifest", manifest, "--features", root / "features"]
    call(features.main, *options, "--config", CONFIG)
    call(fit.main, *options, "--config", CONFIG, "--run", root / "run")
    call(export.main, "--run", root / "run", "--models", root / "models")
    call(locate.main, *options, "--run", root / "run", "--models", root / "models")
    return root


def test_the_served_model_says_what_torch_says(line: Path) -> None:
    manifest = Manifest.load(line / "models")
    detector = Detector(manifest.active_entry, line / "models")
    assert parity(assemble(line / "run", SPEC), detector, sorted(samples_folder().glob("*.jpg")), SPEC) < 1e-3
    assert detector.verify_golden(samples_folder()) < 1e-4
    verdict = detector.detect(decode((samples_folder() / "genuine_cup.jpg").read_bytes()), with_heatmaps=True)
    assert verdict.scores.forged >= max(verdict.scores.of(category) for category in CATEGORIES)
    assert len({float(heat.grid.max()) for heat in verdict.heatmaps}) > 1


def test_the_locator_is_written_beside_the_models_and_serves_their_heatmaps(line: Path) -> None:
    manifest = Manifest.load(line / "models")
    assert manifest.locator is not None
    assert (manifest.locator.name, manifest.locator.version) == ("zhentu-smoke-places", "0.0.1")
    assert manifest.locator.file in manifest.files
    picture = decode((samples_folder() / "genuine_cup.jpg").read_bytes())
    pointed, plain = (
        Detector(manifest.active_entry, line / "models", locator=locator)
        for locator in (Locator.of(line / "models"), None)
    )
    maps = pointed.locate(picture)
    assert np.abs(maps[0] - maps[3]).max() > 1e-4, "each category has a map of its own"
    drawn, scored = (each.detect(picture, with_heatmaps=True) for each in (pointed, plain))
    assert drawn.scores == scored.scores
    assert {each.grid.shape for each in drawn.heatmaps} == {maps.shape[1:]}


def test_places_are_learnt_from_masks() -> None:
    """Noise on the left in half of the pictures, on the right in the others: the network finds which."""
    rng = np.random.default_rng(3)
    shares = np.zeros((24, CELLS, CELLS), np.float32)
    shares[::2, :, : CELLS // 2] = 1
    shares[1::2, :, CELLS // 2 :] = 1
    traces = rng.normal(0, 0.1, (24, CELLS, CELLS, FIGURES)).astype(np.float32)
    traces[..., 9] += shares
    network = train(traces, shares, np.ones((24, 5), bool), epochs=60, seed=1)
    with torch.inference_mode():
        maps = network(torch.from_numpy(traces)).numpy()
    assert ((maps[:, 0] > 0) == (shares > 0.5)).mean() > 0.95


def test_mirrored_lessons_turn_the_columns_and_not_the_rows() -> None:
    """A network that is taught where the upper half is forged must not learn the lower one from mirrored pictures."""
    shares = np.zeros((16, CELLS, CELLS), np.float32)
    shares[:, : CELLS // 2] = 1
    traces = np.random.default_rng(4).normal(0, 1, (16, CELLS, CELLS, FIGURES)).astype(np.float32)
    network = train(traces, shares, np.ones((16, 5), bool), epochs=60, seed=1)
    with torch.inference_mode():
        maps = network(torch.from_numpy(traces)).numpy()[:, 0]
    assert maps[:, : CELLS // 2].mean() > 0 > maps[:, CELLS // 2 :].mean()


def test_serving_gives_the_logits_that_the_heads_gave_of_the_features(line: Path) -> None:
    """The way of training (features, heads, fusion) and the way of serving (one graph) end at the same probability."""
    entry = Manifest.load(line / "models").active_entry
    path = samples_folder() / "genuine_cup.jpg"
    looked = read_features(line / "features", "native", [str(path)])
    heads, fitted = load_heads(line / "run"), json.loads((line / "run" / "calibration.json").read_text())
    looks = []
    for look in ("whole", "crops"):
        tokens = getattr(SPEC.fit, look).tokens
        looks.append(heads[look].logits(fit.read_tokens(getattr(looked, look), tokens))[0])
    detector = Detector(entry, line / "models")
    served = detector.detect(decode(path.read_bytes())).scores.as_dict()
    parts = (np.stack(looks, 1) * np.array(fitted["fusion"])).astype(np.float32)
    seen = Seen(parts[:, 0], Crops(parts[:, 1], 1))
    assert detector.scores_of(seen).as_dict() == pytest.approx(served, abs=5e-3)


def test_the_manifest_entry_holds_prior_profiles_and_the_balanced_thresholds(line: Path) -> None:
    entry = Manifest.load(line / "models").active_entry
    assert entry.prior == 0.5
    assert set(entry.profiles) == set(Profile)
    assert entry.thresholds == entry.profiles[Profile.BALANCED].thresholds
    careful, strict = entry.profiles[Profile.CAREFUL], entry.profiles[Profile.STRICT]
    assert all(a.value >= b.value for a, b in zip(careful.thresholds, strict.thresholds, strict=True))
    assert entry.training_data.pictures == len({s.path for s in pictures_of([line / "set" / "manifest.csv"])})


def test_a_second_run_looks_at_no_picture_again(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("looked again")

    monkeypatch.setattr(features, "views_on", refuse)
    paths = [sample.path for sample in pictures_of([line / "set" / "manifest.csv"])]
    assert features.extract(paths, "native", line / "features", refuse, SPEC.views) == []  # type: ignore[arg-type]


def test_several_threads_give_the_features_of_one(line: Path, tmp_path: Path) -> None:
    paths = [sample.path for sample in pictures_of([line / "set" / "manifest.csv"])][:6]
    graph = features.encoder_graph(SPEC, tmp_path / "encoder.onnx")
    for workers in (1, 3):
        share, encode = features.Share(workers=workers), features.open_encoder(graph, workers)
        assert features.extract(paths, "native", tmp_path / str(workers), encode, SPEC.views, share) == []
    one, three = (read_features(tmp_path / name, "native", list(map(str, paths))) for name in ("1", "3"))
    assert one.names == three.names
    np.testing.assert_array_equal(one.whole, three.whole)
    np.testing.assert_array_equal(one.crops, three.crops)


def test_a_design_is_judged_in_as_many_assignments_of_folds_as_asked(tmp_path: Path) -> None:
    manifest = smoke_manifest(tmp_path)
    rows = [replace(sample, source=f"{sample.source} {k}") for k, sample in enumerate(pictures_of([manifest]))]
    write_manifest(rows, manifest)  # enough sources for folds that differ
    options = ["--manifest", manifest, "--features", tmp_path / "features", "--config", CONFIG]
    call(features.main, *options)
    (tmp_path / "designs.yaml").write_text("as configured: {}", encoding="utf-8")
    judge = [*options, "--designs", tmp_path / "designs.yaml", "--roads", "native", "--out", tmp_path]
    call(crossval.main, *judge)
    once = pd.read_csv(tmp_path / "crossval.csv")
    kept = len(list((tmp_path / "kept").glob("whole-*.npy")))
    call(crossval.main, *judge, "--assignments", "2")
    twice = pd.read_csv(tmp_path / "crossval.csv")
    assert list(twice["assignment"]) == [1, 2]
    pd.testing.assert_frame_equal(twice[:1], once)
    assert len(list((tmp_path / "kept").glob("whole-*.npy"))) == 2 * kept, "the second divides the sources otherwise"
    with pytest.raises(SystemExit, match="1 alone with --shards"):
        call(crossval.main, *judge, "--assignments", "2", "--shards", tmp_path)
    with pytest.raises(SystemExit, match="0 assignments of sources to folds: 1 at least"):
        call(crossval.main, *judge, "--assignments", "0")


def test_held_out_scores_are_the_mean_over_the_assignments_of_the_config(line: Path, tmp_path: Path) -> None:
    manifest = smoke_manifest(tmp_path)
    rows = [replace(sample, source=f"{sample.source} {k}") for k, sample in enumerate(pictures_of([manifest]))]
    write_manifest(rows, manifest)  # enough sources for folds that differ
    options = ["--manifest", manifest, "--features", tmp_path / "features"]
    call(features.main, *options, "--config", CONFIG)
    content = {**yaml.safe_load(CONFIG.read_text(encoding="utf-8")), "exit": None}  # a third head would be kept too
    config, said = tmp_path / "train.yaml", {}
    for count in (1, 2):
        run = tmp_path / f"run {count}"
        config.write_text(yaml.safe_dump({**content, "assignments": count}), encoding="utf-8")
        call(fit.main, *options, "--config", config, "--run", run)
        with np.load(run / fit.HELD_OUT) as held:
            said[count] = dict(held)
    first, both = (np.load(path) for path in _whole_heads(tmp_path / "run 1", tmp_path / "run 2"))
    np.testing.assert_array_equal(said[1]["looks"][:, 0], first)
    np.testing.assert_allclose(said[2]["looks"][:, 0], (first + both) / 2, rtol=1e-5)
    assert not np.allclose(first, both), "the second divides the sources otherwise"
    np.testing.assert_array_equal(said[1]["fold"], said[2]["fold"])
    config.write_text(yaml.safe_dump({**content, "assignments": 0}), encoding="utf-8")
    with pytest.raises(SystemExit, match="assignments: one is the least"):
        call(fit.main, *options, "--config", config, "--run", run)


def _whole_heads(one: Path, two: Path) -> tuple[Path, Path]:
    """Where fits kept what heads of the whole look say: in the only assignment of the first, and in the other."""
    kept = [{path.name: path for path in (run / "kept").glob("whole-*.npy")} for run in (one, two)]
    (first,) = kept[0].values()
    (other,) = (path for name, path in kept[1].items() if name not in kept[0])
    return first, other


def test_heads_read_back_from_the_graph_are_those_that_were_fitted(line: Path) -> None:
    fitted = load_heads(line / "run")
    for look in ("whole", "crops"):
        read = head_of(line / "models", look, SPEC)
        np.testing.assert_allclose(read.weight, fitted[look].weight, atol=1e-6)
        np.testing.assert_allclose(read.bias, fitted[look].bias, atol=1e-6)
        assert (read.deep is None) == (fitted[look].deep is None)
        for ours, theirs in zip(read.deep or (), fitted[look].deep or (), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_exit_read_back_from_the_graph_is_the_one_that_was_fitted(line: Path) -> None:
    """The graph holds the early head as a part of the logits; read back it says the log-odds that it was fitted to."""
    fitted, kept = load_heads(line / "run")["early"], json.loads((line / "run" / "calibration.json").read_text())
    slope, intercept = (np.array(kept["exit"][name]) for name in ("slope", "intercept"))
    read, x = head_of(line / "models", "early", SPEC), np.random.default_rng(1).normal(size=(9, fitted.weight.shape[1]))
    np.testing.assert_allclose(read.logits(x), fitted.logits(x) * slope + intercept, atol=1e-4)
    shipped = shipped_calibration(line / "models")["exit"]
    np.testing.assert_allclose(shipped["below"], kept["exit"]["below"], rtol=1e-5)
    assert [row["pictures"] for row in kept["exit"]["figures"]] == ["genuine", "AI-made"]


def test_a_model_of_other_tokens_cannot_be_tuned_on(line: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.read_text().replace("class_tokens: [1, 2]", "class_tokens: [1]"))
    with pytest.raises(UsageError, match="tokens it was trained with"):
        head_of(line / "models", "whole", load_spec(other))
    with pytest.raises(UsageError, match="not a models folder"):
        head_of(tmp_path, "whole", SPEC)


def test_features_are_the_same_alone_and_in_a_batch() -> None:
    encoder = FeatureEncoder(SPEC.backbone).eval()
    views = torch.randint(0, 256, (3, 160, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together, alone = encoder(views), encoder(views[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)
    assert together.shape == (3, SPEC.backbone.depth, 3, encoder.backbone.embed_dim)


def test_the_graph_holds_one_encoder(line: Path) -> None:
    graph = onnx.load(str(line / "models" / Manifest.load(line / "models").active_entry.file)).graph
    norms = [node for node in graph.node if node.op_type == "LayerNormalization"]
    assert len(norms) <= 2 * SPEC.backbone.depth + 1
