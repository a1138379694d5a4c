from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zhentu.bootstrap.models import find_model
from zhentu.cli.app import app
from zhentu.detect.models import samples_folder
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import PictureNotFound
from zhentu.settings import load_settings

CUP, CAT = (str(samples_folder() / f"genuine_{name}.jpg") for name in ("cup", "cat"))


def test_the_closest_reference_speaks_and_a_heatmap_is_written(tmp_path: Path) -> None:
    heat = tmp_path / "unlike.png"
    said = CliRunner().invoke(app, ["compare", CUP, "-r", CAT, "-r", CUP, "--json", "--heatmap", str(heat)])
    assert said.exit_code == 0, said.output
    stated = json.loads(said.stdout)
    assert stated["reference"] == CUP
    assert stated["mismatch"] is False
    assert heat.read_bytes().startswith(b"\x89PNG")


def test_other_goods_exit_with_1_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zhentu.detect.compare.Comparer.review_threshold", 0.0)  # everything is other goods
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
