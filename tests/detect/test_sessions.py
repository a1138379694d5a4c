from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from zhentu.detect.sessions import Opened
from zhentu.errors import ModelError


def test_what_several_threads_ask_for_at_once_is_opened_once() -> None:
    opened: list[object] = []
    together = Barrier(4)

    def opening() -> object:
        opened.append(object())
        return opened[-1]

    thing = Opened(opening)
    assert not opened, "nothing is opened before it is asked for"

    def ask(_: int) -> object:
        together.wait()
        return thing()

    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(ask, range(4)))
    assert len(opened) == 1
    assert set(map(id, given)) == {id(opened[0])}


def test_what_could_not_be_opened_is_tried_again_when_asked_again() -> None:
    tries = iter([ModelError("the file is missing"), None])

    def opening() -> str:
        problem = next(tries)
        if problem is not None:
            raise problem
        return "open"

    thing = Opened(opening)
    with pytest.raises(ModelError, match="missing"):
        thing()
    assert thing() == "open"
