"""How blocks go to the cores of a cluster, played without Ray: cores that are slow, lost, or never begin."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("zhentu.backlog.engine_ray")
from zhentu.backlog.engine_ray import _spread
from zhentu.backlog.items import Item, Numbered


class Lost(Exception):
    """What Ray raises for everything a dead actor had in hand."""


class Core:
    """An actor. dies_after: blocks it finishes before it is lost; begins: whether it is ever scheduled."""

    def __init__(self, dies_after: int = 10_000, begins: bool = True) -> None:
        self.dies_after, self.begins, self.done = dies_after, begins, 0
        self.ready = SimpleNamespace(remote=lambda: (self, None))
        self.work = SimpleNamespace(remote=lambda items: (self, tuple(items)))

    def answer(self, items: Sequence[Numbered] | None) -> list[int]:
        if items is None:
            return []
        if self.done >= self.dies_after:
            raise Lost
        self.done += 1
        return [each.seq for each in items]


class PlayedRay:
    """As much of Ray as spreading needs; answers come in the order they were asked for."""

    exceptions = SimpleNamespace(RayError=Lost)

    def __init__(self, cores: list[Core]) -> None:
        self._cores, self._left = cores, list(cores)
        self.killed: list[Core] = []
        self.options: dict[str, Any] = {}

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(len(self._cores))}

    def remote(self, _: type) -> Any:
        def options(**given: Any) -> Any:
            self.options = given
            return SimpleNamespace(remote=lambda *_: self._left.pop(0))

        return SimpleNamespace(options=options)

    def wait(self, answers: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        able = [each for each in answers if each[0].begins]
        assert able, "would wait for ever"
        return able[:num_returns], []

    def get(self, answer: Any) -> list[int]:
        core, items = answer
        return core.answer(items)

    def kill(self, core: Core) -> None:
        self.killed.append(core)


def spread(cores: list[Core], count: int = 1000) -> tuple[list[int], PlayedRay]:
    ray = PlayedRay(cores)
    todo = (Numbered(seq, Item(f"{seq}.jpg")) for seq in range(count))
    return sorted(_spread(ray, None, todo, None, 0)), ray  # type: ignore[arg-type, type-var]


def test_everything_is_done_once_and_every_core_is_let_go() -> None:
    cores = [Core(), Core(), Core()]
    done, ray = spread(cores)
    assert done == list(range(1000))
    assert ray.killed == cores
    assert ray.options["max_restarts"] == ray.options["max_task_retries"] == 0


def test_a_lost_core_costs_what_it_had_in_hand_and_no_more() -> None:
    done, _ = spread([Core(), Core(dies_after=2)])
    assert len(done) == len(set(done))
    assert 1000 - 2 * 64 <= len(done) < 1000


def test_a_core_that_never_begins_keeps_nobody_waiting() -> None:
    done, _ = spread([Core(begins=False), Core()])
    assert done == list(range(1000))


def test_when_every_core_is_lost_the_pass_ends() -> None:
    assert spread([Core(dies_after=0), Core(dies_after=0)])[0] == []
