"""Large matrices as 8-bit integers in one file that several graphs share.

A transformer's weights are most of a model. They are kept once, as int8 with one scale per output channel, in an ONNX
external-data file; every graph that needs them (fp32, int8, comparison) names that file. In an fp32 graph they are
brought back to floating point when the session loads (constant folding), so that arithmetic and speed are those of
floating point; in an int8 graph (`zhentu_training.integer`) they are used directly.
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
