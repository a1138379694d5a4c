"""Heads of the comparison: what they learn, how they are chosen, calibrated and served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from test_compare import heads_on

from zhentu.detect.questions import ANSWERED
from zhentu.errors import UsageError
from zhentu_training.compare.designs import DESIGNS, choose
from zhentu_training.compare.ensemble import Tree, graph_of, tree_node
from zhentu_training.compare.gists import gists_of
from zhentu_training.compare.heads import MEMBERS, Mixture, fit, mixed
from zhentu_training.compare.pairing import UNKNOWN, Pair
from zhentu_training.compare.report import into_card
from zhentu_training.compare.train import calibrated, crossfitted, level, levels, truths_of


def test_heads_learn_what_is_there_and_leave_unknown_answers_alone() -> None:
    rng = np.random.default_rng(2)
    figures = rng.standard_normal((600, 8)).astype(np.float32)
    truth = np.full((600, len(ANSWERED)), UNKNOWN)
    truth[:, 0], truth[:300, 2] = figures[:, 0] > 0, figures[:300, 3] > 0
    for found in fit(figures, truth, np.ones(600)).members(figures):
        assert ((found[:, 0] > 0) == (figures[:, 0] > 0)).mean() > 0.9
        assert ((found[300:, 2] > 0) == (figures[300:, 3] > 0)).mean() > 0.85
        assert np.all(found[:, 1] == 0)  # of which nothing is known


@pytest.mark.parametrize(
    ("left_out", "questions"), [(None, 0.0), (None, 0.5), *((k, 0.5) for k in range(len(MEMBERS)))]
)
def test_the_graph_of_the_heads_says_what_scikit_learn_says(left_out: int | None, questions: float) -> None:
    heads, mixture = heads_on(12)
    mixture = replace(mixture, asked=questions)
    if left_out is not None:
        mixture.weight[left_out] = 0
    asked = np.random.default_rng(5).standard_normal((700, 12)).astype(np.float32)
    # Figures right on a threshold must go the same way in both.
    tree = heads.forests[0].estimators_[0].tree_
    asked[:50, tree.feature[0]] = np.float32(tree.threshold[0])
    session = ort.InferenceSession(heads.graph(mixture).SerializeToString(), providers=["CPUExecutionProvider"])
    (served,) = session.run(("logits",), {"figures": asked})
    assert np.allclose(served, heads.logits(asked, mixture), atol=1e-4)
    assert np.ptp(served[:, 0]) > 1


def test_a_tree_of_one_leaf_and_thresholds_between_floats_are_served_exactly() -> None:
    leaf = Tree(1, np.array([-1]), np.array([-1]), np.array([-2]), np.array([-2.0]), np.array([0.25]))
    at = np.nextafter(np.float32(0.1), np.float32(1))
    edge = float(np.float32(0.1)) + (float(at) - float(np.float32(0.1))) * 0.9  # nearer to the float above
    branch = Tree(0, np.array([1, -1, -1]), np.array([2, -1, -1]), np.zeros(3, int), np.array([edge, -2, -2]),
                  np.array([0, 1.0, 2.0]))  # fmt: skip
    model = graph_of([tree_node([leaf, branch], 2, "logits", "figures")], [], 1, 2)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (served,) = session.run(None, {"figures": np.array([[0.1], [at]], np.float32)})
    assert served.tolist() == [[1.0, 0.25], [2.0, 0.25]]


def test_each_output_gets_the_design_that_tells_it_best() -> None:
    rng = np.random.default_rng(3)
    kinds = ["match", "recoloured", "construction", "look-alike"] * 200
    pairs_told = [Pair(0, 1, kind, "s", "train", "g") for kind in kinds]
    truth = truths_of(pairs_told)
    members = rng.standard_normal((len(MEMBERS), len(kinds), len(ANSWERED))) * np.array([1, 5, 9])[:, None, None]
    members[0, :, 0] += 4 * truth[:, 0]
    members[2, :, 2] += 36 * (truth[:, 2] == 1)
    mixture, table = choose(members, truth, pairs_told)
    assert mixture.weight[:, 0].argmax() == 0
    assert mixture.weight[1:, 0].tolist() == [0, 0]
    assert mixture.weight[:2, 2].tolist() == [0, 0]
    alone = table[table["design"].isin(DESIGNS)].set_index("design")["mismatch"]
    assert alone.idxmax() == "ridge"


def test_questions_are_heard_where_they_tell_what_the_mismatch_does_not() -> None:
    rng = np.random.default_rng(3)
    kinds = ["match", "recoloured", "construction"] * 100
    told = [Pair(0, 1, kind, "s", "train", "g") for kind in kinds]
    truth = truths_of(told)
    members = rng.standard_normal((len(MEMBERS), len(kinds), len(ANSWERED)))
    assert choose(members, truth, told)[0].asked == 0.0
    members[:, :, 1:] += 9 * (truth[:, 1:] == 1)
    assert choose(members, truth, told)[0].asked > 0


def test_a_question_that_says_differs_adds_to_the_mismatch() -> None:
    logits = np.zeros((1, 3, len(ANSWERED)), np.float32)
    logits[0, 1, 2], logits[0, 2, 1:] = 4, -4
    plain = Mixture(np.ones(logits.shape[::2]), np.zeros(logits.shape[::2]))
    assert mixed(logits, plain)[:, 0].tolist() == [0, 0, 0]
    assert mixed(logits, replace(plain, asked=0.5))[:, 0].tolist() == [0, 2, -2]
    assert np.array_equal(mixed(logits, replace(plain, asked=0.5))[:, 1:], logits[0, :, 1:])


def test_the_tables_replace_those_in_the_card_and_the_detectors_card_keeps_them(tmp_path: Path) -> None:
    card = tmp_path / "CARD.md"
    card.write_text("# Card\n\n## Known limits\n\n- some\n", encoding="utf-8")
    for text in ("first", "second\n"):
        into_card(card, "zhentu-compare 1.1.0", text)
    written = "# Card\n\n## Known limits\n\n- some\n\n## Comparison with references: zhentu-compare 1.1.0\n\nsecond\n"
    assert card.read_text(encoding="utf-8") == written
    card.write_text(written + "\n## After\n", encoding="utf-8")
    (tmp_path / "comparison.png").write_bytes(b"")
    into_card(card, "zhentu-compare 1.2.0", "third")
    assert card.read_text(encoding="utf-8").endswith("failures](comparison.png)\n\n## After\n")


def test_calibration_and_levels_keep_their_promise_on_matches() -> None:
    rng = np.random.default_rng(2)
    mismatch = np.arange(3000) % 2
    logits = rng.standard_normal(3000) + 3.0 * mismatch
    scores = calibrated(logits, mismatch).probability(logits)
    assert scores[mismatch == 1].mean() == pytest.approx(1 - scores[mismatch == 0].mean(), abs=0.02)
    one = np.full(3000, "shop")
    assert (scores[mismatch == 0] >= level(scores[mismatch == 0], one[:1500], 0.01)).mean() <= 0.01
    found = levels(scores, mismatch, mismatch == 0, one)
    assert found.same <= found.differs
    assert (scores[mismatch == 1] <= found.same).mean() <= 0.1


def test_a_limit_is_not_set_by_the_source_that_gives_most_matches() -> None:
    scores = np.concatenate([np.linspace(0, 0.2, 900), np.linspace(0, 0.8, 100)])
    sources = np.array(["made"] * 900 + ["shop"] * 100)
    limit = level(scores, sources, 0.01)
    assert (scores[900:] >= limit).mean() <= 0.02
    assert level(scores, np.full(1000, "one"), 0.01) < limit


def test_what_was_cross_fitted_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures, pairs = np.ones((2, 3), np.float32), [Pair(0, k, "match", "s", "train", "g") for k in (1, 2)]
    monkeypatch.setattr("zhentu_training.compare.train.crossfit", lambda figures, _: figures * 2)
    assert (crossfitted(tmp_path, figures, pairs) == 2).all()
    monkeypatch.setattr("zhentu_training.compare.train.crossfit", lambda *_: pytest.fail("fitted again"))
    assert (crossfitted(tmp_path, figures, pairs) == 2).all()


def test_a_run_without_sights_ends_with_what_to_do_first(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no sights; run zhentu_training.compare.sights first"):
        gists_of(tmp_path)
