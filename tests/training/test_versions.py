"""A model has a version of its own, and the shipped configuration for tuning fits the shipped model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

pytest.importorskip("torch")

from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest, models_folder
from zhentu_training.config import load_spec
from zhentu_training.export import add_to_manifest, taken_version
from zhentu_training.start import head_of

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_version_that_other_weights_have_is_not_taken(entry: ModelEntry, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    assert taken_version(folder, entry) == "", "the same weights may be written again"
    other = replace(entry, sha256="f" * 64)
    assert "tiny@1 is in" in taken_version(folder, other)
    assert "set another version" in taken_version(folder, other)
    for free in (replace(other, version="2"), replace(other, name="mine")):
        assert taken_version(folder, free) == ""
    assert taken_version(tmp_path / "none", other) == ""


def test_a_manifest_of_an_older_format_is_asked_too(entry: ModelEntry, tmp_path: Path) -> None:
    listed = {"name": "tiny", "version": "1", "sha256": "f" * 64, "size": 192}
    (tmp_path / "manifest.json").write_text(json.dumps({"models": [listed]}), encoding="utf-8")
    assert taken_version(tmp_path, entry)


def test_a_new_version_stands_beside_the_old_one(entry: ModelEntry, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    add_to_manifest(folder, replace(entry, version="2"))
    assert [str(each.ref) for each in Manifest.load(folder).models] == ["tiny@1", "tiny@2"]


@pytest.mark.parametrize("look", ["whole", "crops"])
def test_the_shipped_model_can_be_tuned_with_the_shipped_configuration(look: str) -> None:
    assert head_of(models_folder(), look, load_spec(CONFIGS / "tune.yaml")).weight.shape[0] == 5


def test_tuning_starts_from_the_shipped_views_and_encoder_under_a_version_of_its_own() -> None:
    tune, train = load_spec(CONFIGS / "tune.yaml"), load_spec(CONFIGS / "train.yaml")
    assert (tune.views, tune.backbone) == (train.views, train.backbone)
    shipped = Manifest.load(models_folder())
    assert str(train.version) == shipped.active_entry.version
    newest = max(Version(each.version) for each in shipped.models if each.name == tune.name)
    assert Version(tune.version) > newest
