from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zhentu.detect.models import samples_folder
from zhentu.types import CATEGORIES, Category
from zhentu_training import probe
from zhentu_training.config import ProbeSpec, load_spec
from zhentu_training.dataset import Sample
from zhentu_training.model import TokenBranch, build_branch

SPEC = load_spec(Path("configs/train-smoke.yaml"))


def sample(name: str, labels: frozenset[Category] = frozenset(), source: str = "own", pair: str = "") -> Sample:
    folder = samples_folder()
    return Sample(
        folder / name, "train", source, name, "", "", "", labels, frozenset(CATEGORIES), None,
        folder / pair if pair else None, "effect.glow" if pair else "",
    )  # fmt: skip


GENUINE = sample("genuine_cup.jpg")
REAL_AI = sample("genuine_cat.jpg", frozenset({Category.AI_GENERATED}), "gallery")
FORGED = sample("forged_exaggerated_effect.jpg", frozenset({Category.EXAGGERATED_EFFECT}), pair="genuine_cup.jpg")


def test_both_pictures_of_a_pair_go_through_one_chain_and_the_clean_one_is_genuine() -> None:
    draws = probe.draws_of([GENUINE, REAL_AI, FORGED], ProbeSpec(genuine=1, real_ai=2, pairs=1), seed=3)
    assert [(d.sample, d.clean) for d in draws] == [(0, False), (1, False), (1, False), (2, False), (2, True)]
    assert draws[3].chain_seed == draws[4].chain_seed
    assert draws[1].chain_seed != draws[2].chain_seed
    targets, _ = probe.targets_of([GENUINE, REAL_AI, FORGED], draws)
    assert targets[3].tolist() == [0, 1, 0, 0, 0, 1]
    assert targets[4].sum() == 0


def test_real_ai_pictures_have_their_share_of_the_weight_however_few() -> None:
    samples = [GENUINE, REAL_AI, *[FORGED] * 9]
    spec = ProbeSpec(genuine=1, real_ai=1, pairs=1, real_share=0.7)
    draws = probe.draws_of(samples, spec, seed=3)
    weights = probe.weights_of(samples, draws, spec)
    forged = np.array([not d.clean and samples[d.sample].forged for d in draws])
    assert weights[forged].sum() == pytest.approx(1.0)
    assert weights[1] == pytest.approx(0.7)
    assert weights[~forged].sum() == pytest.approx(1.0)


def test_a_head_finds_the_direction_that_separates_and_no_label_is_learnt_where_unknown() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((400, 20)).astype(np.float16)
    targets = np.zeros((400, 6), np.float32)
    targets[:, 5] = features[:, 3] > 0
    targets[:, 0] = features[:, 4] > 0
    known = np.ones_like(targets)
    known[:, 0] = targets[:, 0] * 0
    weight, bias, history = probe.fit_head(features, targets, known, np.ones(400), ridge=0.01)
    assert np.abs(weight[5]).argmax() == 3
    assert np.abs(weight[0]).max() < 1e-3
    assert history[-1][5] < 0.3 < np.log(2)
    logits = features.astype(np.float32) @ weight.T + bias
    assert ((logits[:, 5] > 0) == (targets[:, 5] > 0)).mean() > 0.95


def test_a_killed_extraction_goes_on_with_the_shards_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branch = build_branch(SPEC.whole.backbone).eval()
    assert isinstance(branch, TokenBranch)
    monkeypatch.setattr(probe, "_SHARD", 2)
    samples = [GENUINE, REAL_AI, FORGED]
    draws = probe.draws_of(samples, ProbeSpec(), seed=3)
    whole = probe.extract(branch, SPEC, samples, draws, tmp_path / "features")
    assert whole.shape == (len(draws), branch.summary_head.in_features + branch.patch_head.in_features)
    written = sorted((tmp_path / "features").glob("*.npy"))
    written[0].unlink()
    kept = {path: path.stat().st_mtime_ns for path in written[1:]}
    again = probe.extract(branch, SPEC, samples, draws, tmp_path / "features")
    np.testing.assert_allclose(again.astype(np.float32), whole.astype(np.float32), atol=2e-2)
    assert {path: path.stat().st_mtime_ns for path in written[1:]} == kept


def test_the_mean_of_the_map_is_the_logit_of_the_features() -> None:
    torch.manual_seed(1)
    branch = build_branch(SPEC.whole.backbone).eval()
    assert isinstance(branch, TokenBranch)
    views = torch.randint(0, 255, (2, 160, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = branch.read(branch.features(views))
        torch.testing.assert_close(branch(views).mean((2, 3)), expected, rtol=1e-4, atol=1e-5)


def test_an_anchored_head_keeps_what_the_pictures_say_nothing_about() -> None:
    rng = np.random.default_rng(2)
    features = rng.standard_normal((200, 12)).astype(np.float16)
    features[:, 7] = 0  # never seen at work
    targets = np.zeros((200, 6), np.float32)
    targets[:, 5] = features[:, 3] > 0
    anchor = rng.standard_normal((6, 12)).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    weight, bias, _ = probe.fit_head(features, targets, np.ones_like(targets), np.ones(200), 0.05, anchor)
    np.testing.assert_allclose(weight[:5], anchor[0][:5], atol=1e-4)  # one class alone: nothing to learn
    np.testing.assert_allclose(bias[:5], anchor[1][:5], atol=1e-4)
    assert weight[5, 7] == pytest.approx(anchor[0][5, 7], abs=1e-3)
    assert weight[5, 3] > anchor[0][5, 3] + 0.3


def test_pictures_that_only_remind_hold_a_head_against_their_own_labels() -> None:
    rng = np.random.default_rng(4)
    features = rng.standard_normal((300, 10)).astype(np.float16)
    targets = np.zeros((300, 6), np.float32)
    targets[:, 5] = rng.random(300) > 0.5  # labels that could only be learnt by heart
    new = np.arange(300) >= 260
    features[new, 2] += 4 * targets[new, 5]  # what the new ones show is really so
    anchor = rng.standard_normal((6, 10)).astype(np.float32), np.zeros(6, np.float32)

    def moved(reminded: np.ndarray | None) -> np.ndarray:
        known, weights = np.ones_like(targets), np.ones(300)
        weight, _, _ = probe.fit_head(features, targets, known, weights, 0.01, anchor, reminded)
        return np.abs(weight[5] - anchor[0][5])

    held, learnt = moved(~new), moved(None)
    assert moved(np.ones(300, bool)).max() < 1e-3
    assert held.argmax() == 2
    assert np.delete(held, 2).sum() < np.delete(learnt, 2).sum()
