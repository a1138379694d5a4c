from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zhentu.bootstrap.models import find_model
from zhentu.cli.app import app
from zhentu.decide.notices import QUESTION_NAMES
from zhentu.detect.models import samples_folder
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import PictureNotFound
from zhentu.settings import load_settings
from zhentu.types import Action, Basis, Category, Question, Threshold

CUP, CAT = (str(samples_folder() / f"genuine_{name}.jpg") for name in ("cup", "cat"))


def test_the_closest_reference_speaks_and_both_heatmaps_are_written(tmp_path: Path) -> None:
    heat, other = tmp_path / "unlike.png", tmp_path / "reference.png"
    maps = ["--heatmap", str(heat), "--reference-heatmap", str(other)]
    said = CliRunner().invoke(app, ["compare", CUP, "-r", CAT, "-r", CUP, "--json", *maps])
    assert said.exit_code == 0, said.output
    stated = json.loads(said.stdout)
    assert stated["reference"] == CUP
    assert stated["mismatch"] is False
    assert stated["compared"] == 2
    assert set(stated["answers"]) == set(Question)
    assert heat.read_bytes().startswith(b"\x89PNG")
    assert other.read_bytes().startswith(b"\x89PNG")


def test_every_question_is_answered_in_both_languages() -> None:
    said = CliRunner().invoke(app, ["compare", CUP, "-r", CUP])
    assert said.exit_code == 0, said.output
    for name in QUESTION_NAMES.values():
        assert name.en in said.stdout
        assert name.zh in said.stdout


def test_other_goods_exit_with_1_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_passes = (Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.0, Basis.REFERENCE),)
    monkeypatch.setattr("zhentu.detect.compare.Comparer.thresholds", nothing_passes)
    alone = CliRunner().invoke(app, ["compare", CUP, "-r", CAT, "--json"])
    score = json.loads(alone.stdout)["score"]
    same = json.loads(CliRunner().invoke(app, ["compare", CUP, "-r", CUP, "--json"]).stdout)["score"]
    assert alone.exit_code == 0
    assert score > same
    asked = CliRunner().invoke(app, ["compare", CUP, "-r", CAT, "--json", "--fail-on-mismatch"])
    assert asked.exit_code == 1


def test_a_missing_reference_is_named() -> None:
    said = CliRunner().invoke(app, ["compare", CUP, "-r", "nowhere.jpg"])
    assert isinstance(said.exception, PictureNotFound)
    assert "nowhere.jpg" in str(said.exception)


@pytest.mark.parametrize(
    ("flags", "able"), [("flags : fpu avx512_vnni", True), ("flags : fpu avx2", False), ("Features : asimddp", True)]
)
def test_8_bit_products_are_read_off_the_processor(tmp_path: Path, flags: str, able: bool) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    assert has_8bit_products(tmp_path / "cpuinfo") is able
    assert has_8bit_products(tmp_path / "missing") is True


def test_a_processor_without_them_gets_floating_point_unless_a_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zhentu.bootstrap.models.has_8bit_products", lambda: False)
    settings = load_settings(environment={})
    assert find_model(settings)[0].precision == "fp32"
    named = settings.model_copy(update={"model": "zhentu-int8"})
    assert find_model(named)[0].precision == "int8"
