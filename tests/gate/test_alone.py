from __future__ import annotations

import asyncio
import threading
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, photo
from fakes import FakeDetector

from zhentu.decide.policy import Policy
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.detect.views import make_views
from zhentu.gate.alone import by_load
from zhentu.gate.capacity import Capacity, Ticket
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.screen import Screener


def test_one_picture_gets_every_core_and_many_get_one_each(
    entry: ModelEntry, tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_core, every_core = Detector(entry, tmp_path / "models"), FakeDetector(entry)
    asked: list[int] = []
    monkeypatch.setattr(one_core, "detect", lambda picture, with_heatmaps=False: asked.append(1))
    monkeypatch.setattr(one_core, "with_threads", lambda threads: every_core)
    capacity = Capacity(2, 10, 120.0)
    screener = by_load(Screener(one_core, policy, DecodeLimits()), 2, lambda: capacity.is_alone)
    picture = decode(encoded(photo((64, 64)), "PNG"))
    both_here = threading.Barrier(2)

    def score(ticket: Ticket) -> None:
        screener.ask_model(picture)

    def score_together(ticket: Ticket) -> None:
        both_here.wait(120)
        screener.ask_model(picture)
        both_here.wait(120)

    async def go() -> None:
        await capacity.run(score)
        assert (len(asked), every_core.asked) == (0, 1)
        await asyncio.gather(capacity.run(score_together), capacity.run(score_together))
        assert (len(asked), every_core.asked) == (2, 1)

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
            assert seen.crops_seen == wanted.crops_seen > 0
            for part in ("whole", "crops.logits"):
                assert np.array_equal(attrgetter(part)(seen), attrgetter(part)(wanted)), (name, threads, part)


def test_a_machine_of_one_core_opens_the_model_once(entry: ModelEntry, tmp_path: Path, policy: Policy) -> None:
    screener = Screener(Detector(entry, tmp_path / "models"), policy, DecodeLimits())
    assert by_load(screener, 1, lambda: True) is screener
    assert by_load(screener, 2, lambda: True).detector_now is not None
