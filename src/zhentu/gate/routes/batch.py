"""`POST /v1/screen/batch`: many pictures, one answer, each picture decided on its own."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Request

from zhentu import errors
from zhentu.errors import ClientGone, ZhentuError
from zhentu.gate.auth import Caller
from zhentu.gate.budget import Hold
from zhentu.gate.context import Gate, Screens, TheGate, hold_of, unless_gone
from zhentu.gate.forms import own_query
from zhentu.gate.problems import documented, problem_of
from zhentu.gate.requests import Batch, ListingFields, Submission, UrlBatch, read_batch
from zhentu.gate.routes.screening import BINARY, TROUBLES, IdempotencyKey
from zhentu.gate.schemas import BatchAnswer, ItemAnswer, answer_of

router = APIRouter(tags=["screening"])

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "picture": {"type": "array", "items": BINARY, "minItems": 1, "maxItems": 64},
        "listings": {
            "type": "string",
            "description": "JSON array of listings, one per picture, in the same order.",
            "contentMediaType": "application/json",
            "contentSchema": {"type": "array", "items": ListingFields.model_json_schema()},
        },
    },
    "required": ["picture"],
    "additionalProperties": False,
}


def batch_body(form: dict[str, Any], urls: type[UrlBatch] = UrlBatch) -> dict[str, Any]:
    """The request body of a batch, for OpenAPI."""
    by_url = urls.model_json_schema(ref_template="#/components/schemas/{model}")
    del by_url["$defs"]  # app.py puts them among the components
    return {
        "required": True,
        "content": {"multipart/form-data": {"schema": form}, "application/json": {"schema": by_url}},
    }


@router.post(
    "/v1/screen/batch",
    dependencies=[Depends(own_query)],
    responses=documented(errors.UnsupportedFormat, errors.PictureTooLarge, errors.IdempotencyConflict, *TROUBLES),
    openapi_extra={"requestBody": batch_body(FORM)},
)
async def screen_batch(
    request: Request, gate: TheGate, caller: Screens, idempotency_key: IdempotencyKey = None
) -> BatchAnswer:
    """Screen up to 64 pictures; each item holds an answer or its own problem, in the order sent."""
    gate.capacity.admit()
    batch = await read_batch(request, gate.settings.decode.max_bytes, gate.settings.gate.batch_size, may_wait=False)
    gate.door.spend(caller, len(batch.submissions) - 1, paid=1)
    request.state.pictures = len(batch.submissions)
    items = await unless_gone(request, _screen_all(gate, batch, caller, idempotency_key, hold_of(request)))
    return BatchAnswer(items=items)


async def _screen_all(gate: Gate, batch: Batch, caller: Caller, key: str | None, hold: Hold) -> list[ItemAnswer]:
    # One batch may fill the threads but not the queue, so that single pictures do not wait behind it.
    places = asyncio.Semaphore(gate.settings.worker_count)

    async def one(position: int, submission: Submission) -> ItemAnswer:
        async with places:
            try:
                name = f"{key}/{position}" if key else ""
                screened = await gate.service.screen(submission, caller.tenant, caller.key_id, name, hold=hold)
            except ClientGone:
                raise
            except ZhentuError as error:
                gate.metrics.errors.labels(error.code).inc()
                return ItemAnswer(position=position, status="failed", problem=problem_of(error))
            return ItemAnswer(position=position, status="done", answer=answer_of(screened.record))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(position, each)) for position, each in enumerate(batch.submissions)]
    return [task.result() for task in tasks]
