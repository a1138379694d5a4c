"""How fast the model in force runs on this machine, by every runtime and precision that is installed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zhentu.bootstrap.models import find_model
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest, samples_folder
from zhentu.detect.sessions import has_8bit_products, runtimes_here
from zhentu.errors import ModelError
from zhentu.intake.decode import decode
from zhentu.settings import Settings
from zhentu.types import Runtime

_ROUNDS = 2  # the faster one counts: other processes take their share of a busy machine


@dataclass(frozen=True, slots=True)
class Timing:
    """One way to run the model.

    ms: processor time a golden picture on one core, decoding left out.  worst: largest difference from a golden score.
    problem: why this way is not to be used, empty when it may be.
    """

    entry: ModelEntry
    ms: float = 0.0
    worst: float = 0.0
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether it gives the golden scores."""
        return not self.problem


def time_runtimes(settings: Settings, pictures: int = 8) -> list[Timing]:
    """Time each way on so many golden pictures. Raises ModelError when the settings name no model."""
    entry, folder = find_model(settings)
    return [_timed(each, folder, pictures) for each in _ways(Manifest.load(folder), entry)]


def fastest(timings: Sequence[Timing]) -> Timing:
    """The usable one that takes the least processor time. Raises ModelError when none is usable."""
    usable = [each for each in timings if each.usable]
    if not usable:
        raise ModelError("; ".join(f"{each.entry.ref}: {each.problem}" for each in timings))
    return min(usable, key=lambda each: each.ms)


def _ways(manifest: Manifest, entry: ModelEntry) -> Iterator[ModelEntry]:
    """The model of this version in each precision, with each runtime that takes it."""
    plain = entry.name.removesuffix("-int8")
    for listed in manifest.models:
        if listed.name.removesuffix("-int8") != plain or listed.version != entry.version:
            continue
        for runtime in runtimes_here() if listed.precision == "fp32" else (Runtime.ONNXRUNTIME,):
            yield replace(listed, runtime=runtime)


def _timed(entry: ModelEntry, folder: Path, count: int) -> Timing:
    if entry.precision == "int8" and not has_8bit_products():
        return Timing(entry, problem="this processor has no 8-bit products: sums would overflow")
    try:
        detector = Detector(entry, folder)
        worst = detector.verify_golden(samples_folder(), count)
    except ModelError as error:
        return Timing(entry, problem=str(error))
    paths = [samples_folder() / each.picture for each in entry.golden[:count]]
    shown = [decode(each.read_bytes()) for each in paths]
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for each in shown:
            detector.detect(each)
        took.append((time.process_time() - began) / max(len(shown), 1))
    return Timing(entry, min(took) * 1e3, worst)
