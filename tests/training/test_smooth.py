from __future__ import annotations

import numpy as np
import pytest
import torch

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
