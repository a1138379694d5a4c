"""Shared by the scripts about scanning: many small pictures, a tiny model, and a command with its memory watched."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from zhentu.detect.models import samples_folder

ROOT = Path(__file__).resolve().parents[1]
_PER_FOLDER = 1_000


def tiny_models(folder: Path) -> Path:
    """A folder with the tests' tiny model, whose inference costs next to nothing: the scanner's own cost shows."""
    sys.path.insert(0, str(ROOT / "tests"))
    from fakes import tiny_model

    tiny_model(folder)
    return folder


def variations(count: int, side: int = 160, seed: int = 3) -> list[bytes]:
    """`count` different JPEGs made from the sample pictures: cropped, mirrored, brightened, of varying quality."""
    rng = np.random.default_rng(seed)
    originals = []
    for path in sorted(samples_folder().glob("*.jpg")):
        with Image.open(path) as image:
            originals.append(np.asarray(image.convert("RGB").resize((side * 2, side * 2))))
    made = []
    for number in range(count):
        base = originals[number % len(originals)]
        x, y = rng.integers(0, side, 2)
        crop = base[y : y + side, x : x + side, :: 1 if rng.random() < 0.5 else -1]
        bright = np.clip(crop * rng.uniform(0.7, 1.3) + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
        bright[0, :8] = np.frombuffer(number.to_bytes(8, "big"), np.uint8)[:, None]  # no two alike
        stream = io.BytesIO()
        Image.fromarray(bright).save(stream, "JPEG", quality=int(rng.integers(70, 95)))
        made.append(stream.getvalue())
    return made


def write_variations(folder: Path, count: int) -> None:
    """Write variations in folders of a thousand; folders that exist already are kept."""
    for start in range(0, count, _PER_FOLDER):
        part = folder / f"{start // _PER_FOLDER:04d}"
        if part.is_dir():
            continue
        beside = folder / f".{part.name}"
        beside.mkdir(parents=True, exist_ok=True)
        for number, payload in enumerate(variations(min(_PER_FOLDER, count - start), seed=start)):
            (beside / f"{number:04d}.jpg").write_bytes(payload)
        beside.rename(part)


def first_folders(folder: Path, count: int) -> list[str]:
    """The folders with the first `count` pictures, so that a smaller scan also lists fewer files."""
    return [str(folder / f"{number:04d}") for number in range(-(-count // _PER_FOLDER))]


def cpu_seconds() -> float:
    """Processor seconds of this process and its descendants, including children that have ended.

    On a busy machine the difference over a step shows what the step cost, which wall-clock time does not.
    """
    total = 0.0
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, and those of children that ended
    return total


@dataclass(frozen=True)
class Watched:
    """A finished command. parent_mb, tree_mb: peak resident memory of the process, and of it with its children.

    shared_once_mb: the same for the tree, counting pages that processes share (the model's) only once.
    """

    seconds: float
    cpu_seconds: float
    parent_mb: float
    tree_mb: float
    shared_once_mb: float


def environment(folder: Path, models: Path | None = None) -> dict[str, str]:
    """Environment variables that keep a scan's store and jobs in `folder`."""
    own = {"ZHENTU_STORE_URL": f"sqlite:///{folder}/records.db", "ZHENTU_JOBS_DIR": str(folder / "jobs")}
    if models:
        own["ZHENTU_MODELS_DIR"] = str(models)
    return os.environ | own


def scan_command(*arguments: str, python: str = sys.executable) -> list[str]:
    """The scan command as a user types it. python: the interpreter of the user's environment."""
    return [python, "-m", "zhentu", "scan", *arguments]


def watch(command: list[str], variables: dict[str, str]) -> Watched:
    """Run a command to its end while watching its memory; exits if the command fails."""
    began, cpu_began = time.perf_counter(), cpu_seconds()
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seen = psutil.Process(process.pid)
    parent = tree = once = 0
    while process.poll() is None:
        own = total = shared = 0
        with suppress(psutil.NoSuchProcess):
            own = seen.memory_info().rss
            for each in (seen, *seen.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    memory = each.memory_full_info()
                    total, shared = total + memory.rss, shared + memory.pss
        parent, tree, once = max(parent, own), max(tree, total), max(once, shared)
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {process.returncode}\n{process.stderr.read() if process.stderr else ''}")
    return Watched(seconds, cpu_seconds() - cpu_began, parent / 2**20, tree / 2**20, once / 2**20)
