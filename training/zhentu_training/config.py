"""configs/train.yaml as frozen values; every unknown key and wrong type is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from zhentu.detect.views import ViewSpec
from zhentu.errors import ConfigError
from zhentu.validation import problems_of
from zhentu_training.augment import ChainSpec
from zhentu_training.batches import BatchSpec
from zhentu_training.model import BackboneSpec


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """How the head of a frozen backbone is fitted: draws of the chain a picture of each group, and the ridge.

    real_share: of the weight that forged pictures have together, the share of real AI pictures.
    teach: when a head is tuned, the sources whose labels are learnt; pictures of all others remind it of what it said.
    Empty = all sources teach.
    """

    genuine: int = 1
    real_ai: int = 3
    pairs: int = 1
    ridge: float = 0.1
    real_share: float = 0.6
    teach: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BranchSpec:
    """One branch: its backbone, and its schedule: steps of one batch each, AdamW with warm-up and cosine decay.

    A backbone with `depth` stays frozen, and `probe` says how its head is fitted; the schedule is then unused.
    """

    backbone: BackboneSpec = field(default_factory=BackboneSpec)
    probe: ProbeSpec = field(default_factory=ProbeSpec)
    steps: int = 800
    learning_rate: float = 3e-4
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.06
    ema_decay: float = 0.99
    batch: BatchSpec = field(default_factory=BatchSpec)


@checked(frozen=True, config={"extra": "forbid"})
class TrainSpec:
    """All of configs/train.yaml."""

    name: str
    version: str
    seed: int
    views: ViewSpec
    chain: ChainSpec = field(default_factory=ChainSpec)
    whole: BranchSpec = field(default_factory=BranchSpec)
    crops: BranchSpec = field(default_factory=BranchSpec)
    output_weights: tuple[float, float, float, float, float, float] = (1, 1, 1, 1, 1.5, 1.5)
    positive_weights: tuple[float, float, float, float, float, float] = (3, 3, 3, 3, 1, 1)
    checkpoint_every: int = 100


def load_spec(path: Path) -> TrainSpec:
    """Read and check. Raises ConfigError with one sentence a problem."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return TypeAdapter(TrainSpec).validate_python(content)
    except ValidationError as error:
        raise ConfigError(str(path), problems_of(error, with_input=True)) from error
