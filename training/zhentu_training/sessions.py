"""ONNX Runtime over graphs that are being made: no manifest names them yet, so there is nothing to verify."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def session_of(graph: Path) -> ort.InferenceSession:
    """A session on the processor, one thread a call: figures then do not depend on how many cores there are."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
