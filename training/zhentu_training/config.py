"""configs/train.yaml and configs/designs.yaml as frozen values; every unknown key and wrong type is named at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from zhentu.detect.views import ViewSpec
from zhentu.errors import ConfigError
from zhentu.types import CATEGORIES, Category, Profile
from zhentu.yaml_text import read_yaml
from zhentu_training.gpu.plan import PATCH
from zhentu_training.model import BackboneSpec, GraphSpec, TokenSpec
from zhentu_training.tiers import TIERS

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
EARLY = "early"  # the head that may end the whole look
_LEAST_SIDE = 64  # pixels of a view; in fewer there is too little to see
_STRICT = ConfigDict(extra="forbid")
T = TypeVar("T")


@checked(frozen=True, config=_STRICT)
class LookSpec:
    """One look's head. ridge: on standardised features.  hidden: of a small network averaged in, 0 = none."""

    tokens: TokenSpec = field(default_factory=TokenSpec)
    ridge: float = 0.01
    hidden: int = 0


@checked(frozen=True, config=_STRICT)
class FitSpec:
    """How the heads are fitted: one design.

    roads: copies of each picture that teach, see tiers.py.  source_power: of a source's n pictures each has n to
    this power.  real_share: of the weight of a category's forged pictures, the share of real edits.
    crop_share: of the crops' logit in the fusion; None = fitted per output, never negative.  0 = the whole look alone.
    """

    whole: LookSpec = field(default_factory=LookSpec)
    crops: LookSpec = field(default_factory=LookSpec)
    roads: tuple[str, ...] = ("native", "web")
    source_power: float = -0.45
    real_share: float = 0.5
    crop_share: float | None = None


@checked(frozen=True, config=_STRICT)
class ExitSpec:
    """When the whole look ends early: a head on tokens of the first blocks says that no more will come of it.

    tokens: what it reads; the look ends after the last of these blocks.  ridge: as in `LookSpec`.
    genuine, made: the shares of genuine and of AI-made pictures, sources weighted alike, that may get another verdict
    by it at any profile.  margin: log-odds of `ai_generated` below its lowest threshold that are asked for besides,
    since pictures that leave are ranked by less than all others.
    """

    tokens: TokenSpec
    ridge: float = 0.01
    margin: float = 1.0
    genuine: float = 0.001
    made: float = 0.005


@checked(frozen=True, config=_STRICT)
class LocateSpec:
    """The heatmaps: a network over the traces of a picture's cells, see placing.py.

    version: of the network.  pictures: so many forgeries with masks teach it, at most.  roads: copies of each.
    stands_out: as `ModelEntry.stands_out`.
    """

    version: str = "1.0.0"
    pictures: int = 4000
    epochs: int = 12
    roads: tuple[str, ...] = ("native", "web")
    stands_out: float = 0.25


@checked(frozen=True, config=_STRICT)
class Risk:
    """Share of genuine pictures that may be labelled, and that may be sent to review by any of the four categories.

    worst_source: the share of any one source, on any road where it has 40 genuine pictures or more, by both actions.
    """

    label: float
    review: float
    worst_source: float = 1.0


@checked(frozen=True, config=_STRICT)
class TrainSpec:
    """All of configs/train.yaml.

    prior: the share of AI-made pictures at which `ai_generated` is a probability.  category_prior: of each of the four
    categories, which are rarer: at an even prior a category that is hard to tell would lie near one half for every
    picture, and `forged`, that any of the five holds, near one.  assignments: of sources to folds, in whose mean
    held-out scores are taken, see `fit.calibrate`.  cascade: whether the whole look may settle a picture.
    exit: whether it may do so before its last block; None = never.
    """

    name: str
    version: str
    seed: int
    views: ViewSpec
    backbone: BackboneSpec = field(default_factory=BackboneSpec)
    fit: FitSpec = field(default_factory=FitSpec)
    locate: LocateSpec = field(default_factory=LocateSpec)
    folds: int = 5
    assignments: int = 1
    prior: float = 0.5
    category_prior: float = 0.1
    cascade: bool = True
    exit: ExitSpec | None = None
    profiles: Mapping[Profile, Risk] = field(
        default_factory=lambda: {
            Profile.CAREFUL: Risk(0.002, 0.001),
            Profile.BALANCED: Risk(0.005, 0.004),
            Profile.STRICT: Risk(0.02, 0.02),
        }
    )

    def __post_init__(self) -> None:
        if self.exit is not None:
            self._check_exit(self.exit)
        # It is fitted on the mean of a picture's crops, and the graph reads each crop by itself.
        if self.fit.crops.hidden and self.views.crop_count > 1:
            raise ValueError("fit.crops.hidden: a network reads one crop; set views.crop_count to 1, or hidden to 0")

    def _check_exit(self, way_out: ExitSpec) -> None:
        if not self.cascade:
            raise ValueError("exit: lets the whole look settle pictures, which cascade: false rules out; leave one out")
        if self.views.whole_size == self.views.crop_size:  # the graph tells the looks apart by the size of their views
            raise ValueError("exit: looks of two sizes are needed; set views.crop_size to another one than whole_size")
        blocks = self.backbone.depth - 1
        if max(block for block, _ in way_out.tokens.places) >= blocks:
            raise ValueError(f"exit.tokens: of the first {blocks} blocks alone, the last one ends the look anyway")

    @property
    def priors(self) -> np.ndarray:
        """Of each output (5,)."""
        return np.array(
            [self.prior if category is Category.AI_GENERATED else self.category_prior for category in CATEGORIES]
        )

    @property
    def heads(self) -> Mapping[str, LookSpec]:
        """All heads by name, in the order in which they are fitted: both looks', and with an exit the early one."""
        early = {EARLY: LookSpec(self.exit.tokens, self.exit.ridge)} if self.exit else {}
        return {"whole": self.fit.whole, "crops": self.fit.crops, **early}

    @property
    def graph(self) -> GraphSpec:
        """Shape of the serving graph."""
        whole, crops, sides = self.fit.whole, self.fit.crops, (self.views.whole_size, self.views.crop_size)
        return GraphSpec(
            self.backbone,
            whole.tokens,
            crops.tokens,
            sides,
            whole.hidden,
            crops.hidden,
            self.exit.tokens if self.exit else None,
        )


@dataclass(frozen=True, slots=True)
class Design:
    """A named way to fit the heads, a row of the cross-validation's table."""

    name: str
    fit: FitSpec


def load_spec(path: Path) -> TrainSpec:
    """Read and check. Raises ConfigError with one sentence a problem."""
    spec = _validated(TrainSpec, _content(path), path)
    problems = list(_out_of_bounds(spec))
    sides = {"whole_size": spec.views.whole_size, "crop_size": spec.views.crop_size}
    for name, side in sides.items():
        if side < _LEAST_SIDE or side % PATCH:
            problems.append(f"views.{name}: a multiple of {PATCH} pixels, {_LEAST_SIDE} or more (got {side})")
    used = {
        "exit.tokens" if name == EARLY else f"fit.{name}.tokens": [block for block, _ in head.tokens.places]
        for name, head in spec.heads.items()
    }
    for name, blocks in used.items():
        if not blocks or max(blocks) >= spec.backbone.depth or min(blocks) < 0:
            problems.append(f"{name}: blocks lie between 0 and {spec.backbone.depth - 1} (got {blocks})")
    if problems:
        raise ConfigError(str(path), problems)
    return spec


def _out_of_bounds(spec: TrainSpec) -> Iterator[str]:
    """What would end in a file of another name, or in figures that are no numbers."""
    for key, text in (("name", spec.name), ("version", spec.version), ("locate.version", spec.locate.version)):
        if not _WORD.fullmatch(text):
            yield f"{key}: letters, digits, '.', '_' and '-' alone, it names files (got {text!r})"
    for key, count in (("folds", spec.folds), ("assignments", spec.assignments)):
        if count < 1:
            yield f"{key}: one is the least (got {count})"
    shares = {"prior": spec.prior, "category_prior": spec.category_prior}
    for profile, risk in spec.profiles.items():
        shares |= {f"profiles.{profile}.label": risk.label, f"profiles.{profile}.review": risk.review}
    for key, share in shares.items():
        if not 0 < share < 1:
            yield f"{key}: a share between 0 and 1 (got {share:g})"
    if unknown := [road for road in (*spec.fit.roads, *spec.locate.roads) if road not in TIERS]:
        yield f"roads: unknown {', '.join(unknown)}; known: {', '.join(TIERS)}"


def load_designs(path: Path, base: FitSpec) -> list[Design]:
    """Rows of the table: a name each, and what differs from `base`. Raises ConfigError."""
    content = _content(path)
    plain = TypeAdapter(FitSpec).dump_python(base)
    return [Design(name, _validated(FitSpec, _merged(plain, changes or {}), path)) for name, changes in content.items()]


def _content(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(str(path), ["is not there, or is no file (the repository has configs/train.yaml)"])
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(str(path), [f"not YAML: {error}"]) from error


def _merged(base: dict[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        # Tokens are named in full: a design says what it reads, not what it reads besides.
        nested = isinstance(below, dict) and isinstance(value, Mapping) and key != "tokens"
        merged[key] = _merged(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def _validated(kind: type[T], content: object, path: Path) -> T:
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ConfigError(str(path), problems) from error
