from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeDetector

from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest, ModelEntry, models_folder, samples_folder
from zhentu.detect.views import make_views
from zhentu.gate.alone import ByLoad, by_load
from zhentu.gate.capacity import Capacity, Ticket
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.screen import Screener


def test_one_picture_gets_every_core_and_many_get_one_each(entry: ModelEntry) -> None:
    one_core, every_core = FakeDetector(entry), FakeDetector(entry)
    capacity = Capacity(2, 10, 20.0)
    model = ByLoad(one_core, every_core, lambda: capacity.is_alone)
    both_here = threading.Barrier(2)

    def score(ticket: Ticket) -> None:
        model.detect(None)

    def score_together(ticket: Ticket) -> None:
        both_here.wait(10)
        model.detect(None)
        both_here.wait(10)

    async def go() -> None:
        await capacity.run(score)
        assert (one_core.asked, every_core.asked) == (0, 1)
        await asyncio.gather(capacity.run(score_together), capacity.run(score_together))
        assert (one_core.asked, every_core.asked) == (2, 1)

    asyncio.run(go())
    capacity.close()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_shipped_model_says_the_same_bit_by_bit_whatever_the_threads(precision: str) -> None:
    entry = next(each for each in Manifest.load(models_folder()).models if each.precision == precision)
    alone = Detector(entry, models_folder())
    for name in sorted(samples_folder().glob("*.jpg"))[:2]:
        views = make_views(decode(name.read_bytes()).rgb, entry.views)
        wanted = alone.both_looks(views)
        for threads in (2, 3):
            seen = alone.with_threads(threads).both_looks(views)
            for part in ("whole", "whole_map", "crops", "crop_maps"):
                assert np.array_equal(getattr(seen, part), getattr(wanted, part)), (name, threads, part)


def test_a_machine_of_one_core_opens_the_model_once(entry: ModelEntry, tmp_path: Path, policy) -> None:
    screener = Screener(Detector(entry, tmp_path / "models"), policy, DecodeLimits())
    assert by_load(screener, 1, lambda: True) is screener
    assert isinstance(by_load(screener, 2, lambda: True).detector, ByLoad)
