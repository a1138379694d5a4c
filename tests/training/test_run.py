"""`python -m zhentu_training run` on the samples with a network of random weights, killed once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest, samples_folder
from zhentu.errors import UsageError
from zhentu.types import FORGERY_CATEGORIES
from zhentu_training.run import main

FAST = ["--recipes", "effect", "cutout", "--per-picture", "1", "--workers", "1", "--config", "configs/train-smoke.yaml"]
STEPS = ["prepare", "features", "crossval", "fit", "export", "quantise", "locate", "evaluate"]


def folders(root: Path) -> Path:
    """The package's samples, a folder a category."""
    named = {"genuine": "genuine_*.jpg", "ai": "forged_ai_generated*.jpg"}
    named |= {each.value: f"forged_{each.value}*.jpg" for each in FORGERY_CATEGORIES}
    for folder, pattern in named.items():
        (root / folder).mkdir(parents=True)
        for path in samples_folder().glob(pattern):
            (root / folder / path.name).write_bytes(path.read_bytes())
    return root


def command(pictures: Path, out: Path, *options: object) -> list[str]:
    words = ["run", "--pictures", pictures, "--out", out, *FAST, *options]
    return [sys.executable, "-m", "zhentu_training", *map(str, words)]


_KILLED = """
import os, signal, sys
from zhentu_training import run, steps
step, written = sys.argv.pop(1), steps.write_whole
def write(path, content):
    written(path, content)
    if path.name == step + ".json":
        os.kill(os.getpid(), signal.SIGKILL)
steps.write_whole = write
run.main()
"""


def killed_after(step: str, words: list[str]) -> None:
    """Run until a step's record is there; then it is killed without a word."""
    given = [words[0], "-c", _KILLED, step, *words[words.index("run") :]]
    ran = subprocess.run(given, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def test_a_killed_run_goes_on_and_a_second_model_is_compared_with_the_first(tmp_path: Path) -> None:
    pictures, first, second = folders(tmp_path / "pictures"), tmp_path / "first", tmp_path / "second"
    words = command(pictures, first, "--against", tmp_path / "none")
    killed_after("prepare", words)
    assert (first / "steps" / "prepare.json").is_file()
    assert not (first / "models").exists(), "no half model folder"
    outcome = subprocess.run(words, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert "1/8 prepare: done before" in outcome.stderr
    assert [name for name in STEPS if not (first / "steps" / f"{name}.json").is_file()] == []
    assert re.search(rf"ZHENTU_MODELS_DIR={first}/models zhentu model use first(-int8)?@0.0.1\n", outcome.stdout)

    entry = Manifest.load(first / "models").entry("first@0.0.1")
    assert Detector(entry, first / "models").verify_golden(samples_folder()) < 1e-4
    card = (first / "models" / "MODEL_CARD.md").read_text()
    assert "# Model card: first@0.0.1" in card
    assert (first / "models" / "curves.png").stat().st_size > 1000

    again = ["--name", "first", "--version"]
    with pytest.raises(UsageError, match=r"first@0.0.1 is in .* already; give another --name or --version"):
        main(command(pictures, second, "--against", first / "models", *again, "0.0.1")[3:])
    words = command(pictures, second, "--against", first / "models", *again, "0.0.2")
    outcome = subprocess.run(words, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    manifest = Manifest.load(second / "models")
    assert manifest.active == Manifest.load(first / "models").active, "not in force before it is promoted"
    assert f"ZHENTU_MODELS_DIR={second / 'models'} zhentu model promote first" in outcome.stdout
    table = pd.read_csv(second / "models" / "comparison.csv").set_index("output")
    assert {"AUC, new", "AUC, first@0.0.1", "AUC, difference"} <= set(table.columns)
    assert "[" in table["AUC, difference"]["any of the four"], "with an interval"
    assert "Against first@0.0.1" in (second / "models" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml: is not there"),
        (["--name", "Mine!"], "is not a valid model name"),
        (["--name", "mine-int8"], "without -int8"),
        (["--version", "next one"], "version: letters, digits"),
        (["--recipes", "gloss"], "unknown recipes gloss"),
        (["--per-source", "0", "9"], "1 at least of each kind"),
    ],
)
def test_a_wrong_call_ends_with_a_sentence_before_anything_is_done(
    tmp_path: Path, options: list[str], said: str
) -> None:
    pictures = folders(tmp_path / "pictures")
    with pytest.raises(UsageError, match=said):
        main(["run", "--pictures", str(pictures), "--out", str(tmp_path / "out"), *FAST, *options])
    assert not (tmp_path / "out" / "set").exists()


def test_pictures_that_are_not_there_and_one_kind_alone_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        main(["run", "--pictures", str(tmp_path / "no"), "--out", str(tmp_path / "out"), *FAST])
    (tmp_path / "in" / "genuine").mkdir(parents=True)
    (tmp_path / "in" / "genuine" / "a.jpg").write_bytes((samples_folder() / "genuine_cup.jpg").read_bytes())
    with pytest.raises(UsageError, match="holds no forged or AI-made pictures"):
        main(["run", "--pictures", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *FAST])


def test_the_command_line_ends_with_the_sentence_and_its_code(tmp_path: Path) -> None:
    words = command(tmp_path / "no", tmp_path / "out")
    outcome = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"{tmp_path / 'no'}: does not exist")
    assert "Traceback" not in outcome.stderr
