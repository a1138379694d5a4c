"""Judging by consistency: nothing leaks over folds, and a head is only believed where goods were found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from zhentu.detect.goods import Goods, judged
from zhentu.types import CATEGORIES, Category
from zhentu_training.consistent.judge import (
    OUTPUTS,
    Rows,
    added,
    alarms_of,
    cross_fitted,
    questions,
    rows_of,
    table_of,
    truth_of,
)
from zhentu_training.consistent.table import Table, extract, read, some_of_each
from zhentu_training.dataset import Sample
from zhentu_training.figures import auc

CUTOUT = Category.CUTOUT_ARTIFACT


def sample(number: int, recipe: str = "", forged: bool = False, source: str = "shop", kind: str = "studio") -> Sample:
    labels = frozenset({CUTOUT}) if forged else frozenset()
    return Sample(Path(f"/{source}/{recipe}{number}.jpg"), "train", source, f"{number}", kind, "", "", labels,
                  frozenset(CATEGORIES), None, None, recipe)  # fmt: skip


def rows(count: int = 240, told: float = 1.5, found: float = 1.0) -> Rows:
    """Half forged cut-outs, half originals, two folds; today's score tells a little, one figure of three more."""
    rng = np.random.default_rng(3)
    forged = np.arange(count) % 2 == 1
    samples = [sample(k, "cutout.pasted", bool(each), f"shop {k % 6}") for k, each in enumerate(forged)]
    figures = rng.normal(size=(count, 3)).astype(np.float32)
    figures[:, 1] += told * forged
    today = np.stack([rng.normal(size=count), rng.normal(size=count) + 1.2 * forged], 1) * 2 - 3
    return Rows(samples, np.arange(count) % 6 // 3, rng.random(count) < found, figures, today, truth_of(samples))


def test_a_figure_that_tells_is_learnt_and_adds_to_todays_score() -> None:
    own = rows()
    logits, forged = cross_fitted(own, own.figures), own.truth[:, 1] == 1
    assert auc(logits[1, :, 1], forged) > 0.75
    together = added(own, logits[0])[:, 1]
    assert auc(together, forged) > max(auc(own.today[:, 1], forged), auc(logits[0, :, 1], forged)) + 0.01


def test_figures_that_tell_nothing_say_nothing_of_the_fold_that_is_judged() -> None:
    own = rows(told=0.0)
    for member in cross_fitted(own, own.figures):
        assert auc(member[:, 1], own.truth[:, 1] == 1) == pytest.approx(0.5, abs=0.12)


def test_where_no_goods_are_found_todays_score_stands_alone() -> None:
    own = rows(found=0.6)
    logits = cross_fitted(own, own.figures)
    assert not logits[:, ~own.found].any()
    together = added(own, logits[0])
    for fold in np.unique(own.fold):
        alone = ~own.found & (own.fold == fold)
        order = np.argsort(own.today[alone, 1])
        assert (np.diff(together[alone, 1][order]) >= 0).all(), "the same order as today's"


def test_an_output_of_which_a_picture_says_nothing_is_not_learnt_from_it() -> None:
    edit = Sample(Path("/e.jpg"), "train", "e", "e", "pair: background", "", "net",
                  frozenset({Category.AI_GENERATED, Category.SCENE_DISTORTION}),
                  frozenset({Category.AI_GENERATED, Category.SCENE_DISTORTION}), None, None, "pair")  # fmt: skip
    assert truth_of([edit]).tolist() == [[1, -1]]
    assert OUTPUTS == (Category.SCENE_DISTORTION, Category.CUTOUT_ARTIFACT)


def test_tables_name_the_pictures_they_are_of() -> None:
    own = rows()
    forged = [name for name, *_ in questions(own)]
    assert forged == ["cutout_artifact, own forgeries", "cutout_artifact, cutout.pasted"]
    table = table_of(own, {"today": own.today})
    assert set(table["pictures"]) == {"120 + 120"}
    assert table["AUC"][0].startswith(f"{auc(own.today[:, 1], own.truth[:, 1] == 1):.3f} [")


def test_alarms_are_counted_over_thresholds_that_few_genuine_pictures_pass() -> None:
    rng = np.random.default_rng(1)
    real = [sample(k, source=f"shop {k % 5}") for k in range(100)]
    white = [sample(k, "negatives.white_ground") for k in range(10)]
    forged = [sample(k, "cutout.pasted", True) for k in range(10)]
    every = real + white + forged
    odds = np.concatenate([rng.uniform(-3, 0, (100, 2)), np.full((5, 2), 1.0), np.full((5, 2), -9.0),
                           np.full((8, 2), 2.0), np.full((2, 2), -9.0)])  # fmt: skip
    own = Rows(every, np.zeros(120, int), np.ones(120, bool), np.zeros((120, 1)), odds, truth_of(every))
    row = alarms_of(own, {"today": odds}, share=0.02).iloc[0]
    assert row["white-ground composites"] == "0.5000 of 10"
    assert row["cutout_artifact found"] == "0.8000 of 10"
    assert float(row["genuine"].split()[0]) <= 0.02


class Halves:
    """Finds goods in the left half of every picture that is not blank."""

    def find_in(self, rgb: np.ndarray) -> Goods:
        mask = np.zeros((64, 64), np.float32)
        mask[8:56, 8:40] = float(rgb.std() > 1)
        return judged(mask, *rgb.shape[:2], 0.5)


def pictures(folder: Path) -> list[Path]:
    rng = np.random.default_rng(2)
    paths = [folder / f"{k}.png" for k in range(3)]
    for path in paths[:2]:
        cv2.imwrite(str(path), rng.integers(0, 255, (90, 120, 3), np.uint8))
    cv2.imwrite(str(paths[2]), np.full((90, 120, 3), 255, np.uint8))
    return paths


def test_pictures_are_measured_once_and_read_in_the_order_wanted(tmp_path: Path) -> None:
    paths = pictures(tmp_path)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    assert extract([*paths[:1], broken], "native", tmp_path / "out", Halves()) == [broken]
    extract(paths, "native", tmp_path / "out", Halves())
    before = sorted((tmp_path / "out/native").glob("*.npz"))
    assert len(before) == 2
    extract(paths, "native", tmp_path / "out", Halves())
    assert sorted((tmp_path / "out/native").glob("*.npz")) == before
    table = read(tmp_path / "out", "native", [str(path) for path in reversed(paths)])
    assert table.paths == tuple(str(path) for path in reversed(paths))
    assert table.found.tolist() == [False, True, True]
    assert table.figures.shape == (3, len(table.names))
    assert not np.array_equal(table.figures[1], table.figures[2])
    with pytest.raises(ValueError, match="run this module first"):
        read(tmp_path / "out", "native", ["/elsewhere.jpg"])


def test_a_run_and_a_table_are_joined_by_path_and_road() -> None:
    samples = [sample(k, "cutout.pasted", k == 1) for k in range(3)]
    names = np.array([str(each.path) for each in samples] * 2)
    p = np.linspace(0.1, 0.6, 30).reshape(6, 5)
    held = {"names": names, "road": np.array(["native"] * 3 + ["web"] * 3), "fold": np.arange(6), "probabilities": p}
    table = Table((str(samples[2].path), "/unknown.jpg", str(samples[1].path)), np.array([True, True, False]),
                  np.arange(6.0).reshape(3, 2), ("a", "b"))  # fmt: skip
    joined = rows_of(samples, held, table, "web")
    assert joined.fold.tolist() == [5, 4]
    assert joined.figures.tolist() == [[0, 1], [4, 5]]
    columns = [CATEGORIES.index(each) for each in OUTPUTS]
    assert joined.today == pytest.approx(np.log(p / (1 - p))[[5, 4]][:, columns])


def test_of_genuine_sources_only_some_are_measured_and_of_ai_made_ones_none() -> None:
    real = [sample(k) for k in range(20)] + [sample(k, source="other") for k in range(2)]
    own = [sample(k, "cutout.pasted", True) for k in range(9)]
    made = Sample(Path("/ai.jpg"), "train", "ai", "ai", "studio", "", "net", frozenset({Category.AI_GENERATED}),
                  frozenset({Category.AI_GENERATED}), None, None, "")  # fmt: skip
    chosen = some_of_each([*real, *own, made], 5, 1)
    assert sum(each.source == "shop" and not each.recipe for each in chosen) == 5
    assert sum(each.source == "other" for each in chosen) == 2
    assert sum(bool(each.recipe) for each in chosen) == 9
    assert made not in chosen
