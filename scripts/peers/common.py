"""The same model as the gate's, in ONNX Runtime sessions as one gets them without a thought, or with one thread."""

from __future__ import annotations

import onnxruntime as ort

from zhentu.bootstrap.models import find_model
from zhentu.detect.detector import Detector
from zhentu.settings import load_settings


def detector(threads: int = 0) -> Detector:
    """The detector in force with its sessions made anew. threads: 0 = ONNX Runtime's default, every core."""
    entry, folder = find_model(load_settings())
    made = Detector(entry, folder)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    files = {entry.file: str(folder / entry.file)}
    for name, value in vars(made).items():
        if isinstance(value, ort.InferenceSession):
            setattr(made, name, ort.InferenceSession(files[entry.file], options, providers=["CPUExecutionProvider"]))
    return made
