"""Prometheus metrics, in a registry of their own so that tests and apps do not share counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zhentu.detect.drift import ScoreWindow
from zhentu.gate.tracing import Tracing
from zhentu.types import Record, Verdict

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SCORES = tuple(k / 10 for k in range(1, 11))


class GateMetrics:
    """Counts by action, reason and error; latency by stage; queue, spool and jobs; scores and their drift; versions."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.tracing = tracing or Tracing()
        self.registry = own = CollectorRegistry()
        self.requests = Counter("zhentu_requests", "HTTP requests.", ["method", "route", "status"], registry=own)
        self.screened = Counter("zhentu_screened", "Pictures screened.", ["action", "applied"], registry=own)
        self.reasons = Counter("zhentu_reasons", "Reasons of decisions.", ["code", "action"], registry=own)
        self.errors = Counter("zhentu_errors", "Requests refused and components that failed.", ["code"], registry=own)
        self.replayed = Counter("zhentu_replayed", "Requests answered by an earlier record.", registry=own)
        self.deferred = Counter(
            "zhentu_deferred", "Pictures allowed and queued while the gate was in trouble.", ["code"], registry=own
        )
        self.latency = Histogram("zhentu_screen_seconds", "Decode to decision.", buckets=_LATENCY, registry=own)
        self.stages = Histogram(
            "zhentu_stage_seconds",
            "Stages of a request: fetch, wait, screen, model, keep, total.",
            ["stage"],
            buckets=_LATENCY,
            registry=own,
        )
        self.scores = Histogram("zhentu_score", "Calibrated scores.", ["output"], buckets=_SCORES, registry=own)
        self.drift = Gauge(
            "zhentu_score_psi",
            "Population stability index of the latest scores against the manifest's reference, by output.",
            ["output"],
            registry=own,
        )
        self.waiting = Gauge("zhentu_queue_depth", "Pictures accepted but not answered yet.", registry=own)
        self.spooled = Gauge("zhentu_spooled", "Decisions waiting for the store.", registry=own)
        self.jobs = Gauge("zhentu_job_pictures_waiting", "Pictures of jobs that are waiting.", registry=own)
        self.messages = Gauge("zhentu_messages_waiting", "Webhook messages that are waiting.", registry=own)
        self.deliveries = Counter("zhentu_deliveries", "Webhook deliveries.", ["outcome"], registry=own)
        self.shadow = Counter("zhentu_shadow", "Pictures judged by two models.", ["model", "agrees"], registry=own)
        self.shadow_skipped = Counter("zhentu_shadow_skipped", "Pictures the shadow model did not see.", registry=own)
        self.store_up = Gauge("zhentu_store_up", "1 while the store answers.", registry=own)
        self.versions = Gauge("zhentu_info", "Versions in force.", ["model", "policy", "mode", "shadow"], registry=own)
        self.window = ScoreWindow()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage, even if it fails."""
        began = time.perf_counter()
        try:
            with self.tracing.span(name):
                yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - began)

    def observe(self, record: Record, own: Verdict | None) -> None:
        """Count one screened picture. own: the verdict at the model's own prior, as in its reference."""
        decision = record.decision
        self.screened.labels(decision.action.value, decision.applied.value).inc()
        self.latency.observe(record.latency_ms / 1e3)
        for reason in decision.reasons:
            self.reasons.labels(reason.code, reason.action.value).inc()
        if record.verdict:
            for output, score in record.verdict.scores.as_dict().items():
                self.scores.labels(output).observe(score)
        if own:
            self.window.add(own.scores.as_dict())

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
