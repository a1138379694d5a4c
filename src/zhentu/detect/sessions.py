"""ONNX Runtime sessions over files whose bytes are those the manifest names.

ONNX Runtime is imported with the first session: it starts a thread, and scans fork workers from a process without any.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from zhentu.detect.entries import COPY_AGAIN, WeightsFile
from zhentu.errors import ModelError
from zhentu.types import Runtime

if TYPE_CHECKING:
    import onnxruntime as ort

Thing = TypeVar("Thing")

_ON_PROCESSOR = "CPUExecutionProvider"
_CUDA = ("CUDAExecutionProvider", _ON_PROCESSOR)
_PROVIDERS = {
    Runtime.ONNXRUNTIME: (_ON_PROCESSOR,),
    Runtime.CUDA: _CUDA,
    Runtime.TENSORRT: ("TensorrtExecutionProvider", *_CUDA),
}


class Network(Protocol):
    """A graph that is ready to run; several threads may call it at once. ONNX Runtime's sessions are of this form."""

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, Any]) -> Sequence[Any]:
        """The named outputs as arrays, in this order."""
        ...

    def get_inputs(self) -> Sequence[Any]:
        """What it takes, each with `name` and `shape`; a free dimension is no integer."""
        ...

    def get_outputs(self) -> Sequence[Any]:
        """What it gives, likewise."""
        ...


class Opened(Generic[Thing]):
    """Something that is opened when it is first asked for, and once, whichever of several threads asks first.

    Raises, whenever it is asked, what opening it raises.
    """

    def __init__(self, opening: Callable[[], Thing]) -> None:
        self._opening, self._lock = opening, Lock()
        self._thing: Thing | None = None

    def __call__(self) -> Thing:
        """The thing, opened now if it was not yet."""
        with self._lock:
            if self._thing is None:
                self._thing = self._opening()
            return self._thing


def open_session(
    path: Path, sha256: str, weights: Sequence[WeightsFile], threads: int, providers: Sequence[str]
) -> ort.InferenceSession:
    """A session of `threads` threads. Raises ModelError when a file is missing, altered, or cannot be loaded."""
    import onnxruntime as ort

    verify_files(path, sha256, weights)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads may spin within a call, which makes it a third faster, but not after it: they would take the cores from
    # decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads > 1 else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        # By path, because shared weights are found beside it.
        session = ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own exception types are private
        raise ModelError(f"{path.name}: ONNX Runtime cannot load it: {error}") from error
    give_back_memory()
    return session


def open_network(path: Path, sha256: str, weights: Sequence[WeightsFile], threads: int, runtime: Runtime) -> Network:
    """The graph as `runtime` calculates it. Raises ModelError, also when the runtime is not installed."""
    if runtime is Runtime.OPENVINO:
        from zhentu.detect.openvino import OpenVinoNetwork

        verify_files(path, sha256, weights)
        network: Network = OpenVinoNetwork(path, threads)
        give_back_memory()
        return network
    session: Network = open_session(path, sha256, weights, threads, providers_of(runtime))
    return session


def providers_of(runtime: Runtime) -> Sequence[str]:
    """ONNX Runtime's execution providers, the wished one first. Raises ModelError when it is not installed."""
    wanted = _PROVIDERS[runtime]
    if runtime is not Runtime.ONNXRUNTIME and wanted[0] not in (there := _providers_there()):
        raise ModelError(
            f"models.runtime is {runtime}, which needs ONNX Runtime's {wanted[0]}; installed: {', '.join(there)}. "
            "Install onnxruntime-gpu in place of onnxruntime, or set models.runtime to onnxruntime"
        )
    return wanted


def runtimes_here() -> tuple[Runtime, ...]:
    """The runtimes that are installed; ONNX Runtime on the processor always is."""
    there = _providers_there()
    gpus = (each for each in (Runtime.CUDA, Runtime.TENSORRT) if _PROVIDERS[each][0] in there)
    openvino = (Runtime.OPENVINO,) if find_spec("openvino") else ()
    return (Runtime.ONNXRUNTIME, *openvino, *gpus)


def _providers_there() -> Sequence[str]:
    import onnxruntime as ort

    return list(ort.get_available_providers())


def verify_files(path: Path, sha256: str, weights: Sequence[WeightsFile]) -> None:
    """Raise ModelError unless a graph and its weights are there, and are those the manifest names."""
    for file, expected in ((path, sha256), *((path.parent / each.file, each.sha256) for each in weights)):
        _verify(file, expected)


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
        raise ModelError(f"{path}: model file cannot be read: {error.strerror}; {COPY_AGAIN}") from error
    if actual != expected:
        raise ModelError(
            f"{path}: sha256 is {actual[:16]}..., the manifest says {expected[:16]}...; file altered: {COPY_AGAIN}"
        )
