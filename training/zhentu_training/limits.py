"""Large sources cut down, so that a shop with thousands of pictures does not teach a detector what that shop is."""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from zhentu.errors import UsageError
from zhentu_training.dataset import Origin, Sample
from zhentu_training.reading import some_of

METAVAR = ("GENUINE", "MADE")  # of --per-source
HELP = "at most so many genuine and AI-made pictures of a source"


@dataclass(frozen=True, slots=True)
class PerSource:
    """At most so many pictures of a source, by kind; those of edited pairs and own forgeries are not counted.

    Raises UsageError for a limit under 1, which would leave a kind out of every source.
    """

    genuine: int
    made: int

    def __post_init__(self) -> None:
        if min(self.genuine, self.made) < 1:
            raise UsageError(f"pictures of a source: 1 at least of each kind (got {self.genuine} and {self.made})")


def limited(samples: Sequence[Sample], limit: PerSource) -> list[Sample]:
    """The samples within the limit, in the order given; all edits, their originals and all own forgeries.

    Which ones stay is drawn by the pictures' bytes: the same ones in any order, whatever other sources hold.
    """
    originals = {sample.pair for sample in samples if sample.pair}
    counted = [k for k, each in enumerate(samples) if each.origin is Origin.REAL and each.path not in originals]
    taken: Counter[tuple[str, bool]] = Counter()
    over = set()
    for k in sorted(counted, key=lambda k: hashlib.sha256(samples[k].path.read_bytes()).digest()):
        kind = samples[k].source, samples[k].forged
        taken[kind] += 1
        if taken[kind] > (limit.made if samples[k].forged else limit.genuine):
            over.add(k)
    return [sample for k, sample in enumerate(samples) if k not in over]


def limit_of(arguments: argparse.Namespace) -> PerSource | None:
    """What --per-source says, None where it was not given. Raises UsageError."""
    return PerSource(*arguments.per_source) if arguments.per_source else None


def within(samples: Sequence[Sample], limit: PerSource | None) -> tuple[list[Sample], str]:
    """The samples within the limit, all of them without one; and what was left out, a sentence or nothing."""
    if limit is None:
        return list(samples), ""
    kept = limited(samples, limit)
    there = {sample.path for sample in kept}
    left = Counter(sample.source for sample in samples if sample.path not in there)
    if not left:
        return kept, ""
    return kept, (
        f"{left.total()} pictures are over the limit of {limit.genuine} genuine and {limit.made} AI-made ones of a "
        f"source and are left out: {some_of([f'{count} of {source}' for source, count in left.most_common()])}"
    )
