from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.detect.views import make_views
from zhentu.errors import UsageError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.export import add_to_manifest, entry_of, to_onnx
from zhentu_training.model import Fusion, ZhentuModel, build_branch
from zhentu_training.start import hold_statistics, set_first_weights

SPEC = load_spec(Path("configs/train-smoke.yaml"))


def trained(spec: TrainSpec) -> ZhentuModel:
    """Random weights, and statistics as training leaves them: not 0 and 1."""
    torch.manual_seed(3)
    branches = [build_branch(getattr(spec, name).backbone) for name in ("whole", "crops")]
    with torch.no_grad():
        for parameter in branches[0].patch_head.parameters():
            parameter.normal_(std=0.1)
        for module in branches[1].modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.normal_(std=0.1)  # the exporter keeps equal tensors once
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
    return ZhentuModel(*branches, Fusion()).eval()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ZhentuModel]:
    folder = tmp_path_factory.mktemp("models")
    model = trained(SPEC)
    fitted = {"thresholds": {f"{label.value}.review": 0.5 for label in CATEGORIES[:4]} | {"ai_generated.label": 0.5}}
    (folder / "fusion.json").write_text(json.dumps(fitted))
    (folder / "training_data.json").write_text(json.dumps({"digest": "0" * 64, "pictures": 1, "sources": 1}))
    path = folder / "zhentu-smoke-0.0.1.onnx"
    to_onnx(model, SPEC, path)
    add_to_manifest(folder, entry_of(path, folder, SPEC))
    return folder, model


@pytest.mark.parametrize("branch", ["whole", "crops"])
def test_a_branch_read_back_from_a_graph_says_what_it_said(shipped: tuple[Path, ZhentuModel], branch: str) -> None:
    folder, model = shipped
    original = getattr(model, branch)
    torch.manual_seed(8)
    fresh = build_branch(getattr(SPEC, branch).backbone)
    if branch == "whole":  # frozen: it comes from its package, here from nowhere
        fresh.backbone.load_state_dict(original.backbone.state_dict())
    side = SPEC.views.whole_size if branch == "whole" else SPEC.views.crop_size
    views = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = original(views)
        assert not torch.allclose(fresh.eval()(views), expected, atol=1e-3)
        set_first_weights(fresh, branch, folder)
        torch.testing.assert_close(fresh.eval()(views), expected, rtol=1e-3, atol=1e-4)


def test_held_statistics_do_not_move_and_training_gives_what_serving_gives(
    shipped: tuple[Path, ZhentuModel],
) -> None:
    fresh = build_branch(SPEC.crops.backbone)
    set_first_weights(fresh, "crops", shipped[0])
    fresh.train()
    hold_statistics(fresh)
    for module in fresh.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    before = {name: value.clone() for name, value in fresh.state_dict().items() if "running" in name}
    side = SPEC.views.crop_size
    views = torch.randint(0, 256, (4, side, side, 3), dtype=torch.uint8)
    said = fresh(views)
    torch.testing.assert_close(said, shipped[1].crops(views), rtol=1e-3, atol=1e-3)
    said.sum().backward()
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in before.items())
    assert fresh.backbone.conv_stem.weight.grad.abs().sum() > 0


def test_the_shipped_models_crops_are_read_back() -> None:
    manifest = Manifest.load(models_folder())
    entry = manifest.in_floating_point(manifest.entry(manifest.active)) or manifest.entry(manifest.active)
    spec = load_spec(Path("configs/tune.yaml"))
    assert spec.views == entry.views
    assert spec.version not in {each.version for each in manifest.models}
    branch = build_branch(spec.crops.backbone)
    set_first_weights(branch, "crops", models_folder())
    views = make_views(decode((samples_folder() / "genuine_cup.jpg").read_bytes()).rgb, spec.views)
    _, _, expected = Detector(entry, models_folder()).run(views)
    with torch.inference_mode():
        said = branch.eval()(torch.from_numpy(views.crops))[:, : len(CATEGORIES)].numpy()
    np.testing.assert_allclose(said, expected, atol=2e-3)


def test_what_cannot_be_tuned_on_is_named(shipped: tuple[Path, ZhentuModel], tmp_path: Path) -> None:
    branch = build_branch(SPEC.crops.backbone)
    with pytest.raises(UsageError, match="neither a finished run"):
        set_first_weights(branch, "crops", tmp_path)
    with pytest.raises(UsageError, match="is not the one of the config"):
        set_first_weights(branch, "crops", models_folder())
