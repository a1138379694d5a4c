from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from smoke import genuine, smoke_samples

from zhentu.detect.models import samples_folder
from zhentu.errors import ConfigError
from zhentu.types import CATEGORIES, Action, Category
from zhentu_training.calibrate import Sources, fit_fusion, held_out, profile_points, untaught_of
from zhentu_training.config import LookSpec, Risk, load_designs, load_spec
from zhentu_training.dataset import EDIT, Origin, Sample
from zhentu_training.duplicates import same_looks, without_duplicates
from zhentu_training.figures import (
    Judged,
    alike,
    auc,
    balanced_accuracy,
    calibration_error,
    quantile,
    recall,
    resampled,
)
from zhentu_training.folds import folds_of, groups_of, load_siblings
from zhentu_training.heads import FittedHead, fit_head, weights_of

MADE = CATEGORIES.index(Category.AI_GENERATED)
EVEN = np.full(5, 0.5)


def of(source: str, labels: frozenset[Category] = frozenset(), recipe: str = "") -> Sample:
    return replace(genuine("genuine_cup.jpg", source), labels=labels, recipe=recipe)


def test_sources_siblings_and_sources_that_share_pictures_are_judged_together() -> None:
    samples = [of(name) for name in ("a", "b", "c", "d", "d", "d", "e", "e", "e", "f")]
    shared = [(3, 6), (4, 7), (5, 8), (2, 9)]
    groups = groups_of(samples, {"a": "one owner", "b": "one owner"}, shared)
    assert groups[0] == groups[1] != groups[2]
    assert len(set(groups[3:9])) == 1, "three pictures in common"
    assert groups[2] != groups[9], "a single likeness may be chance"


def test_a_group_is_in_one_fold_and_labels_are_spread() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 40, 2000)
    strata = np.where(groups % 4 == 0, "ai", "genuine")
    fold = folds_of(groups, strata, 5, seed=3)
    assert all(len(set(fold[groups == g])) == 1 for g in np.unique(groups))
    shares = [
        [(strata[fold == k] == kind).sum() / (strata == kind).sum() for k in range(5)] for kind in ("ai", "genuine")
    ]
    assert np.min(shares) > 0.1
    assert (fold == folds_of(groups, strata, 5, seed=3)).all()


def test_every_sibling_stands_in_one_family_only() -> None:
    import yaml

    named = [
        source for sources in yaml.safe_load(Path("configs/siblings.yaml").read_text()).values() for source in sources
    ]
    assert len(named) == len(set(named)) == len(load_siblings(Path("configs/siblings.yaml")))


def test_a_picture_saved_again_is_a_double_and_a_forgery_of_our_own_is_not(tmp_path: Path) -> None:
    from PIL import Image

    again = tmp_path / "again.jpg"
    Image.open(samples_folder() / "genuine_cat.jpg").save(again, quality=60)
    samples = [genuine("genuine_cat.jpg", "a"), genuine("", "b", again), genuine("genuine_cup.jpg", "b")]
    samples.append(replace(samples[1], recipe="effect.glow", labels=frozenset({Category.EXAGGERATED_EFFECT})))
    pairs = same_looks(samples, tmp_path / "looks.csv")
    assert pairs == [(0, 1)]
    assert same_looks(samples, tmp_path / "looks.csv") == pairs, "read back from the kept hashes"
    left, gone = without_duplicates(samples, pairs)
    assert [sample.path for sample in left] == [samples[0].path, samples[2].path, samples[3].path]
    assert gone == [(samples[1], samples[0])]


def test_an_ai_picture_that_looks_like_a_genuine_one_stays() -> None:
    samples = [of("a"), of("b", frozenset({Category.AI_GENERATED}))]
    assert without_duplicates(samples, [(0, 1)]) == (samples, [])


def test_auc_counts_ties_half_and_weights_as_copies() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(2)
    score, made = rng.integers(0, 6, 60) / 5, rng.random(60) < 0.4
    weight = rng.integers(0, 3, 60)
    assert auc(score, made) == pytest.approx(roc_auc_score(made, score))
    repeated = np.repeat(np.arange(60), weight)
    assert auc(score, made, weight) == pytest.approx(roc_auc_score(made[repeated], score[repeated]))
    assert np.isnan(auc(score, np.zeros(60, bool)))


def test_a_big_genuine_source_does_not_set_the_limit_alone() -> None:
    score = np.r_[np.linspace(0, 0.5, 900), np.full(10, 0.8), np.full(10, 0.7)]
    made = np.r_[np.zeros(910, bool), np.ones(10, bool)]
    source = np.array(["big"] * 900 + ["small"] * 10 + ["ai"] * 10)
    assert recall(Judged(score, made, source), 0.1) == 0.0
    assert recall(Judged(score, made, np.array(["one"] * 910 + ["ai"] * 10)), 0.02) == 1.0


def test_calibration_error_is_nought_for_calibrated_scores_and_large_for_inverted_ones() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(20000)
    made = rng.random(20000) < p
    source = np.where(made, "a", "b")
    assert calibration_error(Judged(p, made, source)) < 0.02
    assert calibration_error(Judged(1 - p, made, source)) > 0.3
    assert balanced_accuracy(Judged(p, made, source)) == pytest.approx(0.75, abs=0.02)


def test_the_bootstrap_draws_sources_whole() -> None:
    judged = Judged(np.arange(9.0), np.arange(9) > 4, np.array(list("aabbccdde")))
    for weight in resampled(judged)[:20]:
        assert weight[0] == weight[1]
        assert weight[judged.made].sum() > 0


def test_the_weighted_quantile_lets_no_more_through_than_asked() -> None:
    score, weight = np.arange(10.0), np.full(10, 0.1)
    assert quantile(score, weight, 0.9) == 8.0
    assert quantile(score, weight, 1.0) == 9.0


def two_looks(count: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    made = (rng.random(count) < 0.3).astype(np.float32)
    looks = rng.standard_normal((count, 2, 5)).astype(np.float32) + 2 * made[:, None, None]
    looks[:, 1] = rng.standard_normal((count, 5)) * 40  # crops that know nothing, loudly
    targets = np.repeat(made[:, None], 5, 1)
    weights = np.where(targets > 0, 0.5 / targets.sum(0), 0.5 / (1 - targets).sum(0))
    return looks, targets, weights, rng.integers(0, 5, count)


def test_a_fitted_fusion_ignores_a_look_that_knows_nothing_and_a_fixed_one_gives_it_its_share() -> None:
    looks, targets, weights, fold = two_looks()
    fitted = held_out(looks, targets, weights, fold, None, EVEN)
    halved = held_out(looks, targets, weights, fold, 0.5, EVEN)
    assert auc(fitted[:, 0], targets[:, 0] > 0) > auc(halved[:, 0], targets[:, 0] > 0) + 0.02
    alone = held_out(looks, targets, weights, fold, 0.0, EVEN)
    assert auc(alone[:, 0], targets[:, 0] > 0) == pytest.approx(auc(fitted[:, 0], targets[:, 0] > 0), abs=0.01)


def test_another_prior_moves_every_probability_by_its_odds() -> None:
    looks, targets, weights, _ = two_looks()
    fitted = [fit_fusion(looks, targets, weights, 0.0, np.full(5, prior)) for prior in (0.5, 0.05)]
    even, rare = (each.probabilities(looks) for each in fitted)
    odds = (rare / (1 - rare)) / (even / (1 - even))
    np.testing.assert_allclose(odds, 0.05 / 0.95, rtol=1e-6)


def test_an_output_that_nobody_taught_is_never_the_highest() -> None:
    looks, targets, weights, _ = two_looks()
    weights[:, 2] = 0
    said = fit_fusion(looks, targets, weights, 0.5, EVEN).probabilities(np.zeros((1, 2, 5)))
    assert said[0, 2] < 0.01


def test_thresholds_of_a_profile_keep_their_risk_on_the_genuine() -> None:
    rng = np.random.default_rng(6)
    made = rng.random(4000) < 0.4
    p = np.clip(rng.beta(1, 6, (4000, 5)) + made[:, None] * 0.4, 0, 1)
    targets = np.repeat(made[:, None], 5, 1).astype(float)
    source = rng.integers(0, 12, 4000).astype(str)
    points = profile_points(
        p, targets, targets, ~made, Sources(source, np.full(4000, "native")), Risk(label=0.02, review=0.03)
    )
    alarms = {(each.threshold.category, each.threshold.action): each.false_alarms for each in points.points}
    assert alarms[Category.AI_GENERATED, Action.LABEL] <= 0.02
    limits = np.array([each.value for each in points.thresholds])
    clean = p[~made]
    assert ((clean[:, :4] >= limits[:4]).any(1) * alike(source[~made])).sum() <= 0.03 + 1e-9
    assert ((clean[:, :4] >= limits[:4]).any(1) * alike(source[~made])).sum() > 0.02, "the risk is used"
    assert points.false_alarms <= 0.05
    assert all(0 < point.recall < 1 for point in points.points)


def test_no_single_source_is_acted_on_more_than_the_profile_allows() -> None:
    rng = np.random.default_rng(7)
    source = np.repeat(np.arange(10), 100).astype(str)
    p = rng.random((1000, 5)) * 0.5
    p[:100] += rng.random((100, 5)) * 0.5  # a shop whose pictures look forged
    genuine = np.arange(1000) < 990
    taught = np.repeat(~genuine[:, None], 5, 1).astype(float)
    road = np.tile(["native", "web"], 500)
    points = profile_points(p, taught, taught, genuine, Sources(source, road), Risk(0.05, 0.05, worst_source=0.04))
    limits = np.array([each.value for each in points.thresholds])
    assert limits[MADE] < 0.99
    assert ((p[:100] >= limits).any(1)[road[:100] == "native"]).mean() <= 0.04, "by both actions together"
    assert ((p[:100] >= limits).any(1)[road[:100] == "web"]).mean() <= 0.04


def test_nothing_is_acted_on_by_an_output_that_nobody_taught(tmp_path: Path) -> None:
    p = np.full((100, 5), 0.002)
    genuine = np.arange(100) < 90
    taught = np.repeat(~genuine[:, None], 5, 1).astype(float)
    taught[:, MADE] = 0
    points = profile_points(
        p, taught, taught, genuine, Sources(np.full(100, "shop"), np.full(100, "web")), Risk(0.05, 0.05)
    )
    assert points.thresholds[MADE].value == 0.999
    assert all(point.value < 0.01 for point in points.thresholds[:MADE])
    few = [sample for sample in smoke_samples(tmp_path) if Category.EXAGGERATED_EFFECT not in sample.labels]
    (said,) = untaught_of(few)
    assert said.startswith("no picture shows exaggerated_effect, so")


def test_a_head_tells_what_differs_and_its_ridge_holds_it_back() -> None:
    rng = np.random.default_rng(8)
    made = rng.random(400) < 0.5
    x = rng.standard_normal((400, 30)).astype(np.float32) * 3 + 5
    x[:, 0] += made * 6
    targets = np.repeat(made[:, None], 5, 1).astype(np.float32)
    weights = np.full((400, 5), 1 / 400, np.float32)
    loose, held = (fit_head(x, targets, weights, LookSpec(ridge=ridge)) for ridge in (0.01, 10.0))
    assert auc(loose.logits(x)[:, 0], made) > 0.9
    assert np.abs(held.weight).max() < np.abs(loose.weight).max() / 3
    deep = fit_head(x, targets, weights, LookSpec(ridge=0.01, hidden=8), seed=1)
    assert auc(deep.logits(x)[:, 0], made) > 0.9
    assert not np.allclose(deep.logits(x), loose.logits(x))


def test_a_tuned_head_stays_where_the_new_pictures_say_nothing() -> None:
    rng = np.random.default_rng(9)
    x = rng.standard_normal((200, 12)).astype(np.float32)
    anchor = FittedHead(rng.standard_normal((5, 12)).astype(np.float32), np.zeros(5, np.float32))
    targets = np.zeros((200, 5), np.float32)
    targets[:, 0] = x[:, 1] > 0
    weights = np.zeros((200, 5), np.float32)
    weights[:, 0] = 1 / 200
    tuned = fit_head(x, targets, weights, LookSpec(ridge=0.01), anchor=anchor)
    np.testing.assert_allclose(tuned.weight[1:], anchor.weight[1:], atol=1e-4)
    assert auc(tuned.logits(x)[:, 0], targets[:, 0] > 0) > 0.97
    reminded = fit_head(x, targets, weights, LookSpec(ridge=0.01), anchor=anchor, reminded=np.ones(200, bool))
    np.testing.assert_allclose(reminded.weight[0], anchor.weight[0], atol=0.05)


def test_classes_weigh_alike_and_real_edits_have_their_share_however_few() -> None:
    effect = frozenset({Category.EXAGGERATED_EFFECT})
    samples = [*[of("a")] * 8, of("b"), *[of("a", effect, "effect.glow")] * 20, of("edits", effect, EDIT)]
    assert [sample.origin for sample in (samples[0], samples[-2], samples[-1])] == [
        Origin.REAL,
        Origin.OWN,
        Origin.EDIT,
    ]
    targets, known = (np.stack(part) for part in zip(*(sample.targets() for sample in samples), strict=True))
    weights = weights_of(samples, targets, known, -0.5, 0.7)
    column = CATEGORIES.index(Category.EXAGGERATED_EFFECT)
    assert weights[:9, column].sum() == pytest.approx(0.5)
    assert weights[-1, column] == pytest.approx(0.35)
    assert weights[8, column] / weights[0, column] == pytest.approx(8**0.5)


def test_own_forgeries_teach_nothing_about_ai_generated() -> None:
    sample = of("a", frozenset({Category.AI_GENERATED}), "reconstruct.tiny")
    _, known = sample.targets()
    assert known.tolist() == [1, 1, 1, 1, 0]
    _, known = replace(sample, recipe="").targets()
    assert known[MADE] == 1


def test_a_design_changes_what_it_names_and_no_more(tmp_path: Path) -> None:
    spec = load_spec(Path("configs/train.yaml"))
    path = tmp_path / "designs.yaml"
    path.write_text("one:\n  whole: {ridge: 0.5}\ntwo:\nthree:\n  whole: {tokens: {class_tokens: [7]}}\n")
    one, two, three = (design.fit for design in load_designs(path, spec.fit))
    assert one == replace(spec.fit, whole=replace(spec.fit.whole, ridge=0.5))
    assert two == spec.fit
    assert three.whole.tokens.class_tokens == (7,)
    path.write_text("one:\n  whole: {rigde: 0.5}\n")
    with pytest.raises(ConfigError, match="rigde"):
        load_designs(path, spec.fit)


def test_every_design_of_the_table_can_be_read() -> None:
    spec = load_spec(Path("configs/train.yaml"))
    assert len(load_designs(Path("configs/designs.yaml"), spec.fit)) >= 5


def test_blocks_beyond_the_depth_and_looks_of_odd_sizes_are_named(tmp_path: Path) -> None:
    text = (
        Path("configs/train.yaml")
        .read_text()
        .replace("crop_size: 160", "crop_size: 150")
        .replace("depth: 10", "depth: 4")
    )
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_spec(path)
    assert "views.crop_size: a multiple of 16 pixels, 64 or more (got 150)" in str(caught.value)
    assert "fit.whole.tokens: blocks lie between 0 and 3" in str(caught.value)
