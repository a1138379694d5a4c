"""An exit inside a graph: what an early block settles is not calculated to the end.

The exporter writes a graph that calculates everything, and says beside its outputs which views leave early. `branched`
moves all that only the others need into one branch of an ONNX `If`; `flat` takes it out again, because whoever
rewrites a graph must see every node. Both give the same numbers: a view that may leave is read early in either,
whatever views share its call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EXITED, EARLY_LOGITS = "exited", "early_logits"  # which views leave, bool (N,), and what these then say, (N, 5)
_LEAVES = "all_exited"  # whether every view of a call does
_THEN, _ELSE = "then_branch", "else_branch"
_SIDE, _ROW = "exit_side", "_row"  # constants that keep what `branched` was told
_INSIDE = "_inside"  # behind an output's name: what the branch that calculates everything calls it


@dataclass(frozen=True, slots=True)
class Exit:
    """Who may leave, and what is said of those who do.

    side: pixels of views that may leave; the closer look's have another.  rows: by name, the shape of a view's part of
    each output but the first, all nought where every view of a call leaves.
    """

    side: int
    rows: Mapping[str, tuple[int, ...]]


def branched(model: onnx.ModelProto, way_out: Exit) -> onnx.ModelProto:
    """Calculate what follows the exit only where some view of a call does not take it.

    model: with the outputs EXITED and EARLY_LOGITS behind its own; EARLY_LOGITS stands for the first of them.
    """
    graph = model.graph
    views = graph.input[0].name
    outputs = [each for each in graph.output if each.name not in (EXITED, EARLY_LOGITS)]
    first, names = outputs[0].name, [each.name for each in outputs]
    common_names = _before(graph.node, {EXITED, EARLY_LOGITS}) | _of_constants(graph)
    common = [node for node in graph.node if common_names & set(node.output)]
    later = [node for node in graph.node if not common_names & set(node.output)]
    leaving = [helper.make_node("Identity", [EARLY_LOGITS], [f"{first}_early"])]
    graph.initializer.append(numpy_helper.from_array(np.array(way_out.side, np.int64), _SIDE))
    for name in names[1:]:
        graph.initializer.append(numpy_helper.from_array(np.array(way_out.rows[name], np.int64), f"{name}{_ROW}"))
        leaving += [
            helper.make_node("Shape", [views], [f"{name}_views"], start=0, end=1),
            helper.make_node("Concat", [f"{name}_views", f"{name}{_ROW}"], [f"{name}_shape"], axis=0),
            helper.make_node("ConstantOfShape", [f"{name}_shape"], [f"{name}_early"]),
        ]
    asked = [
        helper.make_node("Shape", [views], ["exit_rows"], start=1, end=2),
        helper.make_node("Equal", ["exit_rows", _SIDE], ["exit_may"]),
        helper.make_node("Cast", [EXITED], ["exit_each"], to=TensorProto.INT32),
        helper.make_node("ReduceMin", ["exit_each"], ["exit_every"], keepdims=1),
        helper.make_node("Cast", ["exit_every"], ["exit_all"], to=TensorProto.BOOL),
        helper.make_node("And", ["exit_all", "exit_may"], [_LEAVES]),
    ]
    for node in later:
        node.output[:] = [f"{name}{_INSIDE}" if name in names else name for name in node.output]
        node.input[:] = [f"{name}{_INSIDE}" if name in names else name for name in node.input]
    made = {name for node in later for name in node.output}
    noted = [each for each in graph.value_info if each.name in made]
    both = {
        _THEN: helper.make_graph(leaving, "leaves", [], _named(outputs, "_early")),
        _ELSE: helper.make_graph(later, "stays", [], _named(outputs, _INSIDE), value_info=noted),
    }
    _written(graph, [*common, *asked, helper.make_node("If", [_LEAVES], names, **both)], outputs)
    return model


def flat(model: onnx.ModelProto) -> Exit | None:
    """Take the exit out of a graph, as before `branched`; what that was told, None if the graph has none."""
    graph = model.graph
    fork = next((node for node in graph.node if node.op_type == "If" and node.input[0] == _LEAVES), None)
    if fork is None:
        return None
    constants = {each.name: each for each in graph.initializer}
    rows = {
        each.name: tuple(numpy_helper.to_array(constants[f"{each.name}{_ROW}"]).tolist()) for each in graph.output[1:]
    }
    way_out = Exit(int(numpy_helper.to_array(constants[_SIDE])), rows)
    (inner,) = (each.g for each in fork.attribute if each.name == _ELSE)
    for node in inner.node:
        node.output[:] = [name.removesuffix(_INSIDE) for name in node.output]
        node.input[:] = [name.removesuffix(_INSIDE) for name in node.input]
    said = [
        helper.make_tensor_value_info(EXITED, TensorProto.BOOL, [None]),
        helper.make_tensor_value_info(EARLY_LOGITS, TensorProto.FLOAT, [None, None]),
    ]
    outputs = [*graph.output, *said]
    nodes = [*(node for node in graph.node if node is not fork), *inner.node]
    needed = _before(nodes, {each.name for each in outputs})
    graph.value_info.extend(inner.value_info)
    _written(graph, [node for node in nodes if needed & set(node.output)], outputs)
    return way_out


def rewritten(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """A graph after a change that must see every node, with its exit as before."""
    way_out = flat(model)
    changed = change(model)
    return changed if way_out is None else branched(changed, way_out)


def _before(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> set[str]:
    """All names on the way to these, theirs among them. nodes: in an order in which they can be calculated."""
    needed = set(wanted)
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
    return needed


def _of_constants(graph: onnx.GraphProto) -> set[str]:
    """What is calculated of constants alone. It stays outside of branches, where it is calculated once, at loading."""
    known = {each.name for each in graph.initializer} | {""}
    for node in graph.node:
        if known.issuperset(node.input):
            known |= set(node.output)
    return known


def _named(outputs: Sequence[onnx.ValueInfoProto], ending: str) -> list[onnx.ValueInfoProto]:
    """The outputs under a branch's names; of any shape, because the two branches must agree."""
    kinds = ((each.name, each.type.tensor_type.elem_type) for each in outputs)
    return [helper.make_tensor_value_info(f"{name}{ending}", kind, None) for name, kind in kinds]


def _written(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto], outputs: Sequence[onnx.ValueInfoProto]) -> None:
    """Give the graph these nodes and outputs, and only the constants and the notes about types that they take."""
    taken, made = set[str](), set[str]()
    for node in nodes:
        made |= set(node.output)
        taken |= set(node.input)
        for each in node.attribute:
            taken |= {name for inner in each.g.node for name in inner.input}
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    constants = [each for each in graph.initializer if each.name in taken]
    noted = [each for each in graph.value_info if each.name in made]
    del graph.node[:], graph.output[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.output.extend(outputs)
    graph.initializer.extend(constants)
    graph.value_info.extend(noted)
