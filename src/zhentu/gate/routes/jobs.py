"""`POST /v1/jobs`: pictures that may wait, with a callback when they are done."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from zhentu import errors
from zhentu.errors import UsageError
from zhentu.gate.context import Screens, TheGate
from zhentu.gate.forms import own_query
from zhentu.gate.job_runner import job_answer
from zhentu.gate.problems import UNSIGNED, documented
from zhentu.gate.requests import UrlJob, read_batch
from zhentu.gate.routes.batch import FORM, batch_body
from zhentu.gate.schemas import JobAnswer
from zhentu.record.job_store import JobKind, JobRequest, new_job

router = APIRouter(tags=["jobs"])

Identifier = Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{1,64}$")]
_CALLBACK = {"type": "string", "description": "Where job.finished is sent, signed as Standard Webhooks says."}
_FORM = FORM | {"properties": FORM["properties"] | {"callback_url": _CALLBACK}}


@router.post(
    "/v1/jobs",
    dependencies=[Depends(own_query)],
    status_code=202,
    responses=documented(errors.UnsupportedFormat, errors.PictureTooLarge),
    openapi_extra={"requestBody": batch_body(_FORM, UrlJob)},
)
async def create_job(request: Request, gate: TheGate, caller: Screens) -> JobAnswer:
    """Accept up to 64 pictures to be screened when there is capacity; they survive a restart of the gate.

    Jobs take no Idempotency-Key: sent twice, a job is done twice, and the second time the same pictures get the same
    records.
    """
    if "idempotency-key" in request.headers:
        raise UsageError(
            "Idempotency-Key: jobs take none; leave it out, or use POST /v1/screen or /v1/screen/batch, which do"
        )
    batch = await read_batch(request, gate.settings.decode.max_bytes, gate.settings.gate.batch_size, may_wait=True)
    if batch.callback_url and gate.settings.webhook.secret is None:
        raise UsageError(UNSIGNED)
    gate.door.spend(caller, len(batch.submissions) - 1, paid=1)
    if any(each.reference_urls for each in batch.submissions):
        raise UsageError("references: jobs take none; use POST /v1/screen")
    items = [JobRequest(each.name, each.listing, each.payload, each.url) for each in batch.submissions]
    job = new_job(JobKind.JOB, items, batch.callback_url, caller.key_id, caller.tenant)
    await asyncio.to_thread(gate.jobs.put, job)
    request.state.pictures = len(items)
    status = await asyncio.to_thread(gate.jobs.status, job.job_id)
    return job_answer(status, gate.store, finished=False)


@router.get("/v1/jobs/{job_id}", responses=documented(errors.NotFound))
async def job(job_id: Identifier, gate: TheGate, caller: Screens) -> JobAnswer:
    """What has become of a job's pictures so far."""

    def read() -> JobAnswer:
        status = gate.jobs.status(job_id, caller.sees)
        return job_answer(status, gate.store, finished=status.finished_at is not None)

    return await asyncio.to_thread(read)
