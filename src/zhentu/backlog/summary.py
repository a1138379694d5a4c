"""What a scan found, counted row by row; memory does not grow with the backlog."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from zhentu.backlog.groups import Group
from zhentu.backlog.ledger import Breakdown
from zhentu.backlog.rows import ScanRow
from zhentu.decide.policy import Policy
from zhentu.intake.skipped import SkipReason
from zhentu.screen import Screener
from zhentu.types import CATEGORIES, OUTPUTS, Action, ModelRef

WORST_KEPT = 60  # pictures a report may show
UNREADABLE_KEPT = 500  # rows a report lists
BINS = 20  # of the score histograms


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a scan found. by_category counts reasons that call for an action; histograms hold 20 equal bins from 0 to 1.

    by_reason: pictures per code of a reason, comparisons and banks included.  skipped: what the listing left out,
    per reason; its entries are in skipped.csv.

    over: per category, the scores from the lowest threshold on that asks for an action; a label that a file asks for by
    itself names its category and is no score.

    resumed: rows taken over from an earlier, interrupted run.  known: pictures whose bytes were scored before.
    worst: gravest action first, then the highest score.  groups: near-duplicates among pictures that need an action.
    by_goods, by_seller: those with the most such pictures first; at most 200 each.
    job_id: "" if the job is not kept.  engine: "local" or "ray"; workers: processes at work.
    """

    pictures: int
    resumed: int
    by_action: Mapping[str, int]
    by_category: Mapping[str, int]
    by_error: Mapping[str, int]
    histograms: Mapping[str, tuple[int, ...]]
    worst: tuple[ScanRow, ...]
    unreadable: tuple[ScanRow, ...]
    model: str
    policy_version: str
    mode: str
    goods: str
    started_at: datetime
    seconds: float
    known: int = 0
    by_goods: tuple[Breakdown, ...] = ()
    by_seller: tuple[Breakdown, ...] = ()
    groups: tuple[Group, ...] = ()
    job_id: str = ""
    engine: str = "local"
    workers: int = 0
    byte_count: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[SkipReason, int] = field(default_factory=dict)
    over: Mapping[str, int] = field(default_factory=dict)

    @property
    def pictures_per_second(self) -> float:
        """Pictures screened per second of this run."""
        return (self.pictures - self.resumed) / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What the rows of a scan depend on besides the pictures. digest: `Screener.digest`, of all that decides.

    limits: per category, the lowest score that asks for an action; a category without one is not in it.
    screener: what all this was read from; its model is not open.
    """

    model: ModelRef
    policy: Policy
    digest: str
    limits: Mapping[str, float] = field(default_factory=dict)
    screener: Screener | None = None


class Tally:
    """Counts rows one by one."""

    def __init__(self, rules: ScanRules, goods: str) -> None:
        self._rules, self._goods = rules, goods
        self.done = self.resumed = self.known = self.byte_count = 0
        self._actions: Counter[str] = Counter({action.value: 0 for action in Action})
        self._categories: Counter[str] = Counter({category.value: 0 for category in CATEGORIES})
        self._errors: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._over: Counter[str] = Counter({category.value: 0 for category in CATEGORIES})
        self._histograms = {output.value: [0] * BINS for output in OUTPUTS}
        self._worst: list[tuple[tuple[int, float, int], ScanRow]] = []
        self._unreadable: list[ScanRow] = []
        self._started_at, self._began = datetime.now(UTC), time.perf_counter()

    def add(self, row: ScanRow, resumed: bool = False) -> None:
        """Count one row."""
        self.done += 1
        self.resumed += resumed
        self.known += row.known
        if row.error:
            self._errors[row.error] += 1
            if len(self._unreadable) < UNREADABLE_KEPT:
                self._unreadable.append(row)
            return
        self._actions[row.action] += 1
        self._reasons.update(set(filter(None, row.reasons.split(";"))))
        self._categories.update(filter(None, row.categories.split(";")))
        for name, bins in self._histograms.items():
            score = getattr(row, name)
            if score is not None:
                bins[min(int(score * BINS), BINS - 1)] += 1
                self._over[name] += name in self._rules.limits and score >= self._rules.limits[name]
        rank = (Action(row.action).severity, row.forged or 0.0, -self.done)
        heapq.heappush(self._worst, (rank, row))
        if len(self._worst) > WORST_KEPT:
            heapq.heappop(self._worst)

    def counts(self) -> dict[str, int]:
        """Pictures per action, "error" and "known"."""
        return {**self._actions, "error": sum(self._errors.values()), "known": self.known}

    def reasons(self) -> dict[str, int]:
        """Pictures per reason code, most first."""
        return dict(self._reasons.most_common())

    def summary(self) -> ScanSummary:
        """All counts so far."""
        policy = self._rules.policy
        return ScanSummary(
            pictures=self.done,
            resumed=self.resumed,
            by_action=dict(self._actions),
            by_category=dict(self._categories),
            by_error=dict(self._errors.most_common()),
            histograms={name: tuple(bins) for name, bins in self._histograms.items()},
            worst=tuple(row for _, row in sorted(self._worst, key=lambda each: each[0], reverse=True)),
            unreadable=tuple(self._unreadable),
            model=str(self._rules.model),
            policy_version=policy.version,
            mode=policy.mode.value,
            goods=self._goods,
            started_at=self._started_at,
            seconds=time.perf_counter() - self._began,
            known=self.known,
            byte_count=self.byte_count,
            by_reason=self.reasons(),
            over=dict(self._over),
        )
