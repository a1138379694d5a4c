"""What decisions teach: agreement between reviewers, precision of each model version, labels for the next training."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from zhentu.record.database import Database, aware, now
from zhentu.review.items import ReviewOutcome
from zhentu.review.rows import standing
from zhentu.review.schema import review_decisions, review_items

_FEW = 10  # double-reviewed pictures below which kappa says nothing
_DAYS = 30
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """Cohen's kappa (1960) over pictures that two reviewers decided. kappa: None when there are too few pairs."""

    pairs: int
    same: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class ModelPrecision:
    """Share upheld of what a model version flagged and people decided. low, high: 95 % (Wilson 1927)."""

    model: str
    decided: int
    upheld: int
    precision: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """The dashboard. daily: (day, upheld or wrong picture, overturned); reviewers: (name, decided, overturned)."""

    agreement: ReviewerAgreement
    models: tuple[ModelPrecision, ...]
    daily: tuple[tuple[str, int, int], ...]
    reviewers: tuple[tuple[str, int, int], ...]


def statistics(database: Database) -> Statistics:
    """Everything the dashboard shows, of decisions that stand."""
    columns = review_decisions.c
    query = standing(
        columns.record_id,
        columns.reviewer,
        columns.outcome,
        columns.category,
        columns.decided_at,
        review_items.c.model,
        review_items.c.kind,
    )
    with database.begin() as connection:
        rows = connection.execute(query).all()
    return Statistics(_agreement(rows), _precisions(rows), _daily(rows), _reviewers(rows))


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Agreement beyond chance between two raters of the same things: 1 always, 0 as by chance, -1 never.

    Raises ValueError without pairs.
    """
    if not pairs:
        raise ValueError("kappa needs at least one pair")
    count = len(pairs)
    observed = sum(one == other for one, other in pairs) / count
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    expected = sum(first[value] * second[value] for value in first) / count**2
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if total == 0:
        return 0.0, 1.0
    share, square = hits / total, _Z95**2
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _agreement(rows: Iterable[Any]) -> ReviewerAgreement:
    by_record: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        if row.kind != "appeal":  # an appeal brings new facts: another outcome is no disagreement
            by_record[row.record_id].append((row.reviewer, row.outcome))
    pairs = [
        (decided[0][1], decided[1][1])
        for decided in by_record.values()
        if len(decided) > 1 and decided[0][0] != decided[1][0]
    ]
    kappa = cohen_kappa(pairs) if len(pairs) >= _FEW else None
    return ReviewerAgreement(len(pairs), sum(one == other for one, other in pairs), kappa)


def _precisions(rows: Iterable[Any]) -> tuple[ModelPrecision, ...]:
    last: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.kind != "sample" and row.model:  # a sample was not flagged by the model
            last[row.model, row.record_id] = row.outcome
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (model, _), outcome in last.items():
        counts[model][0] += 1
        counts[model][1] += outcome == ReviewOutcome.UPHOLD.value
    return tuple(
        ModelPrecision(model, decided, upheld, upheld / decided, *wilson(upheld, decided))
        for model, (decided, upheld) in sorted(counts.items())
    )


def _daily(rows: Iterable[Any]) -> tuple[tuple[str, int, int], ...]:
    today = now().date()
    days = {today - timedelta(days=back): [0, 0] for back in range(_DAYS - 1, -1, -1)}
    for row in rows:
        day = aware(row.decided_at).date()
        if day in days:
            days[day][row.outcome == ReviewOutcome.OVERTURN.value] += 1
    return tuple((day.isoformat(), kept, overturned) for day, (kept, overturned) in days.items())


def _reviewers(rows: Iterable[Any]) -> tuple[tuple[str, int, int], ...]:
    since = now() - timedelta(days=_DAYS)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if aware(row.decided_at) > since:
            counts[row.reviewer][0] += 1
            counts[row.reviewer][1] += row.outcome == ReviewOutcome.OVERTURN.value
    ordered = sorted(counts.items(), key=lambda each: -each[1][0])
    return tuple((name, decided, overturned) for name, (decided, overturned) in ordered)
