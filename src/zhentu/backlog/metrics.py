"""A running scan as Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from zhentu.backlog.scan import ScanProgress
from zhentu.errors import UsageError


class ScanMetrics:
    """Call it with each progress update; `serve` answers Prometheus on a port of this machine.

    zhentu_scan_pictures_total{action}: finished in this run, action "error" for unreadable ones.
    zhentu_scan_known_total: of them, scored before.  zhentu_scan_total, zhentu_scan_left: pictures of the job.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._pictures = Counter("zhentu_scan_pictures", "Finished in this run.", ["action"], registry=self.registry)
        self._known = Counter("zhentu_scan_known", "Finished by an earlier score.", registry=self.registry)
        self._total = Gauge("zhentu_scan_total", "Pictures of the job.", registry=self.registry)
        self._left = Gauge("zhentu_scan_left", "Pictures still to be done.", registry=self.registry)

    def __call__(self, progress: ScanProgress) -> None:
        """Count one row."""
        self._total.set(progress.total)
        self._left.set(progress.total - progress.done)
        if not progress.resumed:
            self._pictures.labels(progress.row.action or "error").inc()
            self._known.inc(progress.row.known)

    def serve(self, port: int) -> None:
        """Answer on 127.0.0.1:`port` until the process ends. Raises UsageError if the port is taken."""
        try:
            start_http_server(port, "127.0.0.1", self.registry)
        except OSError as error:
            raise UsageError(f"--metrics-port {port}: {error.strerror}; choose another") from error
