from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from zhentu.detect.sessions import has_8bit_products
from zhentu_training.integer import emulated, to_integer_products
from zhentu_training.pack import pack, save_with_shared_weights


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(256, 512), nn.Linear(512, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("pack") / "plain.onnx"
    torch.onnx.export(
        Wide().eval(), (torch.zeros(2, 7, 256),), str(path), dynamo=True, external_data=False, verbose=False
    )
    return path


def answer(path: Path, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(path))
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def test_both_graphs_share_one_file_and_say_nearly_the_same(exported: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((2, 7, 256)).astype(np.float32)
    shared = tmp_path / "weights.bin"
    model = pack(onnx.load(str(exported)))
    assert save_with_shared_weights(model, tmp_path / "float.onnx", shared)
    size = shared.stat().st_size
    integer = to_integer_products(onnx.load(str(tmp_path / "float.onnx")))
    assert save_with_shared_weights(integer, tmp_path / "integer.onnx", shared)
    assert shared.stat().st_size == size < exported.stat().st_size / 3
    assert (tmp_path / "integer.onnx").stat().st_size < 20_000
    plain = answer(exported, x)
    assert np.abs(answer(tmp_path / "float.onnx", x) - plain).max() < 0.02 * np.abs(plain).max()
    # Without 8-bit dot products sums overflow: such processors are served the floating-point model, see `find_model`.
    allowed = 0.05 if has_8bit_products() else 0.25
    assert np.abs(answer(tmp_path / "integer.onnx", x) - plain).max() < allowed * np.abs(plain).max()


def test_a_row_of_large_values_takes_no_precision_from_the_others(exported: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(2).standard_normal((2, 7, 256)).astype(np.float32)
    loud = x.copy()
    loud[0, 0] *= 1000
    save_with_shared_weights(pack(onnx.load(str(exported))), tmp_path / "float.onnx", tmp_path / "weights.bin")
    onnx.save(emulated(to_integer_products(onnx.load(str(tmp_path / "float.onnx")))), str(tmp_path / "same.onnx"))
    quiet, beside = answer(tmp_path / "same.onnx", x), answer(tmp_path / "same.onnx", loud)
    assert np.allclose(quiet[0, 1:], beside[0, 1:], rtol=1e-5, atol=1e-5)


def test_packing_packed_weights_again_changes_nothing(exported: Path, tmp_path: Path) -> None:
    x = np.ones((2, 7, 256), np.float32)
    save_with_shared_weights(pack(onnx.load(str(exported))), tmp_path / "once.onnx", tmp_path / "weights.bin")
    model = onnx.load(str(tmp_path / "once.onnx"))
    again = pack(model)
    save_with_shared_weights(again, tmp_path / "twice.onnx", tmp_path / "weights.bin")
    assert np.array_equal(answer(tmp_path / "once.onnx", x), answer(tmp_path / "twice.onnx", x))


def test_a_file_of_other_weights_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\1" * 300_000)
    with pytest.raises(ValueError, match="other weights"):
        save_with_shared_weights(pack(onnx.load(str(exported))), tmp_path / "a.onnx", tmp_path / "weights.bin")


def test_the_emulation_is_exact_where_eight_bit_products_overflow(exported: Path, tmp_path: Path) -> None:
    """On a processor without 8-bit dot products ONNX Runtime saturates; integer arithmetic by NumPy is the judge."""
    x = np.random.default_rng(3).standard_normal((2, 7, 256)).astype(np.float32) * 9
    save_with_shared_weights(pack(onnx.load(str(exported))), tmp_path / "float.onnx", tmp_path / "weights.bin")
    integer = to_integer_products(onnx.load(str(tmp_path / "float.onnx")))
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in integer.graph.initializer}
    onnx.save(emulated(integer), str(tmp_path / "emulated.onnx"))
    assert not any(node.op_type == "MatMulInteger" for node in integer.graph.node)

    def product(values: np.ndarray, name: str) -> np.ndarray:
        highest, lowest = values.max(-1, keepdims=True), values.min(-1, keepdims=True)
        step = np.maximum(highest / np.float32(127), lowest / np.float32(-128))  # of each row by itself
        whole = np.round(values / step).astype(np.int64)
        return (whole @ arrays[f"{name}_packed"].astype(np.int64)) * step * arrays[f"{name}_packed_scale"]

    names = [name.removesuffix("_packed") for name in arrays if name.endswith("_packed")]
    first, second = sorted(names, key=lambda name: -arrays[f"{name}_packed"].shape[1])
    hidden = np.maximum(product(x, first) + exact_bias(exported, 512), 0).astype(np.float32)
    expected = product(hidden, second) + exact_bias(exported, 256)
    # A value on the border between two integers may fall either way.
    assert np.abs(answer(tmp_path / "emulated.onnx", x) - expected).mean() < 2e-3 * np.abs(expected).mean()


def exact_bias(path: Path, length: int) -> np.ndarray:
    arrays = [onnx.numpy_helper.to_array(each) for each in onnx.load(str(path)).graph.initializer]
    return next(array for array in arrays if array.shape == (length,))
