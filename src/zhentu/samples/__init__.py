"""The sample pictures and the truth about each, from `samples.yaml` beside them; ORIGIN.md names their sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from zhentu.types import Category


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample picture.

    truth: the category it belongs to, None if it is genuine.  en, zh: what it is and how it was made.
    goods: the goods category to check it in.  reference: the sample that shows the real goods; both may be empty.
    front: whether the front page offers it.
    """

    name: str
    truth: Category | None
    en: str
    zh: str
    goods: str = ""
    reference: str = ""
    front: bool = False


@lru_cache(maxsize=1)
def samples() -> tuple[Sample, ...]:
    """Every sample, in the order of the file: genuine ones first."""
    content = yaml.safe_load(_text("samples.yaml"))
    return tuple(
        Sample(
            name=name,
            truth=None if said["truth"] == "genuine" else Category(said["truth"]),
            en=said["en"],
            zh=said["zh"],
            goods=said.get("goods", ""),
            reference=said.get("reference", ""),
            front=said.get("front", False),
        )
        for name, said in content.items()
    )


def sample_of(name: str) -> Sample | None:
    """The sample of a file name, None if it is none."""
    return next((each for each in samples() if each.name == name), None)


def read_sample(name: str) -> bytes:
    """The bytes of a sample. Raises KeyError for an unknown name."""
    if sample_of(name) is None:
        raise KeyError(name)
    return (files("zhentu.samples") / name).read_bytes()


def _text(name: str) -> str:
    return (files("zhentu.samples") / name).read_text(encoding="utf-8")
