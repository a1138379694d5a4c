"""Golden scores, checked once: a machine that gave them yesterday gives them today, with the same software."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from zhentu import __version__
from zhentu.atomic import write_whole
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import samples_folder
from zhentu.detect.sessions import give_back_memory, processor_flags, verify_files
from zhentu.digest import digest_of
from zhentu.record.private import private_folder

MOST = 5  # golden pictures: a start must not take longer for every sample that joins; `zhentu doctor` looks at all
_DECIDES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "numpy",
    "opencv-python-headless",
    "pillow",
)  # what the scores come from


def check_golden(entry: ModelEntry, folder: Path, threads: int, notes: Path) -> None:
    """Check that a model's files are what the manifest says, and that it gives its golden scores here.

    What was found good is noted in the folder `notes`, under everything the scores depend on, and not tried again.
    Raises ModelError.
    """
    note = notes / _everything(entry)
    if note.exists():
        verify_files(folder / entry.file, entry.sha256, entry.weights)
        return
    worst = Detector(entry, folder, threads).verify_golden(samples_folder(), MOST)
    give_back_memory()
    with contextlib.suppress(OSError):  # a disk that takes no note costs the next start a second, no more
        private_folder(notes)
        write_whole(note, f"{entry.ref}: off by {worst:.6f} at most\n".encode())


def _everything(entry: ModelEntry) -> str:
    """What golden scores depend on, as one sha256: model, software, processor."""
    versions = {name: _version(name) for name in _DECIDES}
    machine = [platform.machine(), sorted(processor_flags())]
    return digest_of(
        [__version__, entry.sha256, entry.runtime, entry.views, entry.calibration, entry.golden, versions, machine]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
