"""Earlier decisions, explained from their records alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from zhentu import errors
from zhentu.detect.heatmap import render
from zhentu.errors import NotFound
from zhentu.gate.capacity import Ticket
from zhentu.gate.context import Screens, TheGate, unless_gone
from zhentu.gate.problems import documented
from zhentu.gate.schemas import ScreenAnswer, answer_of
from zhentu.types import Category

router = APIRouter(tags=["records"])

RecordId = Annotated[str, Path(pattern=r"^[0-9a-zA-Z-]{1,64}$", examples=["0193a0b0-0000-7000-8000-000000000000"])]

_PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/v1/records/{record_id}", responses=documented(errors.RecordNotFound))
async def record(record_id: RecordId, gate: TheGate, caller: Screens) -> ScreenAnswer:
    """An earlier decision."""
    return answer_of(await asyncio.to_thread(gate.record, record_id, caller))


@router.get(
    "/v1/records/{record_id}/heatmap.png",
    response_class=Response,
    responses=_PNG
    | documented(errors.RecordNotFound, errors.NotFound, errors.Overloaded, errors.DeadlineExceeded, errors.ModelError),
)
async def heatmap(
    request: Request,
    record_id: RecordId,
    gate: TheGate,
    caller: Screens,
    category: Annotated[Category | None, Query(description="For which category; the strongest one by default.")] = None,
) -> Response:
    """Where the model in force looked, over the picture. Needs the picture to be kept (setting `store.pictures`)."""
    gate.capacity.admit()
    if not gate.pictures.kept:
        await asyncio.to_thread(gate.pictures.get, "", "")  # says which setting is missing
    found = await asyncio.to_thread(gate.record, record_id, caller)
    screener = gate.active.screener
    limits = screener.limits
    frame = found.verdict.frame if found.verdict else None

    def work(ticket: Ticket) -> bytes:
        picture = screener.decoder.frame(gate.pictures.get(found.picture_sha256, found.tenant), frame, limits)
        ticket.check()
        verdict = screener.ask_model(picture, with_heatmaps=True)
        if not verdict.heatmaps:
            raise NotFound(f"the model {verdict.model} gives no heatmaps")
        wanted = category or max((each.category for each in verdict.heatmaps), key=verdict.scores.of)
        return render(picture, next(each for each in verdict.heatmaps if each.category is wanted))

    picture = await unless_gone(request, gate.capacity.run(work))
    return Response(picture, media_type="image/png", headers={"X-Zhentu-Model": str(screener.detector.entry.ref)})
