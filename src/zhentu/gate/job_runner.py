"""Asynchronous jobs: pictures are taken from the table one by one as threads become free."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter

from zhentu.decide.error_words import words_of_code
from zhentu.errors import DependencyError, Overloaded, PictureError, RecordNotFound, UsageError, ZhentuError
from zhentu.gate.budget import Budget
from zhentu.gate.events import JOB_FINISHED, screened_message
from zhentu.gate.late import screened_late, unscreenable_record
from zhentu.gate.problems import status_of
from zhentu.gate.requests import Submission
from zhentu.gate.schemas import ItemAnswer, JobAnswer, ProblemAnswer, answer_of
from zhentu.gate.service import ScreeningService
from zhentu.record.job_store import JobKind, JobStatus, JobStore, JobTask
from zhentu.record.outbox import envelope, new_message
from zhentu.record.store import RecordStore, RecordWrite
from zhentu.types import Evidence

_MOST_ATTEMPTS = 20
_LATER_S = 5.0
_AT_ONCE, _PER_OWNER = 16, 4  # pictures in progress; most of them are waiting for their URL's host
_log = logging.getLogger("zhentu.gate")
_GRACE_S = 30.0  # seconds past a picture's deadline before another gate considers it abandoned


class JobRunner:
    """Works through the table of jobs, several pictures at a time; several gates may do so at once."""

    def __init__(self, service: ScreeningService, store: JobStore, records: RecordStore, budget: Budget) -> None:
        self._service, self.store, self._records, self._budget = service, store, records, budget
        self._under_way: dict[asyncio.Task[None], str] = {}

    async def turn(self) -> bool:
        """Start one waiting picture if a thread is free; True when there may be more."""
        if not self._service.capacity.idle or len(self._under_way) >= _AT_ONCE:
            return False
        by_owner = Counter(owner for owner in self._under_way.values() if owner)
        full = [owner for owner, count in by_owner.items() if count >= _PER_OWNER]
        task = await asyncio.to_thread(self.store.take, self._service.settings.gate.deadline_s + _GRACE_S, full)
        if task is None:
            return False
        work = asyncio.create_task(self._work(task))
        self._under_way[work] = task.owner
        work.add_done_callback(self._done)
        if task.request.payload is not None:  # it needs a thread now; the next one waits for the next free thread
            await asyncio.wait({work})
        return True

    async def stop(self) -> None:
        """Cancel what is in progress; the next gate takes it up again."""
        for work in list(self._under_way):
            work.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _done(self, work: asyncio.Task[None]) -> None:
        del self._under_way[work]
        if not work.cancelled() and (error := work.exception()) is not None:
            # Its lease expires, and it is taken up again.
            _log.log(logging.WARNING if isinstance(error, DependencyError) else logging.ERROR, "job: %s", error)

    async def _work(self, task: JobTask) -> None:
        await self._screen(task)
        if await asyncio.to_thread(self._closed, task.job_id):
            self._service.metrics.deliveries.labels("job_finished").inc()

    async def _screen(self, task: JobTask) -> None:
        request = task.request
        submission = Submission(request.name, request.listing, request.payload, request.url, request.references)
        late: tuple[Evidence, ...] = ()
        if task.kind is JobKind.DEFERRED:
            late = (screened_late(request.note),)
        try:
            # A job's picture is screened once, however often it is taken: its place in the job is its key.
            key = f"{task.job_id}/{task.position}"
            with self._budget.hold(f"job:{task.owner}") as hold:
                hold.grow(len(request.payload or b""))
                screened = await self._service.screen(
                    submission, task.tenant, "job", key, late, may_defer=False, hold=hold, owner=task.owner
                )
        except (PictureError, UsageError) as error:
            await self._give_up(task, error)
        except (Overloaded, DependencyError) as error:
            if task.attempts >= _MOST_ATTEMPTS:
                await self._give_up(task, error)
            else:
                await asyncio.to_thread(self.store.later, task, _LATER_S)
        else:
            await asyncio.to_thread(self.store.done, task, screened.record.record_id)

    async def _give_up(self, task: JobTask, error: ZhentuError) -> None:
        """Give up on a picture. If it went online unscreened, it is recorded for a person to look at."""
        if task.kind is JobKind.DEFERRED:
            record = unscreenable_record(task, error, self._service.active.screener.policy)
            write = RecordWrite(record, (), screened_message(record, self._service.settings))
            await asyncio.to_thread(self._service.spooled.keep, write)
        await asyncio.to_thread(self.store.failed, task, error.code, str(error))

    def _closed(self, job_id: str) -> bool:
        status = self.store.status(job_id)
        message = None
        if status.callback_url:
            answer = job_answer(status, self._records, finished=True).model_dump(mode="json")
            body = envelope(JOB_FINISHED, answer, status.tenant)
            message = new_message(JOB_FINISHED, status.callback_url, body, status.owner, status.tenant)
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
                status=status_of(each.error_code),
                detail=each.error_detail,
                code=each.error_code,
                zh=words_of_code(each.error_code).zh,
            )
        answer = None
        with contextlib.suppress(RecordNotFound):  # it may have been pruned in the meantime
            answer = answer_of(records.get(each.record_id, status.tenant)) if each.record_id else None
        items.append(ItemAnswer(position=each.position, status=each.state.value, answer=answer, problem=problem))
    return JobAnswer(job_id=status.job_id, finished=finished, callback_url=status.callback_url, items=items)
