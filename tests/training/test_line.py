from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from zhentu.detect.models import samples_folder
from zhentu.errors import ConfigError
from zhentu_training.dataset import read_manifest
from zhentu_training.forge.draws import load_sections
from zhentu_training.forge.registry import RECIPES

GENUINE = sorted(samples_folder().glob("genuine_*.jpg"))
FAST = ["material", "effect", "scene", "cutout", "negatives"]


def forge(out: Path, *options: str, pictures: list[Path] | None = None) -> subprocess.CompletedProcess[str]:
    named = [str(path) for path in pictures or GENUINE[:2]]
    command = [sys.executable, "-m", "zhentu_training.forge.cli", *named, str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.*g"))}


def test_the_same_pictures_and_seed_give_the_same_bytes_with_any_number_of_processes(tmp_path: Path) -> None:
    options = ["--per-picture", "3", "--recipes", *FAST]
    first = forge(tmp_path / "a", *options, "--workers", "1")
    assert first.returncode == 0, first.stderr
    forge(tmp_path / "b", *options, "--workers", "2")
    other = forge(tmp_path / "c", *options, "--seed", "5")
    assert other.returncode == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_the_manifest_is_what_training_reads_and_the_parameters_are_kept(tmp_path: Path) -> None:
    assert forge(tmp_path, "--per-picture", "2", "--recipes", "effect.glow", "--split", "dev").returncode == 0
    samples = read_manifest(tmp_path / "manifest.csv")
    forged = [sample for sample in samples if sample.recipe]
    assert len(forged) == 4
    assert len(samples) - len(forged) == 2
    assert {sample.split for sample in samples} == {"dev"}
    assert all(s.path.is_file() and s.mask and s.mask.is_file() and s.pair and s.pair.is_file() for s in forged)
    assert {sample.product for sample in forged} == {sample.product for sample in samples if not sample.recipe}
    rows = [json.loads(line) for line in (tmp_path / "parameters.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == [sample.path.name for sample in forged]
    assert all(0.75 <= row["parameters"]["strength"] <= 1.3 for row in rows)
    assert (tmp_path / "overview.jpg").stat().st_size > 1000


def test_a_config_moves_the_distribution_it_names_and_no_other(tmp_path: Path) -> None:
    config = tmp_path / "mild.yaml"
    config.write_text("effect:\n  strength: [0.1, 0.2]\nfamilies:\n  effect: 1\n  material: 0\n")
    sections = load_sections(config)
    assert sections["effect"]["strength"] == [0.1, 0.2]
    assert sections["families"] == load_sections()["families"] | {"effect": 1, "material": 0}
    assert sections["material.weave"] == load_sections()["material.weave"]


def test_every_problem_of_a_config_is_named_at_once(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(
        "effect:\n  strenght: [0.1, 0.2]\n  stacked: often\nmaterial.wave: {}\nmaterial.weave:\n  period: [9, 3]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_sections(config)
    text = str(caught.value)
    assert "effect.strenght: unknown, did you mean strength?" in text
    assert "effect.stacked" in text
    assert "did you mean material.weave?" in text
    assert "material.weave.period" in text


def test_a_wrong_config_or_recipe_ends_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("efect: {}\n")
    for options in (["--config", str(config)], ["--recipes", "gloss"]):
        result = forge(tmp_path / "out", *options)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        assert "unknown" in result.stderr


def test_an_unreadable_picture_is_named_and_the_others_are_forged(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(GENUINE[0].read_bytes()[:2000])
    result = forge(tmp_path / "out", "--per-picture", "1", "--recipes", "effect.glow", pictures=[broken, GENUINE[0]])
    assert result.returncode == 0
    assert "broken.jpg" in result.stderr
    assert "1 files could not be read" in result.stderr


def test_every_recipe_has_its_distributions_in_the_config() -> None:
    sections = yaml.safe_load(Path("configs/forge.yaml").read_text())
    assert set(RECIPES) <= set(sections)
    assert set(sections["families"]) == {name.split(".")[0] for name in RECIPES}


def test_the_recipes_are_listed_whatever_else_is_asked_and_help_says_so() -> None:
    command = [sys.executable, "-m", "zhentu_training.forge.cli"]
    listed = subprocess.run([*command, "pictures", "--list"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == list(RECIPES)
    assert "--list" in subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
