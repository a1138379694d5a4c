"""The routes: they only parse, call and answer."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from zhentu.errors import PictureTooLarge
from zhentu.gate.app import Gate
from zhentu.gate.schemas import ProblemAnswer, ScreenAnswer, answer_of
from zhentu.types import Listing, Record

router = APIRouter()

_FORM_OVERHEAD = 64 * 1024  # bytes of multipart framing and fields beside the picture

_PROBLEMS: dict[int | str, dict[str, object]] = {
    400: {"model": ProblemAnswer, "description": "The call is at fault (usage_error)."},
    413: {"model": ProblemAnswer, "description": "picture_too_large"},
    415: {"model": ProblemAnswer, "description": "unsupported_format"},
    422: {"model": ProblemAnswer, "description": "picture_empty, _truncated, _corrupt or _too_small"},
    503: {"model": ProblemAnswer, "description": "overloaded (see Retry-After), store_unavailable or model_unusable"},
}


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


@router.post("/v1/screen", responses=_PROBLEMS)
async def screen(
    request: Request,
    picture: Annotated[UploadFile, File(description="The picture's bytes.")],
    listing_id: Annotated[str, Form()] = "",
    seller_id: Annotated[str, Form()] = "",
    goods: Annotated[str, Form(description="Goods category, e.g. apparel.")] = "",
    title: Annotated[str, Form()] = "",
    declared_ai: Annotated[bool | None, Form(description="The uploader's own declaration of AI use.")] = None,
) -> ScreenAnswer:
    """Screen one picture before it is published, and obey the `action` of the answer."""
    gate = _gate(request)
    most = gate.settings.max_bytes
    if int(request.headers.get("content-length") or 0) > most + _FORM_OVERHEAD or (picture.size or 0) > most:
        raise PictureTooLarge(f"the picture has more than {most / 2**20:.0f} MiB; send it smaller")
    payload = await picture.read()
    listing = Listing(listing_id, seller_id, goods, title, declared_ai)

    def work() -> Record:
        record = gate.screener.screen(payload, picture.filename or "", listing)
        gate.store.append(record)  # an answer is given only once its record is kept
        return record

    gate.metrics.waiting.set(gate.capacity.under_way + 1)
    try:
        record = await gate.capacity.run(work)
    finally:
        gate.metrics.waiting.set(gate.capacity.under_way)
    gate.metrics.observe(record)
    request.state.record_id, request.state.action = record.record_id, record.decision.applied.value
    return answer_of(record)


@router.get("/v1/records/{record_id}", responses={404: {"model": ProblemAnswer, "description": "record_not_found"}})
async def record(request: Request, record_id: str) -> ScreenAnswer:
    """A decision taken before, explained from its record alone."""
    return answer_of(await asyncio.to_thread(_gate(request).store.get, record_id))


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"model": ProblemAnswer, "description": "store_unavailable"}})
async def readyz(request: Request) -> dict[str, str]:
    """Whether it can screen: the model is loaded before the first request, the store is asked here."""
    await asyncio.to_thread(_gate(request).store.check)
    return {"status": "ready", "model": str(_gate(request).screener.detector.entry.ref)}


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus exposition."""
    return Response(_gate(request).metrics.exposition(), media_type="text/plain; version=0.0.4")
