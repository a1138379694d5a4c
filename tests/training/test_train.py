from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training import train
from training.config import load_spec
from training.dataset import read_manifest
from training.forge.cli import main as forge_main
from training.train import train_branch
from zhentu.detect.models import samples_folder


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
