"""A handful of Prometheus metrics, in a registry of their own so that tests and apps do not share counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zhentu.types import Record

_LATENCY = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCORES = tuple(k / 10 for k in range(1, 11))


class GateMetrics:
    """Counts by action and error, latency, queue depth, score distribution per output, versions in force."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.screened = Counter("zhentu_screened", "Pictures screened.", ["action", "applied"], registry=self.registry)
        self.reasons = Counter("zhentu_reasons", "Reasons of decisions.", ["code"], registry=self.registry)
        self.errors = Counter("zhentu_errors", "Requests refused.", ["code"], registry=self.registry)
        self.latency = Histogram(
            "zhentu_screen_seconds", "Decode to decision.", buckets=_LATENCY, registry=self.registry
        )
        self.scores = Histogram(
            "zhentu_score", "Calibrated scores, for drift.", ["output"], buckets=_SCORES, registry=self.registry
        )
        self.waiting = Gauge("zhentu_queue_depth", "Pictures accepted and not answered.", registry=self.registry)
        self.versions = Gauge("zhentu_info", "Versions in force.", ["model", "policy", "mode"], registry=self.registry)

    def observe(self, record: Record) -> None:
        """Count one screened picture."""
        decision = record.decision
        self.screened.labels(decision.action.value, decision.applied.value).inc()
        self.latency.observe(record.latency_ms / 1e3)
        for reason in decision.reasons:
            self.reasons.labels(reason.code).inc()
        if record.verdict:
            for output, score in record.verdict.scores.as_dict().items():
                self.scores.labels(output).observe(score)

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
