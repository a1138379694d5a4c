"""Large matrices as 8-bit integers in one file that several graphs share.

A transformer's weights are most of a model. They are kept once, as int8 with one scale per output channel, in an ONNX
external-data file; every graph that needs them (fp32, int8, comparison) names that file. In an fp32 graph they are
brought back to floating point when the session loads (constant folding), so that arithmetic and speed are those of
floating point; in an int8 graph they are used directly, with activations quantised on the fly.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, set_external_data
from onnxruntime.quantization import QuantType, quantize_dynamic

_SMALLEST = 1 << 16  # elements; smaller matrices stay inside the graph as they are
_ALIGN = 4096  # bytes; lets ONNX Runtime map the file into memory
_MIDDLE = "row_middle"
_ONNX_RUNTIME = "com.microsoft"  # the domain of its own operators
INTEGER_PRODUCT = "MatMulIntegerToFloat"
WHOLE, SCALE = "_packed", "_packed_scale"  # behind the name of a matrix


def pack(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace the big constant matrices of MatMuls by int8 and scale; the arithmetic stays floating point."""
    names = _big_matrices(model)
    if not names:
        return model
    eighths = _quantized(model, names)
    graph = model.graph
    kept = [each for each in graph.initializer if each.name not in names]
    nodes = []
    for name in names:
        whole, scale = eighths[name + WHOLE], eighths[name + SCALE]
        kept += [whole, scale]
        nodes += [
            helper.make_node("Cast", [whole.name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_float", scale.name], [name]),
        ]
    nodes += graph.node
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return model


def to_integer_products(model: onnx.ModelProto, kept: int = 0) -> onnx.ModelProto:
    """Let a packed graph multiply integers; activations are quantised on the fly, each row (token) by itself.

    A few of a transformer's tokens are far larger than all others; with one step for a whole tensor (ONNX's
    DynamicQuantizeLinear) they take the 8 bits from the rest. A row's values lie symmetrically around 128 in uint8, the
    form for which processors have products.

    The operators are the few that ONNX Runtime computes in one pass each (QuantizeLinear by rows, MatMulIntegerToFloat
    of its own domain): written out in elementary ones, the passes over memory around a product cost more than it does.

    kept: so many of the last products that shrink their input stay floating point: what enters them comes out of a
    transformer's activation function, where a few values of a row are far larger than its others.
    """
    graph = model.graph
    sizes = {each.name: each.dims for each in graph.initializer}
    packed = {node.output[0]: node for node in graph.node if node.op_type == "Mul" and node.input[0].endswith("_float")}
    shrinking = [name for name in packed if sizes[name + WHOLE][0] > sizes[name + WHOLE][1]]
    for name in shrinking[len(shrinking) - kept :]:
        del packed[name]
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    used = {name for node in graph.node if node.op_type == "MatMul" for name in node.input[1:] if name in packed}
    nodes: list[onnx.NodeProto] = []
    shapes: dict[str, list[int]] = {}
    for node in graph.node:
        if node.output[0] in used or (node.op_type == "Cast" and node.output[0].removesuffix("_float") in used):
            continue
        if node.op_type != "MatMul" or node.input[1] not in used:
            nodes.append(node)
            continue
        x, y = node.input[0], node.output[0]
        scaled = packed[node.input[1]]
        whole, scale = casts[scaled.input[0]], scaled.input[1]
        deep, wide = sizes[whole]
        if f"{x}_rows_shape" not in shapes:
            shapes[f"{x}_rows_shape"] = [-1, deep]
            nodes += _quantised_rows(x)
        shapes[f"{y}_width"] = [wide]
        nodes += _product(x, whole, scale, y)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(128, np.uint8), _MIDDLE),
            numpy_helper.from_array(np.array([128], np.uint8), f"{_MIDDLE}_row"),
            numpy_helper.from_array(np.array(1, np.float32), f"{_MIDDLE}_one"),
            numpy_helper.from_array(np.array(127, np.float32), f"{_MIDDLE}_levels"),
            numpy_helper.from_array(np.array(1e-8, np.float32), f"{_MIDDLE}_least"),
            numpy_helper.from_array(np.array([-1], np.int64), f"{_MIDDLE}_axis"),
            *(numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape in shapes.items()),
        ]
    )
    if all(each.domain != _ONNX_RUNTIME for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_ONNX_RUNTIME, 1))
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _quantised_rows(x: str) -> list[onnx.NodeProto]:
    """From x (..., D) to x_u8 (n, D), whole numbers around 128, and x_step (n, 1), what one of them is worth."""
    axis = f"{_MIDDLE}_axis"
    return [
        helper.make_node("Reshape", [x, f"{x}_rows_shape"], [f"{x}_rows"]),
        helper.make_node("ReduceMax", [f"{x}_rows", axis], [f"{x}_highest"], keepdims=1),
        helper.make_node("ReduceMin", [f"{x}_rows", axis], [f"{x}_lowest"], keepdims=1),
        helper.make_node("Neg", [f"{x}_lowest"], [f"{x}_depth"]),
        helper.make_node("Max", [f"{x}_highest", f"{x}_depth", f"{_MIDDLE}_least"], [f"{x}_most"]),
        helper.make_node("Div", [f"{x}_most", f"{_MIDDLE}_levels"], [f"{x}_step"]),
        helper.make_node("Squeeze", [f"{x}_step", axis], [f"{x}_steps"]),
        helper.make_node("Shape", [f"{x}_steps"], [f"{x}_count"]),
        helper.make_node("Expand", [f"{_MIDDLE}_row", f"{x}_count"], [f"{x}_middles"]),
        helper.make_node("QuantizeLinear", [f"{x}_rows", f"{x}_steps", f"{x}_middles"], [f"{x}_u8"], axis=0),
    ]


def _product(x: str, whole: str, scale: str, y: str) -> list[onnx.NodeProto]:
    """From x_u8 (n, D) and a matrix int8 (D, E) with one scale a column to y (..., E)."""
    one = f"{_MIDDLE}_one"
    return [
        helper.make_node(
            INTEGER_PRODUCT, [f"{x}_u8", whole, one, scale, _MIDDLE], [f"{y}_columns"], domain=_ONNX_RUNTIME
        ),
        helper.make_node("Mul", [f"{y}_columns", f"{x}_step"], [f"{y}_rows"]),
        helper.make_node("Shape", [x], [f"{y}_places"], end=-1),
        helper.make_node("Concat", [f"{y}_places", f"{y}_width"], [f"{y}_shape"], axis=0),
        helper.make_node("Reshape", [f"{y}_rows", f"{y}_shape"], [y]),
    ]


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same integer products in floating point, for processors on which 8-bit products overflow (AVX2 saturates).

    Integers up to 255 * 127 are added up in float32: a sum is off by its last bits at most, a millionth. The rounding
    of activations and weights to 8 bits, which is what int8 costs, stays as it is.
    """
    nodes: list[onnx.NodeProto] = []
    known: set[str] = set()

    def floating(name: str) -> str:
        target = f"{name}_as_float"
        if target not in known:
            known.add(target)
            nodes.append(helper.make_node("Cast", [name], [target], to=TensorProto.FLOAT))
        return target

    for node in model.graph.node:
        if node.op_type != INTEGER_PRODUCT:
            nodes.append(node)
            continue
        activation, weight, _, scale, middle = node.input
        shifted, product = f"{node.output[0]}_shifted", f"{node.output[0]}_product"
        operands = [floating(activation), floating(middle)], [shifted, floating(weight)]
        nodes += [
            helper.make_node("Sub", operands[0], [shifted]),
            helper.make_node("MatMul", operands[1], [product]),
            helper.make_node("Mul", [product, scale], [node.output[0]]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    # Types that the exporter wrote down for integer sums no longer hold.
    del model.graph.value_info[:]
    return model


def save_with_shared_weights(model: onnx.ModelProto, path: Path, weights: Path) -> bool:
    """Write the graph, its big integer matrices in `weights` beside it, in order of content: shared where they agree.

    The file is written when it is not there; when it is, every matrix must be found in it. Returns whether the model
    uses it at all. Raises ValueError if the file holds other weights.
    """
    matrices = [each for each in model.graph.initializer if each.name.endswith(WHOLE)]
    if not matrices:
        onnx.save(model, str(path))
        return False
    if not weights.is_file():
        with weights.open("wb") as file:
            for each in matrices:
                file.write(b"\0" * (-file.tell() % _ALIGN))
                file.write(numpy_helper.to_array(each).tobytes())
    content = weights.read_bytes()
    position = 0
    for each in matrices:
        raw = numpy_helper.to_array(each).tobytes()
        found = content.find(raw, position)
        found = found if found >= 0 else content.find(raw)
        if found < 0:
            raise ValueError(f"{weights}: holds other weights than {path.name}; remove it or name another file")
        position = found + len(raw)
        each.ClearField("raw_data")
        each.raw_data = raw
        set_external_data(each, weights.name, offset=found, length=len(raw))
        each.ClearField("raw_data")
        assert ExternalDataInfo(each).offset == found  # noqa: S101 - what the reader will believe
    onnx.save(model, str(path))
    return True


def _big_matrices(model: onnx.ModelProto) -> list[str]:
    sizes = {each.name: int(np.prod(each.dims)) for each in model.graph.initializer if len(each.dims) == 2}
    used = [node.input[1] for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in sizes]
    return [name for name in dict.fromkeys(used) if sizes[name] >= _SMALLEST]


@contextmanager
def _without_advice() -> Iterator[None]:
    """ONNX Runtime advises a simplification of the graph first, on the root logger; what is shipped is this graph."""

    def keep(said: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in said.getMessage()

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)


def _quantized(model: onnx.ModelProto, names: list[str]) -> dict[str, onnx.TensorProto]:
    """What ONNX Runtime's own quantisation makes of these matrices, symmetric int8 per output channel."""
    nodes = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in names]
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "source.onnx", Path(scratch) / "target.onnx"
        onnx.save(model, str(source))
        with _without_advice():
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul"],
                nodes_to_quantize=nodes,
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
        made = onnx.load(str(target))
    found = {each.name: each for each in made.graph.initializer}
    packed = {}
    for name in names:
        for theirs, ours in (("_quantized", WHOLE), ("_scale", SCALE)):
            packed[name + ours] = numpy_helper.from_array(numpy_helper.to_array(found[name + theirs]), name + ours)
    return packed
