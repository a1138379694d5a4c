"""Probes and metrics: they need no key and bypass the queue."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from zhentu import errors
from zhentu.gate.context import TheGate
from zhentu.gate.problems import documented
from zhentu.gate.schemas import AliveAnswer, ReadyAnswer

router = APIRouter(tags=["operation"])


@router.get("/livez")
async def livez() -> AliveAnswer:
    """Whether the process answers. Readiness is a separate question: a gate without its store must not be killed."""
    return AliveAnswer(status="alive")


@router.get("/readyz", responses={503: documented(errors.ModelError)[503]})
async def readyz(gate: TheGate) -> ReadyAnswer:
    """Whether it can screen and keep: the model works and the store answers."""
    gate.active.check()
    await asyncio.to_thread(gate.store.check)
    return ReadyAnswer(status="ready", model=str(gate.active.screener.detector.entry.ref))


@router.get("/metrics", include_in_schema=False)
async def metrics(gate: TheGate) -> Response:
    """Prometheus exposition."""
    gate.metrics.waiting.set(gate.capacity.under_way)
    text = await asyncio.to_thread(gate.metrics.exposition)
    return Response(text, media_type="text/plain; version=0.0.4")
