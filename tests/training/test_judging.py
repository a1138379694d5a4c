"""int8 with packed weights, the card and tuning, on a network of random weights; tables and edits on made-up rows."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from smoke import genuine, smoke_manifest

from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest, samples_folder
from zhentu.types import CATEGORIES, Category
from zhentu_training import evaluate, export, features, fit, locate, pack, quantize
from zhentu_training.dataset import EDIT, Origin, Sample
from zhentu_training.edits import cases_of, kind_of, pairs_of, strips_of
from zhentu_training.figures import Judged
from zhentu_training.fit import CALIBRATION, HELD_OUT, load_heads
from zhentu_training.precision import Compared
from zhentu_training.tables import Scored, category_table, confusion_table, real_table, source_table, training_table
from zhentu_training.versus import some_of, versus_table

CONFIG = "configs/train-smoke.yaml"
MADE = CATEGORIES.index(Category.AI_GENERATED)
AI = frozenset({Category.AI_GENERATED})


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose matrices are packed, as the shipped model's are."""
    root = tmp_path_factory.mktemp("judging")
    (root / "set").mkdir()
    options = ["--manifest", str(smoke_manifest(root / "set")), "--features", str(root / "features")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "_SMALLEST", 1 << 10)
        patch.setattr(export, "PARITY", 1.0)  # packing rounds weights that, unlike CLIP's, were never 8 bits wide
        features.main([*options, "--config", CONFIG])
        fit.main([*options, "--config", CONFIG, "--run", str(root / "run")])
        export.main(["--run", str(root / "run"), "--models", str(root / "models")])
        locate.main([*options, "--run", str(root / "run"), "--models", str(root / "models")])
    return root


def quantized(line: Path, *options: str) -> None:
    places = ["--run", str(line / "run"), "--models", str(line / "models")]
    quantize.main([*places, *options])


def test_int8_shares_the_weights_and_its_golden_scores_are_the_emulation_s(
    line: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantize, "LARGEST_AUC_LOSS", 1.0)
    monkeypatch.setattr(quantize, "LARGEST_RECALL_LOSS", 1.0)
    quantized(line, "--model", "zhentu-smoke@0.0.1")
    said = capsys.readouterr().out
    assert all(f"{category.value}: int8 loses" in said for category in CATEGORIES)
    manifest = Manifest.load(line / "models")
    small, exact = manifest.active_entry, manifest.entry("zhentu-smoke@0.0.1")
    assert (small.name, small.precision) == ("zhentu-smoke-int8", "int8")
    assert small.weights == exact.weights != ()
    assert small.thresholds == exact.thresholds
    assert manifest.in_floating_point(small) == exact
    same = line / "emulated.onnx"
    quantize.emulated_graph(line / "models" / small.file, same)
    stand_in = replace(small, file=same.name, sha256=quantize.hashlib.sha256(same.read_bytes()).hexdigest(), weights=())
    assert Detector(stand_in, line).verify_golden(samples_folder()) < 1e-4
    with pytest.raises(SystemExit, match="is int8 already"):
        quantized(line)


def test_two_pictures_of_a_hundred_are_no_more_than_two_in_a_hundred() -> None:
    """0.50 - 0.48 is a little more than 0.02 in floating point."""
    made = np.repeat([False, True], 100)
    sources = np.array(["one"] * 200)

    def found(count: int) -> Judged:
        return Judged(np.where(np.arange(200) >= 200 - count, 0.9, 0.1 + np.arange(200) % 100 * 1e-3), made, sources)

    compared = Compared(found(50), found(48))
    assert compared.losses[1] > 0.02
    area, _ = compared.intervals
    assert area.low <= area.value <= area.high
    assert compared.within(1.0, 0.02)
    assert not compared.within(1.0, 0.019)
    nothing = Judged(np.array([0.1]), np.array([False]), np.array(["one"]))
    assert not Compared(nothing, nothing).within(1.0, 1.0)


def test_int8_that_loses_too_much_is_refused_and_nothing_is_written(
    line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (line / "models" / "manifest.json").read_bytes()
    monkeypatch.setattr(quantize, "LARGEST_AUC_LOSS", -1.0)
    with pytest.raises(SystemExit, match="nothing was written"):
        quantized(line, "--model", "zhentu-smoke@0.0.1")
    assert (line / "models" / "manifest.json").read_bytes() == before


def test_a_loss_that_cannot_be_told_is_no_small_loss() -> None:
    nobody = Judged(np.array([0.1, 0.2]), np.zeros(2, bool), np.array(["a", "b"]))
    losses = Compared(nobody, nobody).losses
    assert not losses[0] <= quantize.LARGEST_AUC_LOSS


def test_the_card_holds_the_tables_of_held_out_scores_and_the_comparison(line: Path) -> None:
    words = ["--manifest", str(line / "set" / "manifest.csv"), "--run", str(line / "run")]
    words += ["--models", str(line / "models"), "--model", "zhentu-smoke@0.0.1", "--card", str(line / "card.md")]
    evaluate.main([*words, "--against", str(line / "models"), "--sheet", str(line / "sheet.jpg")])
    card = (line / "card.md").read_text()
    for title in ("AI-made against genuine pictures", "The three profiles", "Each AI source alone", "Calibration"):
        assert f"## {title}" in card
    assert "gallery" in card
    assert "## Against zhentu-smoke" in card
    assert (line / "curves.png").stat().st_size > 1000
    assert (line / "comparison.csv").is_file()
    before, _, rest = card.partition("\n## Heatmaps\n")
    assert rest, "the card says what heatmaps did"
    evaluate.main([*words, "--only-heatmaps", "--heatmaps", "2"])
    after = (line / "card.md").read_text()
    assert after.startswith(before), "nothing but its section is written anew"
    assert after.partition("\n## Training sources\n")[2] == card.partition("\n## Training sources\n")[2]
    assert "AI-made as a whole" in after


def test_tuning_keeps_what_was_shipped_but_the_heads(line: Path) -> None:
    words = ["--manifest", str(line / "set" / "manifest.csv"), "--features", str(line / "features")]
    words += ["--config", CONFIG, "--start-from", str(line / "models"), "--teach", "gallery 0", "shop 0"]
    fit.main([*words, "--run", str(line / "tuned")])
    export.main(["--run", str(line / "tuned"), "--models", str(line / "tuned models")])
    ours, theirs = (Manifest.load(line / name).entry("zhentu-smoke@0.0.1") for name in ("tuned models", "models"))
    assert ours.thresholds == theirs.thresholds
    assert ours.calibration == theirs.calibration
    before, after = (load_heads(line / name)["whole"].weight for name in ("run", "tuned"))
    assert np.abs(before - after).max() > 1e-4, "it learnt"
    with np.load(line / "tuned" / HELD_OUT) as held:
        assert np.isfinite(held["probabilities"]).all()
    assert (line / "tuned" / CALIBRATION).is_file()


def scored(rows: list[tuple[Sample, list[float]]]) -> Scored:
    samples, said = zip(*rows, strict=True)
    return Scored(samples, np.full(len(rows), "native"), np.array(said))


def row(
    source: str, labels: frozenset[Category], said: float, column: int, recipe: str = ""
) -> tuple[Sample, list[float]]:
    scores = [0.0] * len(CATEGORIES)
    scores[column] = said
    path = Path(f"/{source}/{said}/{column}/{recipe}.jpg")
    return replace(genuine("", source, path), labels=labels, recipe=recipe), scores


def test_pictures_of_another_category_do_not_count_as_ai_made() -> None:
    material = frozenset({Category.MATERIAL_MISMATCH})
    rows = [row("shop", frozenset(), 0.1 * k, MADE) for k in range(3)]
    rows += [row("gallery", AI, 0.9 - 0.01 * k, MADE) for k in range(2)]
    rows += [row("marked", material, 0.01 * k + 0.05, MADE) for k in range(2)]
    table = real_table(scored(rows))
    assert table["pictures"][0] == "3 + 2"
    assert table["AUC"][0].startswith("1.000")
    assert list(source_table(scored(rows), 0.5)["AI source"]) == ["gallery"]
    found = category_table(scored(rows)).set_index("output")
    assert found.loc["material_mismatch", "judged on"] == "pictures found so"


def test_sources_of_one_picture_share_a_row() -> None:
    rows = [row(f"ai/{k}", AI, 0.9 - 0.01 * k, MADE) for k in range(4)] + [row("shop", frozenset(), 0.1, MADE)]
    assert list(source_table(scored(rows), 0.5)["pictures"]) == [4]
    assert set(training_table(scored(rows).samples)["source"]) == {"(single pictures)"}


def test_the_first_named_category_is_counted_by_the_one_that_was_made() -> None:
    scene, material = CATEGORIES.index(Category.SCENE_DISTORTION), CATEGORIES.index(Category.MATERIAL_MISMATCH)
    made = frozenset({Category.SCENE_DISTORTION})
    rows = [row("a", made, 0.8, scene, "scene.bent"), row("b", made, 0.7, material, "scene.bent")]
    table = confusion_table(scored(rows), Origin.OWN).set_index("made")
    assert table.loc["scene_distortion", "scene_distortion"] == "0.50"
    assert table.loc["scene_distortion", "material_mismatch"] == "0.50"


def test_the_comparison_is_paired_and_says_who_is_better() -> None:
    rows = [row(f"shop {k}", frozenset(), 0.1 + 0.01 * k, MADE) for k in range(8)]
    rows += [row(f"gallery {k}", AI, 0.8 + 0.01 * k, MADE) for k in range(8)]
    rows += [row("own", AI, 0.5, MADE, "reconstruct.tiny")]
    some = some_of(scored(rows), 100, seed=1)
    assert len(some.samples) == 16, "what the project forged itself is not compared"
    worse = some.probabilities.copy()
    worse[:, MADE] = np.linspace(0.9, 0.1, 16)
    table = versus_table(some, worse, "old@1").set_index("output")
    assert str(table.loc["ai_generated", "AUC, new"]).startswith("1.000")
    difference = table.loc["ai_generated", "AUC, difference"]
    assert difference.value == pytest.approx(1.0)
    assert difference.low > 0.5
    assert len(some_of(scored(rows), 6, seed=1).samples) == 6


def write(folder: Path, name: str, seed: int, size: tuple[int, int] = (40, 40)) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8))


COLLECTED = ["file", "label", "split", "source", "generator", "kind", "goods", "origin"]


def table_of(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def test_an_edit_s_kind_says_its_category_and_nothing_of_the_others(tmp_path: Path) -> None:
    rows = [
        ["a.png|b.png", "pair", "Background swap/nano", "lab/edits:x"],
        ["a.png|c.png", "pair", "odd/net", "lab/edits:y"],
    ]
    table_of(tmp_path / "extras.csv", ["file", "kind", "detail", "origin"], rows)
    before, after, _, other = pairs_of(tmp_path)
    assert (before.forged, before.recipe, before.source) == (False, EDIT, "lab/edits")
    assert after.labels == after.known == {Category.AI_GENERATED, Category.SCENE_DISTORTION}
    assert (after.generator, after.pair) == ("nano", before.path)
    assert kind_of(after) is Category.SCENE_DISTORTION
    assert other.labels == AI
    assert kind_of(other) is None
    assert pairs_of(tmp_path / "elsewhere") == []


def test_cases_pair_the_first_input_with_every_output_and_skip_those_without_either(tmp_path: Path) -> None:
    origins = ["l/r:cases/7/input.png", "l/r:cases/7/output1.png", "l/r:cases/7/output2.png", "l/r:cases/8/output.png"]
    rows = [[f"{k}.png", "pair", "train", "l/r", "net", "", "", where] for k, where in enumerate(origins)]
    for k in range(len(origins)):
        write(tmp_path, f"{k}.png", k, (40, 40))
    table_of(tmp_path / "manifest.csv", COLLECTED, rows)
    samples = cases_of(tmp_path)
    assert [sample.path.name for sample in samples] == ["0.png", "1.png", "2.png"]
    assert {sample.pair for sample in samples[1:]} == {samples[0].path}


def test_strips_are_cut_into_picture_mask_and_edit_and_other_shapes_are_left(tmp_path: Path) -> None:
    write(tmp_path, "strip.png", 1, (40, 120))
    write(tmp_path, "tall.png", 2, (90, 120))
    rows = [[f"{name}.png", "pair", "train", "l/r", "net", "", "three panes", "l/r:x"] for name in ("strip", "tall")]
    table_of(tmp_path / "manifest.csv", COLLECTED, rows)
    before, after = strips_of(tmp_path, tmp_path / "out")
    whole = cv2.imread(str(tmp_path / "strip.png"))
    np.testing.assert_array_equal(cv2.imread(str(before.path)), whole[:, :40])
    np.testing.assert_array_equal(cv2.imread(str(after.path)), whole[:, 80:])
    assert after.mask is not None
    np.testing.assert_array_equal(cv2.imread(str(after.mask)), whole[:, 40:80])
