"""ONNX Runtime sessions over files whose bytes are those the manifest names."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import onnxruntime as ort

from zhentu.detect.models import WeightsFile
from zhentu.errors import ModelError


def open_session(
    path: Path, sha256: str, weights: Sequence[WeightsFile], threads: int, providers: Sequence[str]
) -> ort.InferenceSession:
    """A session of `threads` threads. Raises ModelError if a file is missing, altered, or cannot be loaded."""
    for file, expected in ((path, sha256), *((path.parent / each.file, each.sha256) for each in weights)):
        _verify(file, expected)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Without this, idle ORT threads spin and take the core from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # By path, because shared weights are found beside it.
        session = ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own exception types are private
        raise ModelError(f"{path.name}: ONNX Runtime cannot load it: {error}") from error
    give_back_memory()
    return session


def give_back_memory() -> None:
    """Return freed memory to the system. Loading a session leaves some 250 MB behind that glibc would keep."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def has_8bit_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has 8-bit dot products (x86 VNNI, ARM dotprod); True where the system does not say."""
    flags = processor_flags(cpuinfo)
    return not flags or bool(flags & {"avx512_vnni", "avx_vnni", "asimddp"})


@lru_cache(maxsize=4)
def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Words of Linux's description of the processor, its features among them; empty on other systems."""
    try:
        return frozenset(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return frozenset()


def _verify(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: model file cannot be read: {error.strerror}") from error
    if actual != expected:
        raise ModelError(f"{path}: sha256 is {actual[:16]}..., the manifest says {expected[:16]}...; file altered")
