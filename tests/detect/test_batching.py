from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, photo
from served import until

from zhentu.bootstrap.screener import batching_of, build_screener
from zhentu.detect import sessions
from zhentu.detect.batching import BatchedNetwork, Batching
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.sessions import Network, open_session
from zhentu.gate.alone import by_load
from zhentu.intake.decode import decode
from zhentu.settings import load_settings
from zhentu.types import Picture, Runtime

PATIENT = Batching(4, 120.0)  # longer than any test: only full batches go


@dataclass
class Watched:
    """A network that notes how many views each call had, and can be held up."""

    network: Network
    sizes: list[int] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, Any]) -> Sequence[Any]:
        (views,) = input_feed.values()
        self.sizes.append(len(views))
        self.began.set()
        assert self.go_on.wait(120)
        return self.network.run(output_names, input_feed)

    def get_inputs(self) -> Sequence[Any]:
        return self.network.get_inputs()

    def get_outputs(self) -> Sequence[Any]:
        return self.network.get_outputs()


@pytest.fixture
def watched(entry: ModelEntry, tmp_path: Path) -> Watched:
    return Watched(open_session(tmp_path / "models" / entry.file, entry.sha256, (), 1, ["CPUExecutionProvider"]))


def views(count: int, seed: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def ask(network: Network, shown: np.ndarray) -> Sequence[np.ndarray]:
    return network.run(("crop_logits", "whole_logits"), {"views": shown})


def test_what_comes_together_shares_one_call_and_each_gets_its_own_rows(watched: Watched) -> None:
    shown = [views(count, seed) for seed, count in enumerate((1, 2, 1))]
    expected = [ask(watched.network, each) for each in shown]
    batched = BatchedNetwork(watched, PATIENT)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda each: ask(batched, each), shown))
    assert watched.sizes == [4]
    for own, wanted in zip(answers, expected, strict=True):
        assert [each.shape for each in own] == [each.shape for each in wanted]
        assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(own, wanted, strict=True))


def test_a_lone_view_goes_when_its_time_is_up_and_odd_counts_are_filled_up(watched: Watched) -> None:
    batched = BatchedNetwork(watched, Batching(16, 0.02))
    for count in (1, 3, 5):
        (_, logits) = ask(batched, views(count, count))
        assert np.allclose(logits, ask(watched.network, views(count, count))[1], atol=1e-6)
    assert watched.sizes == [1, 4, 8]


def test_while_one_batch_is_calculated_the_next_gathers_and_none_is_too_large(watched: Watched) -> None:
    watched.go_on.clear()
    batched = BatchedNetwork(watched, Batching(4, 0.0))
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, batched, views(1, 0))
        assert watched.began.wait(120)
        others = [pool.submit(ask, batched, views(1, seed)) for seed in range(1, 7)]
        until(lambda: batched._waiting.qsize() == len(others))  # all six wait behind the first
        watched.go_on.set()
        assert len({future.result()[1].tobytes() for future in (first, *others)}) == 7
    assert watched.sizes == [1, 4, 2]


def test_views_of_two_sizes_go_in_calls_of_their_own(watched: Watched) -> None:
    batched = BatchedNetwork(watched, Batching(4, 0.3))
    shown = views(1, 1), views(1, 2, side=16)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda each: ask(batched, each), shown))
    assert watched.sizes == [1, 1]
    for own, each in zip(answers, shown, strict=True):
        assert np.allclose(own[1], ask(watched.network, each)[1], atol=1e-6)


def test_an_error_reaches_all_who_wait_and_the_next_batch_is_calculated(watched: Watched) -> None:
    batched = BatchedNetwork(watched, Batching(2, 120.0))
    with ThreadPoolExecutor(2) as pool:
        broken = [pool.submit(ask, batched, views(1, seed).astype(np.float64)) for seed in range(2)]
        for future in broken:
            with pytest.raises(Exception, match="double"):
                future.result(timeout=120)
        assert len(list(pool.map(lambda seed: ask(batched, views(1, seed)), range(2)))) == 2


def test_pictures_of_many_threads_get_the_scores_they_get_alone(entry: ModelEntry, tmp_path: Path) -> None:
    pictures = [decode(encoded(photo((90 + 7 * k, 80)), "PNG")) for k in range(12)]
    alone, together = (Detector(entry, tmp_path / "models", 1, each) for each in (None, Batching(8, 0.01)))

    def scores(detector: Detector, picture: Picture) -> dict[str, float]:
        return detector.detect(picture, with_heatmaps=True).scores.as_dict()

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda each: scores(together, each), pictures))
    for own, picture in zip(found, pictures, strict=True):
        assert own == pytest.approx(scores(alone, picture), abs=1e-6)


def test_only_a_gpu_gets_batches_and_no_second_session(
    entry: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(
        None,
        {
            "ZHENTU_MODELS_DIR": str(tmp_path / "models"),
            "ZHENTU_MODELS_MAX_BATCH_SIZE": "8",
            "ZHENTU_MODELS_BATCH_TIMEOUT_MS": "5",
        },
    )
    assert batching_of(settings) is None
    on_gpu = settings.changed({"models.runtime": "cuda"})
    assert batching_of(on_gpu) == Batching(8, 0.005)
    # The processor's provider stands in for the GPU's, under its name.
    monkeypatch.setitem(sessions._PROVIDERS, Runtime.CUDA, ("CPUExecutionProvider",))
    screener = build_screener(on_gpu)
    assert isinstance(screener.detector._session, BatchedNetwork)  # type: ignore[attr-defined]
    assert by_load(screener, 8, lambda: True) is screener
    picture = decode(encoded(photo((120, 80)), "PNG"))
    plain = Detector(replace(entry, runtime=Runtime.ONNXRUNTIME), tmp_path / "models").detect(picture)
    found = screener.detector.detect(picture)
    assert found.scores.as_dict() == pytest.approx(plain.scores.as_dict(), abs=1e-6)
    assert found.model.version.endswith("+cuda")
