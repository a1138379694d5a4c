"""A packed graph with products of 8-bit integers, in operators that ONNX Runtime computes in one pass each.

On a processor with matrix units (AMX) a product of integers takes a third of a look; the rest goes into passes over
memory around it. So activations whose values lie within fixed bounds, what comes out of a normalisation or out of
attention, are quantised by one step that is known beforehand: scales, zero point and bias are then part of the product.
What comes out of an activation function is quantised row by row (token by token), because a few tokens are far larger
than all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from zhentu_training.branching import flat
from zhentu_training.pack import SCALE, WHOLE

INTEGER_PRODUCT = "MatMulIntegerToFloat"
ATTENTION = "MultiHeadAttention"
_ONNX_RUNTIME = "com.microsoft"  # the domain of its own operators
_ROW = "row"  # before the names of constants that all products share
_MIDDLE = 128
_OF_A_BLOCK = 3  # bounded activations: what enters attention, its output's product, the feed-forward
_LEVELS = 255  # steps between the lowest and the highest value of 8 bits
_MOVES = frozenset({"Squeeze", "Slice", "Transpose", "Reshape"})  # they move values and change none
Bounds = Mapping[str, tuple[float, float]]  # lowest and highest value of an activation, by its name


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of activations beforehand.

    bounds: of those that are quantised by one step; what lies beyond them is cut off.
    usual: of the others, the lowest value there was and a row's usual highest. Their ratio says how many of the 8 bits'
    levels lie below nought: what comes out of an activation function reaches far less deep than high.
    """

    bounds: Bounds
    usual: Bounds


@dataclass(frozen=True, slots=True)
class Product:
    """A MatMul with a packed matrix: y = x @ whole * scale, and the bias that is added, "" if none is.

    result: what comes out of the addition. shrinks: whether y is narrower than x.
    """

    x: str
    whole: str
    scale: str
    y: str
    bias: str
    result: str
    shrinks: bool


def products_of(model: onnx.ModelProto) -> dict[str, Product]:
    """The products with packed matrices, by the name of what comes out, in their order."""
    sizes = {each.name: tuple(each.dims) for each in model.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {}
    for node in model.graph.node:
        matrix = node.input[1] if node.op_type == "MatMul" else ""
        if matrix + WHOLE not in sizes:
            continue
        deep, wide = sizes[matrix + WHOLE]
        x, y = node.input[0], node.output[0]
        only = readers[y][0] if len(readers.get(y, ())) == 1 else None
        bias = ""
        if only is not None and only.op_type == "Add":
            bias = next((name for name in only.input if sizes.get(name) == (wide,)), "")
        result = only.output[0] if only is not None and bias else y
        found[y] = Product(x, matrix + WHOLE, matrix + SCALE, y, bias, result, deep > wide)
    return found


def bounded(model: onnx.ModelProto) -> list[str]:
    """Activations that lie within fixed bounds: all that enter a product which does not shrink them."""
    return list(dict.fromkeys(each.x for each in products_of(model).values() if not each.shrinks))


def measured(graph: Path, looks: Iterable[np.ndarray]) -> Measured:
    """How far the activations of a packed graph reach over some inputs."""
    model = onnx.load(str(graph))
    flat(model)
    fixed = bounded(model)
    names = list(dict.fromkeys(each.x for each in products_of(model).values()))
    if not names:  # a network of small matrices, which are not packed
        return Measured({}, {})
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(model.SerializeToString())
    (taken,) = session.get_inputs()
    lows: dict[str, list[float]] = {name: [] for name in names}
    highs: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for look in looks:
        for name, values in zip(names, session.run(names, {taken.name: look}), strict=True):
            lows[name].append(float(values.min()))
            highs[name].append(values.max(-1).ravel())
    of_rows = {name: np.concatenate(each) for name, each in highs.items()}
    return Measured(
        {name: (min(lows[name]), float(of_rows[name].max())) for name in fixed},
        {name: (min(lows[name]), float(np.median(of_rows[name]))) for name in names if name not in fixed},
    )


def without_first_block(known: Measured) -> Measured:
    """Let the first block's activations be quantised row by row.

    Its tokens differ most in size: one step for all of them costs a third of the precision, see DECISIONS.md.
    """
    return Measured(dict(list(known.bounds.items())[_OF_A_BLOCK:]), known.usual)


def to_integer_products(model: onnx.ModelProto, known: Measured | None = None) -> onnx.ModelProto:
    """Let a packed graph multiply integers; the weights stay the shared ones.

    Activations without bounds are quantised on the fly, each row by itself; where nothing is known of them,
    symmetrically around 128 in uint8.
    """
    known = known or Measured({}, {})
    graph, products, bounds = model.graph, products_of(model), known.bounds
    folded = {each.result for each in products.values() if each.x in bounds and each.bias}
    sizes = {each.name: tuple(each.dims) for each in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = _row_constants()
    for node in graph.node:
        if node.output[0] in folded:
            continue
        product = products.get(node.output[0])
        if product is None:
            nodes.append(node)
        elif product.x in bounds:
            nodes += _by_one_step(product, bounds[product.x], constants)
        else:
            nought = _nought(*known.usual[product.x]) if product.x in known.usual else _MIDDLE
            nodes += _by_rows(product, sizes[product.whole], nought, constants)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    _written_anew(model, nodes)
    return model


def _by_one_step(
    product: Product, bounds: tuple[float, float], constants: dict[str, np.ndarray]
) -> list[onnx.NodeProto]:
    """From x (..., D) and a matrix int8 (D, E) to y (..., E), its bias added."""
    x, low, high = product.x, min(bounds[0], 0.0), max(bounds[1], 0.0)
    step, nought = f"{x}_step", f"{x}_nought"
    nodes = []
    if step not in constants:
        width = max(high - low, 1e-8) / _LEVELS
        constants |= {step: np.array(width, np.float32), nought: np.array(_nought(low, high), np.uint8)}
        nodes.append(helper.make_node("QuantizeLinear", [x, step, nought], [f"{x}_u8"]))
    taken = [f"{x}_u8", product.whole, step, product.scale, nought, "", product.bias]
    nodes.append(_own(INTEGER_PRODUCT, taken if product.bias else taken[:5], product.result))
    return nodes


def _nought(low: float, high: float) -> int:
    """Which of the 8 bits' levels stands for nought; one lies below it at least, and one above."""
    return int(np.clip(round(-low / max(high - low, 1e-8) * _LEVELS), 1, _LEVELS - 1))


def _row_constants() -> dict[str, np.ndarray]:
    return {
        f"{_ROW}_one": np.array(1, np.float32),
        f"{_ROW}_least": np.array(1e-8, np.float32),
        f"{_ROW}_axis": np.array([-1], np.int64),
    }


def _by_rows(
    product: Product, size: tuple[int, ...], nought: int, constants: dict[str, np.ndarray]
) -> list[onnx.NodeProto]:
    """The same without the bias; every row has a step of its own: the widest that what it reaches up or down needs."""
    x, y, axis, make = product.x, product.y, f"{_ROW}_axis", helper.make_node
    nodes = []
    if f"{x}_rows_shape" not in constants:
        constants |= {
            f"{x}_rows_shape": np.array([-1, size[0]], np.int64),
            f"{x}_above": np.array(_LEVELS - nought, np.float32),
            f"{x}_below": np.array(-nought, np.float32),
            f"{x}_nought": np.array(nought, np.uint8),
            f"{x}_nought_row": np.array([nought], np.uint8),
        }
        nodes += [
            make("Reshape", [x, f"{x}_rows_shape"], [f"{x}_rows"]),
            make("ReduceMax", [f"{x}_rows", axis], [f"{x}_highest"], keepdims=1),
            make("ReduceMin", [f"{x}_rows", axis], [f"{x}_lowest"], keepdims=1),
            make("Div", [f"{x}_highest", f"{x}_above"], [f"{x}_up"]),
            make("Div", [f"{x}_lowest", f"{x}_below"], [f"{x}_down"]),
            make("Max", [f"{x}_up", f"{x}_down", f"{_ROW}_least"], [f"{x}_step"]),
            make("Squeeze", [f"{x}_step", axis], [f"{x}_steps"]),
            make("Shape", [f"{x}_steps"], [f"{x}_count"]),
            make("Expand", [f"{x}_nought_row", f"{x}_count"], [f"{x}_noughts"]),
            make("QuantizeLinear", [f"{x}_rows", f"{x}_steps", f"{x}_noughts"], [f"{x}_u8"], axis=0),
        ]
    constants[f"{y}_width"] = np.array([size[1]], np.int64)
    taken = [f"{x}_u8", product.whole, f"{_ROW}_one", product.scale, f"{x}_nought"]
    return [
        *nodes,
        _own(INTEGER_PRODUCT, taken, f"{y}_columns"),
        make("Mul", [f"{y}_columns", f"{x}_step"], [f"{y}_rows"]),
        make("Shape", [x], [f"{y}_places"], end=-1),
        make("Concat", [f"{y}_places", f"{y}_width"], [f"{y}_shape"], axis=0),
        make("Reshape", [f"{y}_rows", f"{y}_shape"], [y]),
    ]


def with_fused_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let ONNX Runtime's one operator stand for the attention that the exporter writes in elementary ones.

    The exporter's form: keys, queries and values out of one product, (B, tokens, 3 * D), moved to heads; then
    softmax(q k) v, moved back to (B, queries, D).
    """
    graph = model.graph
    made = {name: node for node in graph.node for name in node.output}
    readers = {name: node for node in graph.node for name in node.input}
    shapes = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in graph.value_info}
    instead: dict[str, list[onnx.NodeProto]] = {}
    for softmax in (node for node in graph.node if node.op_type == "Softmax"):
        weighted = readers[softmax.output[0]]
        values, back = weighted.input[1], readers[readers[weighted.output[0]].output[0]]
        _, heads, queries, _ = shapes[weighted.output[0]]
        while made[values].op_type in _MOVES:
            values = made[values].input[0]
        name = back.output[0]
        parts = [f"{name}_{part}" for part in ("q", "k", "v")]
        nodes = [helper.make_node("Split", [values], parts, axis=2, num_outputs=3)]
        asked = parts[0]
        if queries == 1 and shapes[values][1] != 1:  # only the class token's is asked for
            ends = [f"{_ROW}_{end}" for end in ("first", "second")]
            graph.initializer.extend(
                numpy_helper.from_array(np.array([k], np.int64), end) for k, end in enumerate(ends)
            )
            asked = f"{asked}_of_class"
            nodes.append(helper.make_node("Slice", [parts[0], *ends, ends[1]], [asked]))
        instead[name] = [*nodes, _own(ATTENTION, [asked, *parts[1:]], name, num_heads=heads)]
    nodes = [each for node in graph.node for each in instead.get(node.output[0], [node])]
    _written_anew(model, nodes)
    return model


def _own(kind: str, taken: list[str], result: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, taken, [result], domain=_ONNX_RUNTIME, **attributes)


def _written_anew(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Give the graph these nodes, without those whose results nobody reads, and without constants nobody takes."""
    graph = model.graph
    wanted, kept = {each.name for each in graph.output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    constants = [each for each in graph.initializer if each.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
    # Types that the exporter wrote down for what is gone no longer hold.
    named = {name for node in kept for name in node.output}
    noted = [each for each in graph.value_info if each.name in named]
    del graph.value_info[:]
    graph.value_info.extend(noted)
    if all(each.domain != _ONNX_RUNTIME for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_ONNX_RUNTIME, 1))


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
        activation, weight, step, scale, nought, *more = node.input
        result = node.output[0]
        operands = [floating(activation), floating(nought)], [f"{result}_shifted", floating(weight)]
        columns = f"{result}_unbiased" if more else result
        nodes += [
            helper.make_node("Sub", operands[0], [f"{result}_shifted"]),
            helper.make_node("MatMul", operands[1], [f"{result}_product"]),
            helper.make_node("Mul", [scale, step], [f"{result}_scale"]),
            helper.make_node("Mul", [f"{result}_product", f"{result}_scale"], [columns]),
        ]
        if more:
            nodes.append(helper.make_node("Add", [columns, more[1]], [result]))
    _written_anew(model, nodes)
    return model
