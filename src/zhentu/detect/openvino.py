"""A graph run by OpenVINO (`pip install zhentu[fast]`), with the interface of an ONNX Runtime session.

It calculates in bfloat16 on processors that have products for it (AMX), in 32 bits on others.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zhentu.errors import ModelError


@dataclass(frozen=True, slots=True)
class _Port:
    """An input or output by name; None in its shape is a free dimension."""

    name: str
    shape: list[int | None]


class OpenVinoNetwork:
    """One compiled model; every thread has a request of its own.

    threads: of a call.  Raises ModelError when OpenVINO is not installed or cannot load the graph.
    """

    def __init__(self, path: Path, threads: int) -> None:
        try:
            core = opened_core()
        except ImportError as error:
            raise ModelError(
                "models.runtime is openvino, which is not installed; pip install zhentu[fast], or set models.runtime "
                "to onnxruntime"
            ) from error
        precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
        try:
            model = core.read_model(path)
            _unpack_weights(model)
            self._model = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ModelError(f"{path.name}: OpenVINO cannot load it: {error}") from error
        # A port answers to every name its tensor ever had; which of them comes first differs from run to run.
        self._places = {name: k for k, port in enumerate(self._model.outputs) for name in port.get_names()}
        self._of_thread = threading.local()

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
        """The named outputs as arrays, in this order."""
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._model.create_infer_request()
        request.infer(dict(input_feed))
        # Copied: the next call writes over the request's own memory.
        return [np.array(request.get_output_tensor(self._places[name]).data) for name in output_names]

    def get_inputs(self) -> list[_Port]:
        """What the graph takes."""
        return [port for each in self._model.inputs for port in _ports(each)]

    def get_outputs(self) -> list[_Port]:
        """What the graph gives."""
        return [port for each in self._model.outputs for port in _ports(each)]


def opened_core() -> Any:
    """OpenVINO, ready for many threads. Raises ImportError where it is not installed.

    Its bindings prepare themselves when a tensor's data are first asked for, and give up Python's lock meanwhile: two
    threads whose first calls meet there wait for each other for ever. So the first time is here.
    """
    import openvino as ov

    ov.Tensor(np.zeros(1, np.float32)).data[:] = 0
    return ov.Core()


def _ports(port: Any) -> list[_Port]:
    """One for each of its names."""
    shape = [each.get_length() if each.is_static else None for each in port.get_partial_shape()]
    return [_Port(name, shape) for name in sorted(port.get_names())]


def _unpack_weights(model: Any) -> None:
    """Replace 8-bit weights and their scales by what they stand for.

    OpenVINO would keep them packed to save memory, and unpack them with every call: a fifth slower.
    """
    from openvino import opset13 as opset

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Multiply":
            continue
        sides = [node.input_value(k).get_node() for k in (0, 1)]
        packed = next((each for each in sides if each.get_type_name() == "Convert"), None)
        scale = next((each for each in sides if each.get_type_name() == "Constant"), None)
        if packed is None or scale is None or packed.input_value(0).get_node().get_type_name() != "Constant":
            continue
        whole = packed.input_value(0).get_node().data.astype(np.float32) * scale.data
        node.output(0).replace(opset.constant(whole, dtype=np.float32).output(0))
