"""The goods finder's graph is written for speed: another order of the same sums."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from zhentu.detect.models import Manifest, models_folder
from zhentu_training.compare.finder import streamlined


def _graph(more: list[onnx.NodeProto], outputs: list[str]) -> onnx.ModelProto:
    """A map enlarged to the size of another, as PyTorch writes it, joined with that one, and convolved."""
    rng = np.random.default_rng(4)
    weights = {"down": (8, 3, 3, 3), "over": (4, 11, 3, 3), "bias": (4,)}
    stored = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in weights.items()]
    stored += [numpy_helper.from_array(np.array(value), name) for name, value in
               {"two": [2], "four": [4], "first": [0], "width": [8], "axis": [0]}.items()]  # fmt: skip
    stored.append(numpy_helper.from_array(np.zeros(0, np.float32), "none"))
    half, same = {"strides": [2, 2], "pads": [1, 1, 1, 1]}, {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "down"], ["small"], **half),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "two", "four", "axis"], ["sides"]),
        helper.make_node("Shape", ["small"], ["small_shape"]),
        helper.make_node("Slice", ["small_shape", "first", "two", "axis"], ["channels"]),
        helper.make_node("Concat", ["channels", "sides"], ["size"], axis=0),
        helper.make_node(
            "Resize", ["small", "none", "none", "size"], ["large"], mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
        ),
        helper.make_node("Concat", ["large", "x"], ["joined"], axis=1),
        helper.make_node("Conv", ["joined", "over", "bias"], ["convolved"], "over", **same),
        *more,
    ]  # fmt: skip
    shapes = {"convolved": [1, 4, 16, 16], "again": [1, 11, 16, 16]}
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs], stored,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


def _run(model: onnx.ModelProto) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(5).normal(size=(1, 3, 16, 16)).astype(np.float32)
    return [np.asarray(each) for each in session.run(None, {"x": picture})]


@pytest.mark.parametrize("shared", [False, True])
def test_a_streamlined_graph_gives_the_same_maps_and_joins_none_that_a_convolution_reads_alone(shared: bool) -> None:
    more = [helper.make_node("Relu", ["joined"], ["again"])] if shared else []
    plain = _graph(more, ["convolved", "again"] if shared else ["convolved"])
    changed = streamlined(onnx.ModelProto.FromString(plain.SerializeToString()))
    for before, after in zip(_run(plain), _run(changed), strict=True):
        assert before == pytest.approx(after, rel=1e-5, abs=1e-3)
    kinds = Counter(node.op_type for node in changed.graph.node)
    assert kinds["Shape"] == kinds["Slice"] == 0
    assert (kinds["Concat"], kinds["Conv"]) == ((1, 2) if shared else (0, 3))


def test_the_shipped_finder_enlarges_by_constant_factors() -> None:
    entry = Manifest.load(models_folder()).finder
    assert entry is not None
    graph = onnx.load(models_folder() / entry.file).graph
    stored = {each.name for each in graph.initializer}
    enlarged = [node for node in graph.node if node.op_type == "Resize"]
    assert len(enlarged) == 38
    assert all(len(node.input) == 3 and node.input[2] in stored for node in enlarged)
