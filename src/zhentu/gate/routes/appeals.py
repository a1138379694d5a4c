"""Appeals and statements of reasons over HTTP."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from pydantic import BaseModel, Field

from zhentu import errors
from zhentu.gate.capacity import Ticket
from zhentu.gate.context import Reviews, Screens, TheGate
from zhentu.gate.forms import FormRoute
from zhentu.gate.problems import UNSIGNED, documented
from zhentu.gate.routes.banks import TheDesk
from zhentu.intake.extent import check_together
from zhentu.review.appeals import Appeal, appeal_json
from zhentu.review.items import Filters
from zhentu.review.statement import statement_of
from zhentu.types import Answer, Question

router = APIRouter(tags=["appeals"], route_class=FormRoute)


class ComparisonAnswer(BaseModel):
    """What the comparison with the seller's photos found; `not_run` says why there was none."""

    mismatch: float | None = None
    similarity: float | None = None
    reference_sha256: str = ""
    model: str = ""
    answer: Answer | None = Field(None, description="same, differs or cannot_tell.")
    differs: list[Question] = Field(default_factory=list, description="What differs, surest first.")
    agreeing: int = Field(0, description="How many of the compared photos show the same goods.")
    compared: int = 0
    goods_found: bool | None = Field(None, description="False: whole pictures were compared.")
    not_run: str = ""


class AppealAnswer(BaseModel):
    """An appeal."""

    appeal_id: str
    record_id: str
    state: str = Field(description="open, upheld (the decision stands) or overturned.")
    reason: str
    outcome_reason: str
    references: list[str]
    comparison: ComparisonAnswer | None
    created_at: str
    due_at: str
    decided_at: str | None


class AppealCounts(BaseModel):
    """How many appeals wait, and how many are late."""

    open: int
    overdue: int


@router.post(
    "/v1/appeals",
    status_code=201,
    responses=documented(
        errors.RecordNotFound, errors.ReviewConflict, errors.UnsupportedFormat, errors.PictureTooLarge
    ),
)
async def appeal(
    gate: TheGate,
    desk: TheDesk,
    caller: Screens,
    record_id: Annotated[str, Form()],
    reason: Annotated[str, Form(description="Why the decision is wrong, in the seller's words.")],
    seller_id: Annotated[str, Form()] = "",
    callback_url: Annotated[str, Form(description="Where the outcome is sent, signed like every webhook.")] = "",
    references: Annotated[list[UploadFile] | None, File(description="Photos of the real goods, at most 6.")] = None,
    reference: Annotated[list[UploadFile] | None, File(description="The same, by the name of /v1/screen.")] = None,
) -> AppealAnswer:
    """Appeal a decision with genuine photos; a reviewer other than the first decides."""
    gate.capacity.admit()
    if callback_url and gate.settings.webhook.secret is None:
        raise errors.UsageError(UNSIGNED)
    photos = [await each.read() for each in (*(references or ()), *(reference or ()))]
    check_together(photos, gate.settings.decode.max_pixels)

    def work(ticket: Ticket) -> Appeal:
        ticket.check()
        return desk.appeals.open(record_id, reason, photos, seller_id, callback_url, caller.sees)

    made = await gate.capacity.run(work, caller.key_id)
    return AppealAnswer.model_validate_json(appeal_json(made))


@router.get("/v1/appeals", responses=documented())
async def appeals(
    desk: TheDesk, caller: Reviews, state: Annotated[str, Query(pattern="^(open|upheld|overturned)?$")] = ""
) -> list[AppealAnswer]:
    """Appeals of every tenant, in the order they are due."""
    found = await asyncio.to_thread(desk.appeals.list, state)
    return [AppealAnswer.model_validate_json(appeal_json(each)) for each in found]


@router.get("/v1/appeals/counts", responses=documented())
async def counts(desk: TheDesk, caller: Screens) -> AppealCounts:
    """How many appeals wait, and how many are late."""
    found = await asyncio.to_thread(desk.queue.counts, Filters(tenant=caller.sees or ""))
    return AppealCounts(open=found.appeals_open, overdue=found.appeals_overdue)


@router.get("/v1/appeals/{appeal_id}", responses=documented(errors.NotFound))
async def one_appeal(appeal_id: str, desk: TheDesk, caller: Screens) -> AppealAnswer:
    """One appeal."""
    found = await asyncio.to_thread(desk.appeals.get, appeal_id, caller.sees)
    return AppealAnswer.model_validate_json(appeal_json(found))


@router.get("/v1/records/{record_id}/statement", responses=documented(errors.RecordNotFound))
async def statement(record_id: str, gate: TheGate, desk: TheDesk, caller: Screens) -> dict[str, Any]:
    """The statement of reasons of a decision: facts, grounds, what people decided, and where to turn."""
    record = await asyncio.to_thread(gate.record, record_id, caller)
    return await asyncio.to_thread(statement_of, record, desk.queue, desk.appeals)
