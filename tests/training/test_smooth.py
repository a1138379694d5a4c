from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zhentu.detect.models import samples_folder
from zhentu_training import smooth
from zhentu_training.config import load_spec
from zhentu_training.encoder_weights import fill, read_encoder, write_encoder
from zhentu_training.model import BackboneSpec, Branch
from zhentu_training.smooth import peaks_of, smoothed

SPEC = BackboneSpec(name="test_vit", weights="none", depth=2)


@pytest.fixture
def views() -> np.ndarray:
    branch = Branch(SPEC)
    side = branch.backbone.patch_embed.img_size[0]
    return np.random.default_rng(1).integers(0, 256, (3, side, side, 3), np.uint8)


def said(branch: Branch, views: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [patches.numpy() for _, patches in branch.blocks(torch.from_numpy(views))]


def test_the_encoder_says_the_same_with_channels_evened_out(views: np.ndarray) -> None:
    branch = Branch(SPEC).eval()
    with torch.no_grad():
        branch.backbone.blocks[0].norm1.weight[3] *= 60  # one loud channel, as transformers have them
    before, loud = said(branch, views), peaks_of(branch, [views])
    arrays = {name: value.numpy() for name, value in branch.backbone.state_dict().items()}
    branch.backbone.load_state_dict({name: torch.from_numpy(v) for name, v in smoothed(arrays, loud).items()})
    for ours, theirs in zip(said(branch, views), before, strict=True):
        assert np.allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())
    quiet = peaks_of(branch, [views])
    for name in ("blocks.0.attn.qkv", "blocks.1.mlp.fc1"):
        assert quiet[name].max() / np.median(quiet[name]) < loud[name].max() / np.median(loud[name])
    assert quiet["blocks.0.attn.qkv"].max() / np.median(quiet["blocks.0.attn.qkv"]) < 20


def test_an_encoder_is_made_of_the_configs_and_one_that_is_there_is_evened_out_again(
    views: np.ndarray, tmp_path: Path
) -> None:
    path, config = tmp_path / "encoder.npz", Path("configs/train-smoke.yaml")
    words = ["--encoder", str(path), "--pictures", str(samples_folder()), "--config", str(config), "--count", "3"]
    expected = said(Branch(load_spec(config).backbone).eval(), views)
    for _ in range(2):
        smooth.main(words)
        branch = Branch(load_spec(config).backbone).eval()
        fill(branch.backbone, read_encoder(path), str(path))
        for ours, theirs in zip(said(branch, views), expected, strict=True):
            assert np.allclose(ours, theirs, atol=0.05 * np.abs(theirs).max())  # its matrices have 8 bits
    loud = {name: value * 3 for name, value in read_encoder(path).items() if name != "pos_embed"}
    write_encoder(loud | {"pos_embed": read_encoder(path)["pos_embed"]}, path)
    smooth.main(words)
    fill(branch.backbone, read_encoder(path), str(path))
    assert not np.allclose(said(branch, views)[0], expected[0], atol=0.05 * np.abs(expected[0]).max())
