"""Which sights are paired, and the truth about each pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from zhentu.detect.questions import QUESTIONS
from zhentu_training.compare.gists import Gist
from zhentu_training.compare.sights import TAUGHT

UNKNOWN = -1
# What each kind of mismatch says of the questions; what is not named is the same. None: it may have changed or not.
_CHANGED: dict[str, dict[str, int]] = {
    "match": {},
    "look-alike": {"product": 1, "colour": UNKNOWN, "texture": UNKNOWN, "print": UNKNOWN, "construction": UNKNOWN},
    "unrelated": {"product": 1, "colour": UNKNOWN, "texture": UNKNOWN, "print": UNKNOWN, "construction": UNKNOWN},
    "recoloured": {"colour": 1},
    "other colour": {"colour": 1, "print": UNKNOWN, "texture": UNKNOWN},
    "material.recolour": {"print": 1, "colour": UNKNOWN, "texture": UNKNOWN},
    "material.texture": {"texture": 1, "colour": UNKNOWN, "print": UNKNOWN},
    "material.weave": {"texture": 1, "print": UNKNOWN},
    "material.gloss": {"texture": 1, "colour": UNKNOWN},
    "material.rescaled": {"texture": 1, "print": UNKNOWN},
    "reinvented": {"texture": 1, "print": UNKNOWN},
    "material.print": {"print": 1, "colour": UNKNOWN},
    "construction": {"construction": 1, "print": UNKNOWN},
}
KINDS = tuple(_CHANGED)
UNRELATED = "unrelated"
_UNRELATED_EACH = {"judge": 3}  # pairs of a group; of the others one: they are easily learnt


@dataclass(frozen=True, slots=True)
class Pair:
    """Indices of two sights. kind: one of KINDS.  group: of the first sight, what intervals are drawn by."""

    first: int
    second: int
    kind: str
    source: str
    split: str
    group: str
    framed_alike: bool = False

    @property
    def mismatch(self) -> bool:
        """Whether the two show other goods."""
        return self.kind != "match"

    @property
    def truth(self) -> tuple[int, ...]:
        """1 = differs, 0 = the same, UNKNOWN, in the order of QUESTIONS."""
        changed = _CHANGED[self.kind]
        return tuple(changed.get(question, 0) for question in QUESTIONS)


def pairs_of(gists: Sequence[Gist], seed: int) -> list[Pair]:
    """Matches, alterations, other colours and look-alikes; both sights of a pair are always of one split.

    Products that only fit come last and draw for themselves: with or without them, the others' pairs are the same.
    """
    shown = [k for k, gist in enumerate(gists) if gist.subject.source != TAUGHT]
    taught = [k for k, gist in enumerate(gists) if gist.subject.source == TAUGHT]
    pairs = [pair for among in (shown, taught) for pair in _among(gists, among, np.random.default_rng(seed))]
    return [*pairs, *_unrelated(gists, np.random.default_rng(seed))]


def _among(gists: Sequence[Gist], among: Sequence[int], rng: np.random.Generator) -> Iterator[Pair]:
    own = [gists[k] for k in among]
    for pair in (*_made(own, rng), *_real(own, rng), *_look_alikes(own)):
        yield replace(pair, first=among[pair.first], second=among[pair.second])


def copies_of(gists: Sequence[Gist]) -> list[Pair]:
    """One unaltered sight of each group that fits against itself: a picture always shows the goods of its copy.

    Only for fitting: judged or calibrated on, they would flatter every figure.
    """
    firsts: dict[str, int] = {}
    for k, gist in enumerate(gists):
        if gist.subject.split != "judge" and gist.subject.kind == "match":
            firsts.setdefault(gist.subject.group, k)
    return [_pair(gists, k, k, "match") for k in firsts.values()]


def _pair(gists: Sequence[Gist], a: int, b: int, kind: str) -> Pair:
    first, second = gists[a].subject, gists[b].subject
    alike = first.framing == second.framing and first.product == second.product
    return Pair(a, b, kind, first.source, first.split, first.group, alike)


def _made(gists: Sequence[Gist], rng: np.random.Generator) -> Iterator[Pair]:
    products: dict[str, list[int]] = {}
    for k, gist in enumerate(gists):
        if gist.subject.look == "made":
            products.setdefault(gist.subject.product, []).append(k)
    for members in products.values():
        plain = [k for k in members if gists[k].subject.kind == "match"]
        for a, b in combinations(plain, 2):
            yield _pair(gists, a, b, "match")
        for k in set(members) - set(plain):
            for a in rng.permutation(plain)[:2]:
                yield _pair(gists, int(a), k, gists[k].subject.kind)


def _real(gists: Sequence[Gist], rng: np.random.Generator) -> Iterator[Pair]:
    colours: dict[tuple[str, str], list[int]] = {}
    for k, gist in enumerate(gists):
        if gist.subject.look != "made":
            colours.setdefault((gist.subject.product, gist.subject.colour), []).append(k)
    for (product, colour), members in colours.items():
        couples = list(combinations(members, 2))
        for pick in rng.permutation(len(couples))[:8]:
            a, b = couples[pick]
            yield _pair(gists, a, b, "match")
        others = [k for (name, other), rest in colours.items() if name == product and other != colour for k in rest]
        for k in rng.permutation(others)[:5]:
            yield _pair(gists, members[int(rng.integers(len(members)))], int(k), "other colour")


def _look_alikes(gists: Sequence[Gist], each: int = 1) -> Iterator[Pair]:
    """For every unaltered sight, the most similar ones of other groups of its split and source."""
    plain = [k for k, gist in enumerate(gists) if gist.subject.kind == "match"]
    if not plain:
        return
    classes = np.stack([gists[k].classes[-1] for k in plain])
    classes = classes - classes.mean(0)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    keys = np.array([f"{gists[k].subject.source}/{gists[k].subject.split}" for k in plain])
    groups = np.array([gists[k].subject.group for k in plain])
    likeness = classes @ classes.T
    likeness[(keys[:, None] != keys[None]) | (groups[:, None] == groups[None])] = -2
    for row, k in enumerate(plain):
        for other in np.argsort(-likeness[row])[:each]:
            if likeness[row, other] > -2:
                yield _pair(gists, k, plain[other], "look-alike")


def _unrelated(gists: Sequence[Gist], rng: np.random.Generator) -> Iterator[Pair]:
    """Goods of any group beside goods of any other one of its split: a cup and a motorcycle.

    Without them whatever looks wholly unlike is taken for a match in another pose, for look-alikes look alike.
    """
    splits: dict[str, dict[str, list[int]]] = {}
    for k, gist in enumerate(gists):
        if gist.subject.kind == "match":
            splits.setdefault(gist.subject.split, {}).setdefault(gist.subject.group, []).append(k)
    for split, groups in splits.items():
        names = list(groups)
        for at, members in enumerate(groups.values() if len(names) > 1 else ()):
            for k in rng.permutation(members)[: _UNRELATED_EACH.get(split, 1)]:
                other = groups[names[(at + int(rng.integers(1, len(names)))) % len(names)]]
                yield _pair(gists, int(k), int(rng.choice(other)), UNRELATED)
