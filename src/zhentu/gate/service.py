"""The way of one picture through the gate: fetch it, look for an earlier answer, screen, keep, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from zhentu.decide.policy import deferred_decision
from zhentu.digest import digest_of
from zhentu.errors import DeadlineExceeded, ModelError, PictureTooSlow, StoreError, ZhentuError
from zhentu.gate.active import ActiveScreener
from zhentu.gate.budget import Hold
from zhentu.gate.capacity import Capacity, Ticket
from zhentu.gate.events import screened_message
from zhentu.gate.flights import Flights
from zhentu.gate.late import deferral_note
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.requests import Submission
from zhentu.gate.spooled_store import SpooledStore
from zhentu.ids import new_id
from zhentu.intake.extent import check_together, is_plain
from zhentu.intake.fetch import Outbound
from zhentu.record.job_store import JobKind, JobRequest, new_job
from zhentu.record.pictures import PictureStore
from zhentu.record.shadow import ShadowStore
from zhentu.record.store import Claim, RecordWrite
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import (
    Evidence,
    EvidenceKind,
    Fact,
    Inquiry,
    Mode,
    OnError,
    PictureFile,
    Record,
    Screening,
    Trust,
)

_HASH_ASIDE = 512 * 1024  # bytes from which hashing runs in a thread
_log = logging.getLogger("zhentu.gate")


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """A record, and whether it answered the same request before.  waited_s: seconds in the queue.

    screening: what the record was made from; None if nothing was screened for this answer.
    """

    record: Record
    replayed: bool = False
    waited_s: float = 0.0
    screening: Screening | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """A submission whose picture has arrived, and the claims that identify it with an earlier request.

    claims: the caller's Idempotency-Key first where there is one, then the content.  owner: whose request it is.
    ends: the latest time to answer the caller, by the monotonic clock; fetching counts.
    """

    inquiry: Inquiry
    screener: Screener
    claims: tuple[Claim, ...]
    late: tuple[Evidence, ...]
    owner: str
    ends: float

    @property
    def flight(self) -> str:
        """Requests for the same thing at the same moment share one."""
        return ":".join(claim.claim for claim in self.claims)


@dataclass(frozen=True, slots=True)
class ScreeningService:
    """Everything one picture goes through; use it from one event loop."""

    settings: Settings
    active: ActiveScreener
    spooled: SpooledStore
    shadow: ShadowStore
    capacity: Capacity
    outbound: Outbound
    pictures: PictureStore
    metrics: GateMetrics
    flights: Flights[GateAnswer]
    asides: set[asyncio.Task[None]]

    async def screen(  # noqa: PLR0913 - how jobs and batches differ from a request
        self,
        submission: Submission,
        tenant: str,
        scope: str = "",
        idempotency_key: str = "",
        late: tuple[Evidence, ...] = (),
        may_defer: bool = True,
        hold: Hold | None = None,
        owner: str | None = None,
    ) -> GateAnswer:
        """Screen one submission once.

        tenant: whose record it becomes; no other tenant's record answers it.  scope: whose Idempotency-Key it is.
        late: evidence of why it comes late.  may_defer: whether `on_error` applies when the gate is in trouble;
        otherwise the error is raised.  hold: what the request holds in memory; it grows before anything is fetched.
        owner: whose share of the capacity it uses, where that is not `scope`.
        Raises PictureError, UsageError (IdempotencyConflict, FetchError ...), Overloaded, DependencyError.
        """
        submission = replace(submission, listing=replace(submission.listing, tenant=tenant))
        file = None if submission.payload is None else await _hashed(submission.payload)
        sent = tuple([await _hashed(payload) for payload in submission.references])
        keyed: tuple[Claim, ...] = ()
        if idempotency_key:
            keyed = (_key_claim(scope, idempotency_key, _asked(submission, file, sent)),)
            if file is None:  # a URL need not be fetched to be recognised
                earlier = await asyncio.to_thread(self.spooled.answered, keyed)
                if earlier is not None:
                    self.metrics.replayed.inc()
                    return GateAnswer(earlier, replayed=True)
        owner = scope if owner is None else owner
        self.capacity.admit(owner)
        ends = time.monotonic() + self.settings.gate.deadline_s
        file, fetched = await self.fetched(submission, file, owner, hold)
        check_together([each.payload for each in (*sent, *fetched)], self.settings.decode.max_pixels)
        screener = self.active.screener
        inquiry = Inquiry(file, submission.name, submission.listing, (*sent, *fetched))
        request = _Request(inquiry, screener, (*keyed, _content_claim(inquiry, screener)), late, owner, ends)

        async def begin() -> GateAnswer:
            try:
                return await self._run(request)
            except (ModelError, DeadlineExceeded) as error:
                if isinstance(error, ModelError):
                    self.active.failed()
                if not may_defer or self.settings.gate.on_error is not OnError.ALLOW_AND_QUEUE:
                    raise
                if isinstance(error, DeadlineExceeded) and not is_plain(request.inquiry.file.payload):
                    # Too late, and of a kind whose decoding may take any time: it must not go online unseen.
                    raise PictureTooSlow(
                        f"the picture could not be screened within {self.settings.gate.deadline_s:g} s; "
                        "export it again as a plain JPEG"
                    ) from error
                return await self._defer(request, keyed, error)

        answer = await self.flights.join(request.flight, begin)
        if answer.replayed:
            self.metrics.replayed.inc()
        return answer

    async def _run(self, request: _Request) -> GateAnswer:
        def work(ticket: Ticket) -> GateAnswer:
            earlier = self.spooled.answered(request.claims)
            if earlier is not None:
                return GateAnswer(earlier, True, ticket.waited_s)
            ticket.check()
            with self.metrics.stage("screen"):
                screening = self._screened(request)
            record = replace(screening.record, evidence=(*request.late, *screening.record.evidence))
            ticket.check()
            self._keep_picture(request.inquiry)
            message = screened_message(record, self.settings)
            with self.metrics.stage("keep"):
                kept = self.spooled.keep(RecordWrite(record, request.claims, message))
            return GateAnswer(kept, kept is not record, ticket.waited_s, replace(screening, record=record))

        answer = await self.capacity.run(work, request.owner, request.ends - time.monotonic())
        self.active.succeeded()
        self.metrics.stages.labels("wait").observe(answer.waited_s)
        if not answer.replayed and answer.screening is not None:
            self.metrics.observe(answer.record, request.screener.own_verdict(answer.record))
            self._ask_shadow(request.screener, answer.screening)
        return replace(answer, screening=None)  # its pixels are not needed to answer

    def _screened(self, request: _Request) -> Screening:
        inquiry, screener = request.inquiry, request.screener
        entry = screener.detector.entry
        off = screener.policy.mode is Mode.OFF  # then no model is asked, and an earlier verdict is of no use
        known = None if off else self.spooled.verdict_for(inquiry.file.sha256, entry.sha256, inquiry.listing.tenant)
        earlier = screener.earlier(*known, entry) if known else None
        try:
            return screener.screen(replace(inquiry, earlier=earlier))
        except ZhentuError:
            raise
        except Exception as error:
            _log.exception("screening failed")
            raise ModelError(f"screening failed: {type(error).__name__}; see the log") from error

    async def fetched(
        self, submission: Submission, file: PictureFile | None, owner: str, hold: Hold | None
    ) -> tuple[PictureFile, tuple[PictureFile, ...]]:
        """The picture and the references behind URLs; what was sent with the request is not fetched.

        Raises FetchError, FetchRefused, Overloaded.
        """
        wanted = [*([] if file is not None else [submission.url]), *submission.reference_urls]
        if file is not None and not wanted:
            return file, ()
        reserve = hold.grow if hold else _uncounted
        with self.metrics.stage("fetch"):
            payloads = await asyncio.gather(*(self.outbound.get_picture(url, owner, reserve) for url in wanted))
        files = [await _hashed(payload) for payload in payloads]
        return (file, tuple(files)) if file is not None else (files[0], tuple(files[1:]))

    async def _defer(self, request: _Request, keyed: tuple[Claim, ...], error: ZhentuError) -> GateAnswer:
        """Let a picture through unscreened and queue it. It makes no claim by content: the next request screens it."""
        inquiry = request.inquiry
        found = Evidence(
            EvidenceKind.FILE,
            "screening_deferred",
            f"{error.code}: screened as soon as possible",
            Trust.MEASURED,
            facts=((Fact.CODE, error.code),),
        )
        record = Record(
            record_id=new_id(),
            created_at=datetime.now(UTC),
            path=inquiry.path,
            picture_sha256=inquiry.file.sha256,
            picture_format="",
            width=0,
            height=0,
            byte_count=len(inquiry.file.payload),
            notes=("not decoded yet",),
            listing=inquiry.listing,
            verdict=None,
            evidence=(found,),
            decision=deferred_decision(request.screener.policy),
            latency_ms=0.0,
        )
        waiting = JobRequest(
            inquiry.path,
            inquiry.listing,
            inquiry.file.payload,
            references=tuple(file.payload for file in inquiry.references),
            note=deferral_note(record.record_id),
        )
        job = new_job(JobKind.DEFERRED, [waiting], tenant=record.tenant)
        write = RecordWrite(record, keyed, screened_message(record, self.settings), job)
        _log.warning("allowed and queued: %s", error)
        self.metrics.deferred.labels(error.code).inc()
        return GateAnswer(await asyncio.to_thread(self.spooled.keep, write))

    def _keep_picture(self, inquiry: Inquiry) -> None:
        try:
            self.pictures.put(inquiry.file.sha256, inquiry.file.payload, inquiry.listing.tenant)
        except StoreError as error:  # it only means no heatmap later, so the picture is not refused
            self.metrics.errors.labels("picture_store").inc()
            _log.error("%s", error)

    def _ask_shadow(self, screener: Screener, screening: Screening) -> None:
        """Ask the shadow model after the answer if a thread is free; otherwise count what it did not see."""
        shadow = self.active.shadow
        if shadow is None or screening.record.verdict is None:
            return
        if not self.capacity.idle:
            self.metrics.shadow_skipped.inc()
            return

        async def aside() -> None:
            try:
                await self.capacity.run(lambda ticket: self._shadowed(shadow, screener, screening))
            except ZhentuError as error:
                self.metrics.shadow_skipped.inc()
                _log.warning("shadow model: %s", error)

        task = asyncio.create_task(aside())
        self.asides.add(task)
        task.add_done_callback(self.asides.discard)

    def _shadowed(self, shadow: Screener, screener: Screener, screening: Screening) -> None:
        record = screening.record
        verdict = shadow.ask_model(screening.picture)
        decision = screener.decide_again(screening, verdict, shadow.detector.entry)
        self.shadow.append(record.record_id, verdict, record.decision.action, decision.action)
        agrees = decision.action is record.decision.action
        self.metrics.shadow.labels(str(verdict.model), str(agrees).lower()).inc()


def _uncounted(_: int) -> None:
    """For a job's picture: it is fetched one at a time and holds no request's memory."""


async def _hashed(payload: bytes) -> PictureFile:
    if len(payload) < _HASH_ASIDE:
        return PictureFile.of(payload)
    return await asyncio.to_thread(PictureFile.of, payload)


def _asked(submission: Submission, file: PictureFile | None, sent: tuple[PictureFile, ...]) -> str:
    """What a caller asks for, as 64 hex digits: picture, references and listing with its tenant, but not the time."""
    return digest_of(
        {
            "picture": submission.url if file is None else file.sha256,
            "references": [each.sha256 for each in sent],
            "reference URLs": submission.reference_urls,
            "listing": submission.listing,
        }
    )


def _key_claim(scope: str, key: str, asked: str) -> Claim:
    return Claim(digest_of(["key", scope, key]), asked)


def _content_claim(inquiry: Inquiry, screener: Screener) -> Claim:
    """The same bytes and listing under the same rules: whichever key of a tenant asks, the answer may be repeated."""
    claim = digest_of(
        {
            "picture": inquiry.file.sha256,
            "references": [each.sha256 for each in inquiry.references],
            "listing": inquiry.listing,
            "rules": screener.digest(),
        }
    )
    return Claim(claim, claim)
