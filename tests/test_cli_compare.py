from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from zhentu.bootstrap.models import find_model
from zhentu.cli.app import app
from zhentu.decide.notices import ANSWER_NAMES
from zhentu.decide.words import QUESTION_NAMES
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import PictureNotFound, UsageError
from zhentu.settings import load_settings
from zhentu.types import (
    Action,
    Answer,
    Basis,
    Category,
    Comparison,
    ModelRef,
    Question,
    QuestionAnswer,
    Threshold,
)

CUP, CAT = (str(samples_folder() / f"genuine_{name}.jpg") for name in ("cup", "cat"))


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_the_closest_reference_speaks_and_a_heatmap_is_written(tmp_path: Path) -> None:
    heat = tmp_path / "unlike.png"
    said = CliRunner().invoke(app, ["compare", CUP, "-r", CAT, "-r", CUP, "--json", "--heatmap", str(heat)])
    assert said.exit_code == 0, said.output
    stated = json.loads(said.stdout)
    assert stated["reference"] == CUP
    assert stated["mismatch"] is False
    assert stated["compared"] == 2
    assert stated["answer"] == "same"
    assert stated["agreeing"] >= 1
    assert heat.read_bytes().startswith(b"\x89PNG")


def test_the_reference_gets_a_map_too(tmp_path: Path) -> None:
    maps = [tmp_path / "picture.png", tmp_path / "reference.png"]
    flags = ["--heatmap", str(maps[0]), "--reference-heatmap", str(maps[1])]
    said = CliRunner().invoke(app, ["compare", CUP, "-r", CAT, *flags])
    assert said.exit_code == 0, said.output
    assert all(each.read_bytes().startswith(b"\x89PNG") for each in maps)


@pytest.mark.parametrize("answer", Answer)
def test_every_answer_and_question_is_said_in_both_languages(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    answers = tuple(QuestionAnswer(each, answer, 0.5) for each in Question)
    told = Comparison(
        0.5, 0.5, sha256(CUP), ModelRef("m", "1", "0" * 64), answer=answer, answers=answers, goods_found=True
    )
    monkeypatch.setattr("zhentu.detect.compare.Comparer.compare", lambda *_: told)
    said = CliRunner().invoke(app, ["compare", CUP, "-r", CUP])
    assert said.exit_code == 0, said.output
    for name in (*QUESTION_NAMES.values(), ANSWER_NAMES[answer]):
        assert name.en in said.stdout
        assert name.zh in said.stdout
    assert "whole pictures" not in said.stdout
    assert "references agree" not in said.stdout  # beside "cannot tell", none of them does
    assert "0 of 1 references surely show the same goods · 1 张参考图中 0 张确认相符" in said.stdout


def test_a_copy_of_a_picture_shows_the_same_goods_in_every_question(tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    for name in ("cup", "cat", "bricks", "motorcycle"):
        original = samples_folder() / f"genuine_{name}.jpg"
        Image.open(original).convert("RGB").save(copy, quality=75)
        for picture in (original, copy):
            said = CliRunner().invoke(app, ["compare", str(picture), "-r", str(original), "--json"])
            stated = json.loads(said.stdout)
            assert {stated["answer"], *(each["answer"] for each in stated["answers"].values())} == {"same"}
            assert stated["agreeing"] == 1


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


def test_a_processor_without_them_gets_floating_point_unless_a_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zhentu.bootstrap.models.has_8bit_products", lambda: False)
    shipped = Manifest.load(models_folder())
    exact = shipped.in_floating_point(shipped.active_entry) or shipped.active_entry
    small = replace(exact, name=f"{exact.name}-int8", precision="int8")
    replace(shipped, models=(exact, small), active=str(small.ref)).save(tmp_path)
    settings = load_settings(environment={"ZHENTU_MODELS_DIR": str(tmp_path)})
    assert find_model(settings)[0].precision == "fp32"
    named = settings.changed({"models.active": "zhentu-int8"})
    assert find_model(named)[0].precision == "int8"


@pytest.mark.parametrize("maps", [["--heatmap", "cup.jpg"], ["--heatmap", "m.png", "--reference-heatmap", "m.png"]])
def test_a_heatmap_overwrites_neither_a_picture_nor_the_other(
    maps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cup.jpg").write_bytes(Path(CUP).read_bytes())
    refused = CliRunner().invoke(app, ["compare", CAT, "-r", "cup.jpg", *maps])
    assert isinstance(refused.exception, UsageError)
    assert Path("cup.jpg").read_bytes() == Path(CUP).read_bytes()
