"""Dynamic batching: what several threads ask of a network at the same moment goes to it in one call.

A GPU calculates many views in little more time than one; a processor core does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from zhentu.detect.sessions import Network


@dataclass(frozen=True, slots=True)
class Batching:
    """most: views of one call.  wait_s: seconds that the first of them waits for others."""

    most: int
    wait_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """What one thread asks. answer: all outputs of its own views."""

    views: npt.NDArray[Any]
    answer: Future[Sequence[npt.NDArray[Any]]] = field(default_factory=Future)


class BatchedNetwork:
    """A network whose one input and whose outputs have a row for each view; threads wait for their own rows.

    While one call is calculated, the next batch gathers. Batches are filled up to a power of two with empty views, so
    that a GPU's libraries choose their kernels for a few shapes and not for every count.
    """

    def __init__(self, network: Network, batching: Batching) -> None:
        self._network, self._batching = network, batching
        (self._taken,) = (each.name for each in network.get_inputs())
        self._given = tuple(each.name for each in network.get_outputs())
        self._waiting: SimpleQueue[_Call] = SimpleQueue()
        threading.Thread(target=self._serve, name="batches", daemon=True).start()

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
        """The named outputs of these views, in this order. Raises what the network raises."""
        call = _Call(np.asarray(input_feed[self._taken]))
        self._waiting.put(call)
        rows = dict(zip(self._given, call.answer.result(), strict=True))
        return [rows[name] for name in output_names]

    def get_inputs(self) -> Sequence[Any]:
        """What the network takes."""
        return self._network.get_inputs()

    def get_outputs(self) -> Sequence[Any]:
        """What the network gives."""
        return self._network.get_outputs()

    def _serve(self) -> None:
        left: _Call | None = None
        while True:
            batch, left = self._gathered(left or self._waiting.get())
            self._answer(batch)

    def _gathered(self, first: _Call) -> tuple[list[_Call], _Call | None]:
        """The calls of one batch, and one that no longer fits. Views of other sizes do not go together either."""
        batch, count = [first], len(first.views)
        until = time.monotonic() + self._batching.wait_s
        while count < self._batching.most:
            try:
                call = self._waiting.get(timeout=max(until - time.monotonic(), 0.0))
            except Empty:
                return batch, None
            count += len(call.views)
            if count > self._batching.most or call.views.shape[1:] != first.views.shape[1:]:
                return batch, call
            batch.append(call)
        return batch, None

    def _answer(self, batch: Sequence[_Call]) -> None:
        try:
            views = np.concatenate([call.views for call in batch])
            room = 1 << (len(views) - 1).bit_length()
            empty = np.zeros((room - len(views), *views.shape[1:]), views.dtype)
            given = self._network.run(self._given, {self._taken: np.concatenate([views, empty])})
            ends = np.cumsum([len(call.views) for call in batch])
            of_calls = zip(*(np.split(np.asarray(rows)[: len(views)], ends[:-1]) for rows in given), strict=True)
            for call, rows in zip(batch, of_calls, strict=True):
                call.answer.set_result(rows)
        except BaseException as error:  # whatever it was, nobody may wait for ever
            for call in batch:
                if not call.answer.done():
                    call.answer.set_exception(error)
