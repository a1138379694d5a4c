from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from zhentu.detect.models import samples_folder
from zhentu.types import CATEGORIES, Category
from zhentu_training import train
from zhentu_training.config import load_spec
from zhentu_training.dataset import Sample, read_manifest
from zhentu_training.forge.cli import main as forge_main
from zhentu_training.model import build_branch
from zhentu_training.train import train_branch


def test_a_run_killed_after_a_checkpoint_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = [str(path) for path in sorted(samples_folder().glob("genuine_*.jpg"))[:3]]
    options = ["--per-picture", "2", "--recipes", "effect.glow", "cutout", "--workers", "1"]
    monkeypatch.setattr("sys.argv", ["zhentu-forge", *genuine, str(tmp_path / "set"), *options])
    forge_main()
    samples = read_manifest(tmp_path / "set" / "manifest.csv")
    spec = load_spec(Path("configs/train-smoke.yaml"))  # 12 steps, a checkpoint every 5
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected = torch.load(train_branch("crops", spec, samples, tmp_path / "whole", threads=1), weights_only=True)

    steps = []

    def dying(*arguments: object) -> object:
        if len(steps) == 7:
            raise KeyboardInterrupt
        steps.append(1)
        return step(*arguments)  # type: ignore[arg-type]

    step = train._step
    monkeypatch.setattr(train, "_step", dying)
    with pytest.raises(KeyboardInterrupt):
        train_branch("crops", spec, samples, tmp_path / "killed", threads=1)
    monkeypatch.setattr(train, "_step", step)
    resumed = torch.load(train_branch("crops", spec, samples, tmp_path / "killed", threads=1), weights_only=True)
    assert resumed.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_run_that_starts_from_another_begins_with_its_weights(tmp_path: Path) -> None:
    spec = load_spec(Path("configs/train-smoke.yaml"))
    still = replace(spec, crops=replace(spec.crops, steps=1, learning_rate=0.0, head_learning_rate=0.0))
    folder = samples_folder()
    genuine = [Sample(path, "train", "own", path.stem, "", "", "", frozenset(), frozenset(CATEGORIES), None, None, "")
               for path in sorted(folder.glob("genuine_*.jpg"))[:2]]  # fmt: skip
    label = frozenset({Category.EXAGGERATED_EFFECT})
    forged = replace(genuine[0], path=folder / "forged_exaggerated_effect.jpg", labels=label, pair=genuine[0].path)
    other = build_branch(spec.crops.backbone)
    (tmp_path / "other").mkdir()
    (tmp_path / "fresh").mkdir()
    torch.save(other.state_dict(), tmp_path / "other" / "crops.pt")
    tuned = train_branch("crops", still, [*genuine, forged], tmp_path / "fresh", 1, tmp_path / "other")
    weights = torch.load(tuned, weights_only=True)
    torch.testing.assert_close(weights["head.weight"], other.state_dict()["head.weight"])
