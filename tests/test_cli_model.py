"""One rule for every command: the store's choice of model, else the settings', else the manifest's."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import encoded, photo
from typer.testing import CliRunner

from zhentu.bootstrap.stores import open_database, with_chosen_model
from zhentu.cli.app import app
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.errors import StoreError
from zhentu.record.history import ModelHistory
from zhentu.settings import Settings, load_settings

run = CliRunner().invoke


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: ModelEntry) -> Settings:
    """Three models: 1 is the manifest's, 2 the settings', 3 the store's."""
    folder = tmp_path / "models"
    models = tuple(replace(entry, version=version) for version in "123")
    replace(Manifest.load(folder), models=models, active="tiny@1").save(folder)
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(folder))
    monkeypatch.setenv("ZHENTU_MODELS_ACTIVE", "tiny@2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(encoded(photo((300, 200)), "JPEG"))
    with open_database(load_settings()) as database:
        ModelHistory(database).use("tiny@3")
    return load_settings()


@pytest.mark.parametrize("options", [[], ["--no-store"]])
def test_scan_and_inspect_use_the_model_of_the_store(options: list[str], chosen: Settings, tmp_path: Path) -> None:
    told = json.loads(run(app, ["inspect", "a.jpg", "--json"]).stdout)
    assert told["verdict"]["model"]["version"] == "3"
    assert run(app, ["scan", "a.jpg", "-o", "rows.csv", *options]).exit_code == 0
    (row,) = csv.DictReader((tmp_path / "rows.csv").read_text(encoding="utf-8-sig").splitlines())
    assert row["model"] == "tiny@3"


def test_what_needs_no_store_does_without_one_that_is_away(chosen: Settings) -> None:
    away = chosen.changed({"store.url": "postgresql+psycopg://nobody@127.0.0.1:1/none"})
    assert with_chosen_model(away, required=False).models.active == "tiny@2"
    with pytest.raises(StoreError):
        with_chosen_model(away)


@pytest.mark.parametrize("command", [["model", "list"], ["model", "verify"], ["policy", "show"], ["doctor"]])
def test_other_commands_name_it_too(command: list[str], chosen: Settings) -> None:
    said = run(app, command).stdout
    assert "tiny@3" in said
    active = [line for line in said.splitlines() if line.startswith("active")]
    assert all("tiny@3" in line for line in active)
