"""Traces as OpenTelemetry's own SDK and a real OTLP receiver see them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from served import picture

from zhentu.errors import ConfigError
from zhentu.gate.app import create_app
from zhentu.gate.tracing import Tracing
from zhentu.settings import Settings

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(settings: Settings, spans: InMemorySpanExporter) -> Iterator[TestClient]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with TestClient(create_app(settings, tracing=Tracing(provider))) as client:
        yield client


def test_stages_stand_below_the_request_and_the_callers_trace_goes_on(
    traced: TestClient, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "zhentu.gate"):
        body = traced.post("/v1/screen", files=picture(), headers={"traceparent": CALLER}).json()
    found = {span.name: span for span in spans.get_finished_spans()}
    request = found["POST /v1/screen"]
    assert format(request.context.trace_id, "032x") == CALLER.split("-")[1]
    assert format(request.parent.span_id, "016x") == CALLER.split("-")[2]
    for stage in ("screen", "keep"):  # in a worker thread
        assert found[stage].parent.span_id == request.context.span_id
        assert found[stage].context.trace_id == request.context.trace_id
    assert request.attributes["zhentu.record"] == body["record_id"]
    assert request.attributes["zhentu.action"] == body["action"]
    line = json.loads(next(record.message for record in caplog.records if "request" in record.message))
    assert line["trace_id"] == CALLER.split("-")[1]


def test_probes_are_not_traced(traced: TestClient, spans: InMemorySpanExporter) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        traced.get(path)
    assert spans.get_finished_spans() == ()


def test_what_the_environment_names_receives_the_spans(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "120")
    with TestClient(create_app(settings)) as client:
        client.post("/v1/screen", files=picture())
    server.shutdown()
    resources = [spans for request in received for spans in request.resource_spans]
    attributes = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert attributes["service.name"] == "zhentu-gate"
    names = {span.name for spans in resources for scope in spans.scope_spans for span in scope.spans}
    assert names >= {"POST /v1/screen", "screen", "keep"}


def test_without_an_endpoint_nothing_is_traced(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zhentu.gate"):
        client.post("/v1/screen", files=picture())
    assert not any("trace_id" in record.message for record in caplog.records)


def test_an_endpoint_without_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"zhentu\[tracing\]"):
        Tracing.from_environment()
