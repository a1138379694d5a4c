from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from test_pack import Wide, answer

from zhentu.detect.sessions import has_8bit_products
from zhentu.detect.views import ViewSpec
from zhentu_training.config import LookSpec, TrainSpec, load_spec
from zhentu_training.export import to_onnx
from zhentu_training.integer import (
    ATTENTION,
    INTEGER_PRODUCT,
    Measured,
    bounded,
    emulated,
    measured,
    products_of,
    to_integer_products,
    with_fused_attention,
    without_first_block,
)
from zhentu_training.model import BackboneSpec, Branch, TokenSpec, ZhentuModel
from zhentu_training.pack import pack, save_with_shared_weights

TINY = BackboneSpec("test_vit", "none", 3)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("integer")
    plain, path = folder / "plain.onnx", folder / "float.onnx"
    torch.onnx.export(
        Wide().eval(), (torch.zeros(2, 7, 256),), str(plain), dynamo=True, external_data=False, verbose=False
    )
    save_with_shared_weights(pack(onnx.load(str(plain))), path, folder / "weights.bin")
    return path


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, 7, 256)).astype(np.float32)


def same_here(model: onnx.ModelProto, path: Path) -> Path:
    """What this processor can calculate without overflow."""
    onnx.save(model if has_8bit_products() else emulated(model), str(path))
    return path


def test_what_lies_within_bounds_is_quantised_by_one_step_with_the_bias_in_the_product(
    packed: Path, tmp_path: Path
) -> None:
    (entering,) = bounded(onnx.load(str(packed)))  # the second product shrinks what enters it: that goes by rows
    known = measured(packed, [values(seed) for seed in range(8)])
    low, high = known.bounds[entering]
    assert -6 < low < -3 < 3 < high < 6
    model = to_integer_products(onnx.load(str(packed)), known)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count(INTEGER_PRODUCT) == 2
    assert kinds.count("ReduceMax") == 1
    assert kinds.count("Add") == 1  # the first bias is inside its product
    x = values(9)
    plain = answer(packed, x)
    assert np.abs(answer(same_here(model, tmp_path / "i.onnx"), x) - plain).max() < 0.05 * np.abs(plain).max()


def test_what_lies_beyond_the_bounds_is_cut_off(packed: Path, tmp_path: Path) -> None:
    (entering,) = bounded(onnx.load(str(packed)))
    model = to_integer_products(onnx.load(str(packed)), Measured({entering: (-1.0, 1.0)}, {}))
    cut = answer(same_here(model, tmp_path / "i.onnx"), values(3) * 9)
    expected = answer(packed, np.clip(values(3) * 9, -1, 1))
    assert np.abs(cut - expected).max() < 0.05 * np.abs(expected).max()


def test_what_reaches_high_and_not_deep_gets_its_levels_above_nought(packed: Path, tmp_path: Path) -> None:
    """Behind a ReLU nothing is below nought: levels kept for that would be lost."""
    known = measured(packed, [values(seed) for seed in range(4)])
    ((hidden, (low, high)),) = known.usual.items()
    assert low == 0 < 0.5 < high
    graphs = {
        "symmetric": to_integer_products(onnx.load(str(packed)), Measured(known.bounds, {})),
        "measured": to_integer_products(onnx.load(str(packed)), known),
    }
    noughts = [onnx.numpy_helper.to_array(each) for graph in graphs.values() for each in graph.graph.initializer
               if each.name == f"{hidden}_nought"]  # fmt: skip
    assert [int(each) for each in noughts] == [128, 1]
    x, errors = values(9), []
    for name, graph in graphs.items():
        errors.append(np.abs(answer(same_here(graph, tmp_path / f"{name}.onnx"), x) - answer(packed, x)).mean())
    assert errors[1] < 0.95 * errors[0]


def test_the_emulation_of_one_step_is_exact(packed: Path, tmp_path: Path) -> None:
    model = to_integer_products(onnx.load(str(packed)), measured(packed, [values(1)]))
    first = next(iter(products_of(onnx.load(str(packed))).values()))
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(first.result))
    onnx.save(emulated(model), str(tmp_path / "emulated.onnx"))
    session = ort.InferenceSession(str(tmp_path / "emulated.onnx"))
    (found,) = session.run([first.result], {first.x: values(1)})
    step, nought = arrays[f"{first.x}_step"], int(arrays[f"{first.x}_nought"])
    whole = np.clip(np.round(values(1) / step) + nought, 0, 255).astype(np.int64) - nought
    expected = (whole @ arrays[first.whole].astype(np.int64)) * (step * arrays[first.scale]) + arrays[first.bias]
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)


def exported(tmp_path: Path) -> tuple[Path, TrainSpec]:
    spec = replace(load_spec(Path("configs/train-smoke.yaml")), exit=None)  # its nodes are all counted below
    torch.manual_seed(2)
    model = ZhentuModel(spec.graph)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    to_onnx(model.eval(), spec, tmp_path / "plain.onnx")
    return tmp_path / "plain.onnx", spec


def views_of(spec: ViewSpec, count: int) -> np.ndarray:
    shape = (count, spec.whole_size, spec.whole_size, 3)
    return np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)


def test_fused_attention_says_the_same_and_each_view_is_read_by_itself(tmp_path: Path) -> None:
    path, spec = exported(tmp_path)
    model = with_fused_attention(onnx.load(str(path)))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count(ATTENTION) == spec.backbone.depth
    assert "Softmax" not in kinds
    onnx.save(model, str(tmp_path / "fused.onnx"))
    plain, fused = (ort.InferenceSession(str(each)) for each in (path, tmp_path / "fused.onnx"))
    views = views_of(spec.views, 3)
    together = fused.run(None, {"views": views})
    for expected, found in zip(plain.run(None, {"views": views}), together, strict=True):
        assert np.abs(expected).max() > 0
        assert np.allclose(expected, found, atol=1e-4)
    for k in range(3):
        alone = fused.run(None, {"views": views[k : k + 1]})
        assert all(np.allclose(one[0], of_all[k], atol=1e-5) for one, of_all in zip(alone, together, strict=True))


def test_one_graph_takes_looks_of_two_sizes(tmp_path: Path) -> None:
    """The shipped encoder's first block, with crops of 160 px: as torch says, in 8 bits too, and read back by name."""
    plain, tokens = load_spec(Path("configs/train.yaml")), TokenSpec((0,), (0,))
    fitted = replace(plain.fit, whole=LookSpec(tokens), crops=LookSpec(tokens))
    spec = replace(
        plain,
        views=replace(plain.views, crop_size=160),
        backbone=replace(plain.backbone, depth=1),
        fit=fitted,
    )
    model = ZhentuModel(spec.graph).eval()
    for look in (model.whole, model.crops):
        torch.nn.init.normal_(look.linear.weight, std=0.05, generator=torch.Generator().manual_seed(6))
    path = tmp_path / "plain.onnx"
    to_onnx(model, spec, path)
    looks = {
        side: np.random.default_rng(side).integers(0, 256, (2, side, side, 3), dtype=np.uint8) for side in (224, 160)
    }
    known = measured(path, [look[:1] for look in looks.values()])
    integer = same_here(
        to_integer_products(with_fused_attention(onnx.load(str(path))), known), tmp_path / "integer.onnx"
    )
    exact, small = (ort.InferenceSession(str(each)) for each in (path, integer))
    for look in looks.values():
        with torch.inference_mode():
            expected = [each.numpy() for each in model(torch.from_numpy(look))]
        found = exact.run(None, {"views": look})
        assert all(np.abs(one - other).max() < 1e-4 for one, other in zip(expected, found, strict=True))
        rounded = small.run(["whole_logits"], {"views": look})[0]
        assert np.abs(rounded - expected[0]).max() < 0.1 * np.abs(expected[0]).max()
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(str(path)).graph.initializer}
    for name in ("cls_token", "pos_embed", "patch_embed.proj.weight"):
        kept = dict(model.encoder.backbone.named_parameters())[name].numpy()
        assert np.array_equal(arrays[f"encoder.backbone.{name}"], kept), name


def test_the_class_token_alone_is_what_the_whole_last_block_makes_of_it() -> None:
    branch = Branch(TINY).eval()
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    views = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8))
    with torch.inference_mode():
        whole, alone = list(branch.blocks(views)), list(branch.blocks(views, last_patches=False))
    assert torch.allclose(whole[-1][0], alone[-1][0], atol=1e-4)
    assert alone[-1][1].shape[1] == 0
    assert torch.equal(whole[-2][1], alone[-2][1])


def test_the_first_block_is_left_without_bounds() -> None:
    """Three activations of every block have bounds; the first block's go by rows."""
    bounds = {f"block {k} {part}": (-1.0, 1.0) for k in range(3) for part in ("attention", "output", "wide")}
    known = Measured(bounds, {"narrow": (0.0, 1.0)})
    assert list(without_first_block(known).bounds) == list(bounds)[3:]
    assert without_first_block(known).usual == known.usual
