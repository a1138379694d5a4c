from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zhentu.detect.calibration import Platt
from zhentu.detect.compare import Comparer, over_picture
from zhentu.detect.entries import QuestionLevels, TrainingData
from zhentu.detect.figures import IDENTITY_NAMES, NAMES, Measured, measure
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.look import Look
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.detect.questions import ANSWERED, QUESTIONS
from zhentu.errors import ModelError, UsageError
from zhentu.intake.decode import decode
from zhentu.types import Answer, Picture, Question
from zhentu_training.compare import pairs, sheet, sights
from zhentu_training.compare.encoder import Encoder
from zhentu_training.compare.export import Fitted, export
from zhentu_training.compare.gists import Gist, Sights, centres, gists_of, mark_of
from zhentu_training.compare.heads import MEMBERS, Heads, Mixture, fit
from zhentu_training.compare.identity import Identity, alike, summaries_of
from zhentu_training.compare.measuring import figures_of, look_of
from zhentu_training.compare.pairing import KINDS, UNKNOWN, Pair, copies_of, pairs_of
from zhentu_training.export import add_to_manifest
from zhentu_training.forge.base import Materials
from zhentu_training.model import BackboneSpec

TINY = BackboneSpec("test_vit", "none", depth=6)
BLOCKS = (1, 3, 5)
WIDE = Identity(np.zeros((6, 64), np.float32), np.stack([np.eye(64, 8, dtype=np.float32)] * 6))


@pytest.fixture(scope="module")
def finder() -> GoodsFinder:
    entry = Manifest.load(models_folder()).finder
    assert entry is not None
    return GoodsFinder(entry, models_folder())


@pytest.fixture(scope="module")
def cup() -> pairs.Matted:
    matte = np.zeros((240, 240), np.float32)
    cv2.ellipse(matte, (120, 120), (100, 80), 0, 0, 360, 1.0, -1)
    return pairs.Matted(np.ascontiguousarray(data.coffee()[80:320, 160:400]), matte)


@pytest.fixture(scope="module")
def encode() -> sights.TokenEncoder:
    torch.manual_seed(4)
    encoder = Encoder(TINY, BLOCKS).eval()

    @torch.inference_mode()
    def run(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, classes = encoder(torch.from_numpy(views))
        return tokens.half().numpy(), classes.numpy()

    return run


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, finder: GoodsFinder, encode: sights.TokenEncoder):
    """Sights of two made products and of one product's real views, one of them in another colour."""
    folder = tmp_path_factory.mktemp("goods")
    found = []
    for name, rgb in (("cup", data.coffee()[80:320, 160:400]), ("cat", data.chelsea()[30:270, 100:340])):
        alpha = np.zeros((240, 240), np.uint8)
        cv2.ellipse(alpha, (120, 120), (100, 80), 0, 0, 360, 255, -1)
        cv2.imwrite(str(folder / f"{name}.png"), np.dstack([rgb[..., ::-1], alpha]))
        unit = sights.Unit(
            name, "cutout", "judge", (folder / f"{name}.png",), (name,), (name,), ("own",), ("made",), True
        )
        found += sights.sights_of(unit, finder, encode, Materials(), seed=3)
    files = tuple(samples_folder() / f"genuine_{name}.jpg" for name in ("cup", "portrait", "cat"))
    real = sights.Unit(
        "shop-1", "shop", "train", files, ("p",) * 3, ("p",) * 3, ("red", "red", "blue"), ("phone",) * 3, False
    )
    return found + sights.sights_of(real, finder, encode, Materials(), seed=3)


@pytest.fixture
def run(seen, tmp_path: Path) -> Path:
    """A run of three units: the cup, the cat, the shop's views."""
    (tmp_path / "sights").mkdir()
    for name, products in (("a-0", "cup"), ("b-1", "cat"), ("c-2", "p")):
        sights.save([sight for sight in seen if sight.subject.product == products], tmp_path / "sights" / f"{name}.npz")
    return tmp_path


def heads_on(figures: int) -> tuple[Heads, Mixture]:
    """Heads of all members on noise, of which the first figure tells the truth."""
    rng = np.random.default_rng(2)
    drawn = rng.standard_normal((300, figures)).astype(np.float32)
    truth = np.repeat((drawn[:, :1] > 0).astype(int), len(ANSWERED), 1)
    truth[:, 1] = UNKNOWN
    weight = np.ones((len(MEMBERS), len(ANSWERED)))
    return fit(drawn, truth, np.ones(300)), Mixture(weight, np.full_like(weight, 0.1))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with a comparison of random weights, its heads fitted on noise."""
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("models")
    manifest = Manifest.load(models_folder())
    add_to_manifest(folder, manifest.active_entry)
    assert manifest.finder is not None
    (folder / manifest.finder.file).write_bytes((models_folder() / manifest.finder.file).read_bytes())
    replace(Manifest.load(folder), finder=manifest.finder).save(folder)
    encoder = Encoder(TINY, BLOCKS)
    width = encoder.backbone.embed_dim
    fitted = Fitted(
        *heads_on(len(NAMES)), torch.zeros(3, width), torch.zeros(3, width), WIDE, dict.fromkeys(ANSWERED, Platt(1, 0)),
        dict.fromkeys(ANSWERED, QuestionLevels(0.4, 0.6)), 0.6, TrainingData("d", 1, 1),
    )  # fmt: skip
    export(fitted, "0.0.1", "2026-11-26", folder, encoder)
    return folder


@pytest.fixture(scope="module")
def comparer(exported: Path, finder: GoodsFinder) -> Comparer:
    entry = Manifest.load(exported).comparer
    assert entry is not None
    return Comparer(entry, exported, finder)


@pytest.fixture(scope="module")
def sample() -> dict[str, Picture]:
    return {name: decode((samples_folder() / f"genuine_{name}.jpg").read_bytes()) for name in ("cup", "cat")}


def test_a_view_repeats_bit_for_bit_and_another_framing_is_another_photograph(cup: pairs.Matted) -> None:
    def seen(framing: int) -> np.ndarray:
        return pairs.view(cup, pairs.Framing(framing), (), np.random.default_rng(5))

    assert np.array_equal(seen(1), seen(1))
    assert seen(1).shape != seen(2).shape or not np.array_equal(seen(1), seen(2))


@pytest.mark.parametrize("kind", [kind for kind in pairs.ALTERED if kind != "material.texture"])
def test_every_alteration_changes_the_goods_and_is_a_kind_that_is_judged(cup: pairs.Matted, kind: str) -> None:
    assert kind in KINDS
    materials = Materials(textures=(samples_folder() / "genuine_bricks.jpg",))
    changed = pairs.altered(cup, kind, materials, np.random.default_rng(2))
    assert changed is not None
    assert changed.rgb.shape != cup.rgb.shape or np.abs(changed.rgb.astype(int) - cup.rgb).mean() > 0.3


def test_another_colour_is_another_colour_also_for_grey_goods(cup: pairs.Matted) -> None:
    grey = np.repeat(cv2.cvtColor(cup.rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    for rgb in (cup.rgb, grey):
        assert np.abs(pairs.recoloured(rgb, np.random.default_rng(3)).astype(int) - rgb).mean() > 12


def test_an_untrusted_matte_gives_no_goods(tmp_path: Path, finder: GoodsFinder) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((200, 200, 3), 128, np.uint8))
    assert pairs.matted(tmp_path / "blank.png", finder) is None


def test_shares_of_the_splits_hold_and_a_group_is_in_one() -> None:
    groups = [f"g{k}" for k in range(40)]
    found = [sights.split_of(group, groups) for group in groups]
    assert {name: found.count(name) for name in set(found)} == {"train": 24, "calibrate": 6, "judge": 10}


def test_sights_are_read_as_they_were_written(seen, tmp_path: Path) -> None:
    sights.save(seen[:4], tmp_path / "unit.npz")
    for before, after in zip(seen[:4], sights.load(tmp_path / "unit.npz"), strict=True):
        assert (after.subject, after.found) == (before.subject, before.found)
        assert np.array_equal(after.canvas.rgb, before.canvas.rgb)
        assert np.array_equal(after.canvas.points.at, before.canvas.points.at)
        assert np.array_equal(after.tokens, before.tokens)
    sights.save([], tmp_path / "none.npz")
    assert sights.load(tmp_path / "none.npz") == []


def test_the_columns_of_a_file_of_sights_stay_as_they_were_written(seen, tmp_path: Path) -> None:
    sights.save(seen[:2], tmp_path / "unit.npz")
    with np.load(tmp_path / "unit.npz") as stored:
        assert sorted(stored.files) == sorted(
            ["source", "split", "group", "product", "colour", "look", "kind", "framing", "found", "tokens", "classes",
             "whole", "rgb", "mask", "light", "light_known", "scale", "corner", "points", "at", "described"]
        )  # fmt: skip
        assert stored["kind"].tolist() == [sight.subject.kind for sight in seen[:2]]


def test_pairs_never_cross_splits_and_their_truth_is_that_of_their_kind(seen) -> None:
    found = pairs_of([Gist.of(sight) for sight in seen], seed=1)
    assert {"match", "other colour", "look-alike", "unrelated"} < {pair.kind for pair in found}
    for pair in found:
        first, second = seen[pair.first].subject, seen[pair.second].subject
        assert first.split == second.split == pair.split
        assert (pair.kind in ("look-alike", "unrelated")) == (first.product != second.product)
        assert pair.mismatch != (set(pair.truth) == {0})
        if pair.kind == "other colour":
            assert first.colour != second.colour
        if pair.kind in ("look-alike", "unrelated"):
            assert first.group != second.group
            assert dict(zip(QUESTIONS, pair.truth, strict=True))["colour"] == UNKNOWN


def test_a_gist_says_where_its_sight_is_and_what_a_fit_needs_of_it(seen, run: Path) -> None:
    gists = gists_of(run)
    assert len(gists) == len(seen)
    for k, (gist, sight) in enumerate(zip(gists, seen, strict=True)):
        assert gist.subject == sight.subject
        assert np.array_equal(Sights(gists)[k].tokens, sight.tokens)
        assert np.array_equal(gist.classes, sight.classes)
        assert np.allclose(gist.mean, sight.tokens.astype(np.float32).mean(1), atol=1e-5)
        assert np.array_equal(gist.whole, sight.whole[-1:].ravel())
    middle, _ = centres(gists)
    assert np.allclose(middle, np.mean([gist.mean for gist in gists if gist.subject.split != "judge"], 0))


def test_the_mark_of_a_file_is_that_of_what_it_holds(seen, run: Path) -> None:
    files = sorted((run / "sights").iterdir())
    before = [mark_of(file) for file in files]
    assert len(set(before)) == 3
    sights.save([sight for sight in seen if sight.subject.product == "cup"], files[0])
    assert mark_of(files[0]) == before[0]
    sights.save([replace(sight, found=not sight.found) for sight in seen if sight.subject.product == "cup"], files[0])
    assert [mark_of(file) == mark for file, mark in zip(files, before, strict=True)] == [False, True, True]


def test_pairs_are_measured_once_and_again_only_where_something_is_new(
    seen, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def counted(first: Look, second: Look) -> Measured:
        measured.append(1)
        return measure(first, second)

    def asked(pairs_asked: list[Pair], middle: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, int]:
        measured.clear()
        return figures_of(run, gists_of(run), pairs_asked, middle), len(measured)

    monkeypatch.setattr("zhentu_training.compare.measuring.measure", counted)
    gists = gists_of(run)
    middle, own = centres(gists), [k for k, gist in enumerate(gists) if gist.subject.product == "cup"]
    listed = [Pair(own[0], k, "match", "s", "judge", "cup") for k in own[1:4]]
    listed.append(Pair(len(gists) - 1, own[0], "look-alike", "s", "judge", "p"))
    figures, count = asked(listed, middle)
    assert (figures.shape, count) == ((4, len(NAMES)), 4)
    kept = Sights(gists)  # masks are kept in 256 steps
    looks = [look_of(kept[k], middle) for k in (own[0], own[1])]
    assert np.array_equal(figures[0], measure(*looks).figures)
    again, count = asked(listed[::-1], middle)
    assert count == 0
    assert np.array_equal(again, figures[::-1])
    assert asked([*listed, Pair(own[1], own[2], "match", "s", "judge", "cup")], middle)[1] == 1
    shop = [replace(sight, found=not sight.found) for sight in seen if sight.subject.product == "p"]
    sights.save(shop, run / "sights" / "c-2.npz")
    assert asked(listed, middle)[1] == 1  # the pair with the shop's
    assert asked(listed, (middle[0] + 1, middle[1]))[1] == 4


def test_a_sheet_shows_failures_last_and_kinds_in_turn(comparer: Comparer, sample: dict[str, Picture]) -> None:
    cup, found = sample["cup"], comparer.compare(sample["cup"], [sample["cat"]])
    said = [(kind, answer) for kind in ("match", "recoloured") for answer in Answer for _ in range(9)]
    every = [sheet.Case(f"genuine_{k}", kind, cup, sample["cat"], replace(found, answer=answer))
             for k, (kind, answer) in enumerate(said)]  # fmt: skip
    shown = sheet.chosen(every)
    assert [case.failed for case in shown] == [False] * 8 + [True] * 4
    assert [case.kind for case in shown].count("match") == 6
    drawn = sheet.sheet_of(shown)
    assert drawn.shape[0] // 6 * 6 == drawn.shape[0]
    assert drawn.std() > 20


def test_copies_are_of_groups_that_fit_and_match_themselves(seen) -> None:
    found = copies_of([Gist.of(sight) for sight in seen])
    assert [(seen[pair.first].subject.group, pair.first == pair.second, pair.mismatch) for pair in found] == [
        ("p", True, False)
    ]


def test_serving_measures_what_training_measured(seen, comparer: Comparer, sample: dict[str, Picture]) -> None:
    """The exported graph and the sights' tokens give the same figures for the same pictures."""
    real = [sight for sight in seen if sight.subject.look == "phone"]
    middle = (np.zeros((3, real[0].tokens.shape[2])),) * 2
    trained = measure(look_of(real[0], middle), look_of(real[2], middle)).figures
    own = [NAMES.index(name) for name in IDENTITY_NAMES]
    trained[own] = alike(
        WIDE, summaries_of([Gist.of(sight) for sight in real]), [Pair(0, 2, "match", "s", "train", "g")]
    )[0]
    served = measure(*comparer._looked_at([sample["cup"], sample["cat"]])).figures
    assert len(trained) == len(NAMES)
    assert np.allclose(trained, served, atol=2e-2)


def test_the_most_similar_reference_speaks_and_agreement_is_counted(
    comparer: Comparer, sample: dict[str, Picture]
) -> None:
    alone = [comparer.compare(sample["cup"], [each]).score for each in (sample["cup"], sample["cat"])]
    both = comparer.compare(sample["cup"], [sample["cat"], sample["cup"]])
    assert both.score == pytest.approx(min(alone), abs=1e-5)
    assert both.reference_sha256 == sample[("cup", "cat")[int(np.argmin(alone))]].sha256
    assert both.compared == 2
    assert both.agreeing == sum(score <= 0.4 for score in alone)
    assert [each.question for each in both.answers] == list(QUESTIONS)
    for each in both.answers:
        assert each.answer is (
            Answer.DIFFERS if each.score >= 0.6 else Answer.SAME if each.score <= 0.4 else Answer.CANNOT_TELL
        )


def test_that_goods_are_the_same_is_said_only_where_the_whole_and_the_goods_are_sure(comparer: Comparer) -> None:
    def product(whole: float, found: bool) -> Answer:
        _, answers = comparer._answered(np.array([whole, *[0.0] * len(QUESTIONS)], np.float32), found)
        return next(each.answer for each in answers if each.question is Question.PRODUCT)

    levels = comparer._entry.levels["mismatch"]
    between = (levels.same + levels.differs) / 2
    assert [product(each, True) for each in (0.0, between, 1.0)] == [Answer.SAME, Answer.CANNOT_TELL, Answer.SAME]
    assert [product(each, False) for each in (0.0, 1.0)] == [Answer.SAME, Answer.CANNOT_TELL]


def test_both_maps_lie_over_their_own_pictures(comparer: Comparer, sample: dict[str, Picture]) -> None:
    found = comparer.compare(sample["cup"], [sample["cat"]])
    assert found.difference is not None
    assert found.reference_difference is not None
    for heatmap, picture in ((found.difference, sample["cup"]), (found.reference_difference, sample["cat"])):
        rows, columns = heatmap.grid.shape
        assert rows / columns == pytest.approx(picture.height / picture.width, rel=0.05)


def test_a_map_lies_where_its_canvas_was_cut_out(comparer: Comparer, sample: dict[str, Picture]) -> None:
    cup = sample["cup"]
    (look,) = comparer._looked_at([cup])
    unlike = np.zeros((14, 14), np.float32)
    unlike[7, 7] = 1
    grid = over_picture(unlike, look.canvas, cup).grid
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    middle = np.array(look.canvas.corner) + 240 / look.canvas.scale  # canvas pixel 240 is in the eighth place
    assert abs((column + 0.5) * cup.width / grid.shape[1] - middle[0]) < cup.width / 20
    assert abs((row + 0.5) * cup.height / grid.shape[0] - middle[1]) < cup.height / 20


def test_a_reference_is_looked_at_once(comparer: Comparer, sample: dict[str, Picture], monkeypatch) -> None:
    comparer.compare(sample["cup"], [sample["cat"]])
    monkeypatch.setattr(comparer, "_look", lambda pictures: pytest.fail("looked again"))
    assert comparer.compare(sample["cup"], [sample["cat"]]).compared == 1


def test_the_exported_comparison_passes_its_golden_scores(comparer: Comparer) -> None:
    assert comparer.verify_golden(samples_folder()) < 5e-3


def test_no_references_too_many_altered_files_and_other_figures_are_named(
    exported: Path, tmp_path: Path, finder: GoodsFinder, sample: dict[str, Picture]
) -> None:
    entry = Manifest.load(exported).comparer
    assert entry is not None
    cup = sample["cup"]
    for references in ([], [cup] * 17):
        with pytest.raises(UsageError, match="1 to 16"):
            Comparer(entry, exported, finder).compare(cup, references)
    with pytest.raises(ModelError, match="does not measure"):
        Comparer(replace(entry, figures=("other",)), exported, finder).compare(cup, [cup])
    (tmp_path / entry.file).write_bytes(b"other")
    with pytest.raises(ModelError, match="altered"):
        Comparer(entry, tmp_path, finder).compare(cup, [cup])
