"""Asynchronous jobs: pictures are taken from the table one by one, whenever a thread is free."""

from __future__ import annotations

import asyncio
import contextlib

from zhentu.errors import DependencyError, Overloaded, PictureError, RecordNotFound, UsageError
from zhentu.gate.events import JOB_FINISHED, envelope
from zhentu.gate.requests import Submission
from zhentu.gate.schemas import ItemAnswer, JobAnswer, ProblemAnswer, answer_of
from zhentu.gate.service import ScreeningService
from zhentu.record.job_store import JobKind, JobStatus, JobStore, JobTask
from zhentu.record.outbox import new_message
from zhentu.record.store import RecordStore
from zhentu.types import Evidence, EvidenceKind, Trust

_MOST_ATTEMPTS = 20
_LATER_S = 5.0
_GRACE_S = 30.0  # beyond a picture's deadline, before another gate takes it for abandoned


class JobRunner:
    """Works off the table of jobs; several gates may do so at once."""

    def __init__(self, service: ScreeningService, store: JobStore, records: RecordStore) -> None:
        self._service, self.store, self._records = service, store, records

    async def turn(self) -> bool:
        """Screen one waiting picture where a thread is free; True when there may be more."""
        if not self._service.capacity.idle:
            return False
        task = await asyncio.to_thread(self.store.take, self._service.settings.deadline_s + _GRACE_S)
        if task is None:
            return False
        await self._screen(task)
        if await asyncio.to_thread(self._closed, task.job_id):
            self._service.metrics.deliveries.labels("job_finished").inc()
        return True

    async def _screen(self, task: JobTask) -> None:
        request = task.request
        submission = Submission(request.name, request.listing, request.payload, request.url, request.references)
        late: tuple[Evidence, ...] = ()
        if task.kind is JobKind.DEFERRED:
            late = (Evidence(EvidenceKind.FILE, "screened_late", request.note, Trust.MEASURED),)
        try:
            # A job's picture is screened once, however often it is taken: its place in the job is its key.
            key = f"{task.job_id}/{task.position}"
            screened = await self._service.screen(submission, "job", key, late, may_defer=False)
        except (PictureError, UsageError) as error:
            await asyncio.to_thread(self.store.failed, task, error.code, str(error))
        except (Overloaded, DependencyError) as error:
            if task.attempts >= _MOST_ATTEMPTS:
                await asyncio.to_thread(self.store.failed, task, error.code, str(error))
            else:
                await asyncio.to_thread(self.store.later, task, _LATER_S)
        else:
            await asyncio.to_thread(self.store.done, task, screened.record.record_id)

    def _closed(self, job_id: str) -> bool:
        status = self.store.status(job_id)
        message = None
        if status.callback_url:
            body = envelope(JOB_FINISHED, job_answer(status, self._records, finished=True))
            message = new_message(JOB_FINISHED, status.callback_url, body)
        return self.store.finish(job_id, message)


def job_answer(status: JobStatus, records: RecordStore, finished: bool) -> JobAnswer:
    """What a caller is told of a job."""
    items = []
    for each in status.items:
        problem = None
        if each.error_code:
            problem = ProblemAnswer(
                type=f"urn:zhentu:{each.error_code}",
                title=each.error_code.replace("_", " "),
                status=0,
                detail=each.error_detail,
                code=each.error_code,
            )
        answer = None
        with contextlib.suppress(RecordNotFound):  # it may have been pruned since
            answer = answer_of(records.get(each.record_id)) if each.record_id else None
        items.append(ItemAnswer(position=each.position, status=each.state.value, answer=answer, problem=problem))
    return JobAnswer(job_id=status.job_id, finished=finished, callback_url=status.callback_url, items=items)
