"""Benchmark labels, in milliseconds: reading provenance as every screening does, labelling, and labelling again.

python scripts/bench_labels.py [--repeat 50]
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from zhentu.detect.models import samples_folder
from zhentu.intake.decode import decode
from zhentu.intake.provenance import read_provenance
from zhentu.mark import LabelSpec, label_picture
from zhentu.types import AiState

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "mark"))
from certificates import signed


def main() -> int:
    """Print the median and the 95th percentile of each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=50)
    repeat = parser.parse_args().repeat
    sample = (samples_folder() / "genuine_portrait.jpg").read_bytes()
    large = Image.open(io.BytesIO(sample)).resize((3000, 3000))
    cases = {
        "ordinary JPEG": ("JPEG", sample),
        "JPEG of 9 megapixels": ("JPEG", _encoded(large, "JPEG", quality=92)),
        "PNG of 9 megapixels": ("PNG", _encoded(large, "PNG")),
        "JPEG with C2PA": ("JPEG", signed(sample, "JPEG")),
        "labelled JPEG": ("JPEG", label_picture(sample, AiState.IS, LabelSpec(propagator="P")).payload),
    }
    for name, (form, payload) in cases.items():
        _report(f"provenance of {name}, {len(payload) / 1024:.0f} KiB", repeat, partial(read_provenance, payload, form))
    _, ordinary = cases["ordinary JPEG"]
    _, labelled = cases["labelled JPEG"]
    hidden, shown = LabelSpec(propagator="P", visible=False), LabelSpec(propagator="P")
    _report("decode an ordinary JPEG", repeat, lambda: decode(ordinary))
    _report("write the implicit label", repeat, lambda: label_picture(ordinary, AiState.IS, hidden))
    _report("write both labels", repeat, lambda: label_picture(ordinary, AiState.IS, shown))
    _report("label a labelled picture again", repeat, lambda: label_picture(labelled, AiState.IS, shown))
    return 0


def _report(name: str, repeat: int, work: Callable[[], object]) -> None:
    work()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    print(f"{name}: median {statistics.median(times):.3f} ms, p95 {times[int(0.95 * (len(times) - 1))]:.3f} ms")


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
