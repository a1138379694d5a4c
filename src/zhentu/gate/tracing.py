"""Optional OpenTelemetry traces: a span per request, and one below it for each stage.

On when OTEL_EXPORTER_OTLP_ENDPOINT (or ..._TRACES_ENDPOINT) is set; everything else, sampling and the service's name
too, is set by OpenTelemetry's own OTEL_* variables. Needs the [tracing] extra. A caller's `traceparent` is continued.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from zhentu.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_UNTRACED = "livez,readyz,metrics"  # probes would drown the rest


class Tracing:
    """Traces by a provider; None = no tracing, and every call here then costs nothing."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("zhentu.gate") if provider else None

    @staticmethod
    def from_environment() -> Tracing:
        """As the OTEL_* variables say. Raises ConfigError if they need a package that is not installed."""
        named = next((name for name in _ENDPOINTS if os.environ.get(name)), "")
        if not named or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return Tracing()
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigError("environment", [f"{named}: traces need pip install 'zhentu[tracing]'"]) from error
        own = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "zhentu-gate"}
        provider = TracerProvider(resource=Resource.create(own))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return Tracing(provider)

    def instrument(self, app: FastAPI) -> None:
        """Give every request except probes a span."""
        if self._provider is None:
            return
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(
            app, tracer_provider=self._provider, excluded_urls=_UNTRACED, exclude_spans=["receive", "send"]
        )

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span below the current one."""
        return self._tracer.start_as_current_span(name) if self._tracer else nullcontext()

    def note(self, found: Mapping[str, object]) -> str:
        """Write what is known about the request on its span; returns its trace id in hex, "" if it is not traced."""
        if self._provider is None:
            return ""
        from opentelemetry.trace import format_trace_id, get_current_span

        span = get_current_span()
        for name, value in found.items():
            span.set_attribute(f"zhentu.{name}", value if isinstance(value, (bool, int, float)) else str(value))
        context = span.get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else ""

    def close(self) -> None:
        """Send what waits."""
        if self._provider is not None:
            self._provider.shutdown()
