"""The way of one picture through the gate: fetched, recognised as asked before, screened, kept, answered."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from zhentu.bootstrap import Screener
from zhentu.decide.policy import decide, deferred_decision
from zhentu.errors import DeadlineExceeded, ModelError, StoreError, ZhentuError
from zhentu.gate.capacity import Capacity, Ticket
from zhentu.gate.events import screened_message
from zhentu.gate.flights import Flights
from zhentu.gate.inforce import InForce
from zhentu.gate.keeper import Keeper
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.requests import Submission
from zhentu.intake.decode import decode
from zhentu.intake.fetch import Outbound
from zhentu.record.codec import new_record_id
from zhentu.record.jobs import JobKind, JobRequest, new_job
from zhentu.record.pictures import PictureStore
from zhentu.record.shadow import ShadowStore
from zhentu.record.store import Claim, Kept
from zhentu.settings import Settings
from zhentu.types import Evidence, EvidenceKind, OnError, Record, Trust

_HASH_ASIDE = 512 * 1024  # bytes from which hashing leaves the event loop
_log = logging.getLogger("zhentu.gate")


@dataclass(frozen=True, slots=True)
class Screened:
    """A record, and whether it answered the same request before.  waited_s: seconds in the queue."""

    record: Record
    replayed: bool = False
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """Everything one picture passes; use it from one event loop."""

    settings: Settings
    in_force: InForce
    keeper: Keeper
    shadow: ShadowStore
    capacity: Capacity
    outbound: Outbound
    pictures: PictureStore
    metrics: GateMetrics
    flights: Flights[Screened]
    asides: set[asyncio.Task[None]]

    async def screen(
        self,
        submission: Submission,
        scope: str = "",
        idempotency_key: str = "",
        late: tuple[Evidence, ...] = (),
        may_defer: bool = True,
    ) -> Screened:
        """Screen one submission once.

        scope: whose Idempotency-Key it is.  late: evidence of why it comes late.  may_defer: whether `on_error` is
        heeded when the gate is in trouble; otherwise the trouble is raised.
        Raises PictureError, UsageError (IdempotencyConflict, FetchError ...), Overloaded, DependencyError.
        """
        keyed = _key_claim(scope, idempotency_key, await _hashed(submission)) if idempotency_key else None
        if keyed is not None and submission.payload is None:  # a URL need not be fetched to be recognised
            earlier = await asyncio.to_thread(self.keeper.answered, [keyed])
            if earlier is not None:
                return Screened(earlier, replayed=True)
        self.capacity.admit()
        payload, references = await self._payloads(submission)
        active = self.in_force.screener
        content = _content_claim(await _hashed(replace(submission, payload=payload, references=references)), active)
        claims = (content,) if keyed is None else (keyed, content)
        flight = ":".join(each.claim for each in claims)

        async def begin() -> Screened:
            try:
                return await self._run(submission.name, submission, payload, references, active, claims, late)
            except (ModelError, DeadlineExceeded) as error:
                if isinstance(error, ModelError):
                    self.in_force.failed()
                if not may_defer or self.settings.on_error is not OnError.ALLOW_AND_QUEUE:
                    raise
                return await self._defer(submission, payload, references, active, claims[:-1], error)

        screened = await self.flights.join(flight, begin)
        if screened.replayed:
            self.metrics.replayed.inc()
        return screened

    async def _run(
        self,
        name: str,
        submission: Submission,
        payload: bytes,
        references: tuple[bytes, ...],
        active: Screener,
        claims: tuple[Claim, ...],
        late: tuple[Evidence, ...],
    ) -> Screened:
        def work(ticket: Ticket) -> Screened:
            earlier = self.keeper.answered(claims)
            if earlier is not None:
                return Screened(earlier, True, ticket.waited_s)
            ticket.check()
            with self.metrics.stage("screen"):
                record = _screened(active, payload, name, submission, references, self.keeper)
            record = replace(record, evidence=(*late, *record.evidence))
            ticket.check()
            self._keep_picture(record, payload)
            message = screened_message(record, self.settings)
            with self.metrics.stage("keep"):
                kept = self.keeper.keep(Kept(record, claims, message))
            return Screened(kept, kept is not record, ticket.waited_s)

        screened = await self.capacity.run(work)
        self.in_force.succeeded()
        self.metrics.stages.labels("wait").observe(screened.waited_s)
        if not screened.replayed:
            self.metrics.observe(screened.record)
            self._ask_shadow(active, screened.record, payload)
        return screened

    async def _payloads(self, submission: Submission) -> tuple[bytes, tuple[bytes, ...]]:
        if submission.payload is not None and not submission.reference_urls:
            return submission.payload, submission.references
        with self.metrics.stage("fetch"):
            wanted = [] if submission.payload is not None else [submission.url]
            fetched = await asyncio.gather(
                *(self.outbound.get_picture(url) for url in (*wanted, *submission.reference_urls))
            )
        if submission.payload is not None:
            return submission.payload, (*submission.references, *fetched)
        return fetched[0], (*submission.references, *fetched[1:])

    async def _defer(
        self,
        submission: Submission,
        payload: bytes,
        references: tuple[bytes, ...],
        active: Screener,
        claims: tuple[Claim, ...],
        error: ZhentuError,
    ) -> Screened:
        """Let a picture through that cannot be screened now, and queue it. Not claimed by content: it asks again."""
        sha256 = (await _digest(payload)).hex()
        found = Evidence(
            EvidenceKind.FILE, "screening_deferred", f"{error.code}: screened as soon as possible", Trust.MEASURED
        )
        record = Record(
            record_id=new_record_id(),
            created_at=datetime.now(UTC),
            path=submission.name,
            picture_sha256=sha256,
            picture_format="",
            width=0,
            height=0,
            byte_count=len(payload),
            notes=("not decoded yet",),
            listing=submission.listing,
            verdict=None,
            evidence=(found,),
            decision=deferred_decision(active.policy),
            latency_ms=0.0,
        )
        request = JobRequest(
            submission.name, submission.listing, payload, references=references, note=f"deferred in {record.record_id}"
        )
        kept = Kept(record, claims, screened_message(record, self.settings), new_job(JobKind.DEFERRED, [request]))
        _log.warning("allowed and queued: %s", error)
        self.metrics.deferred.labels(error.code).inc()
        return Screened(await asyncio.to_thread(self.keeper.keep, kept))

    def _keep_picture(self, record: Record, payload: bytes) -> None:
        try:
            self.pictures.put(record.picture_sha256, payload)
        except StoreError as error:  # a heatmap less is no reason to refuse the picture
            self.metrics.errors.labels("picture_store").inc()
            _log.error("%s", error)

    def _ask_shadow(self, active: Screener, record: Record, payload: bytes) -> None:
        """Ask the second model after the answer, where a thread is free; otherwise count what it did not see."""
        shadow = self.in_force.shadow
        if shadow is None or record.verdict is None:
            return
        if not self.capacity.idle:
            self.metrics.shadow_skipped.inc()
            return

        def work(ticket: Ticket) -> None:
            verdict = shadow.detect(decode(payload, active.limits))
            thresholds = shadow.entry.thresholds
            sha256 = record.picture_sha256
            decision = decide(
                verdict, record.evidence, record.listing, active.policy, thresholds, picture_sha256=sha256
            )
            self.shadow.append(record.record_id, verdict, record.decision.action, decision.action)
            agrees = decision.action is record.decision.action
            self.metrics.shadow.labels(str(verdict.model), str(agrees).lower()).inc()

        async def aside() -> None:
            try:
                await self.capacity.run(work)
            except ZhentuError as error:
                self.metrics.shadow_skipped.inc()
                _log.warning("shadow model: %s", error)

        task = asyncio.create_task(aside())
        self.asides.add(task)
        task.add_done_callback(self.asides.discard)


def _screened(
    active: Screener,
    payload: bytes,
    name: str,
    submission: Submission,
    references: tuple[bytes, ...],
    keeper: Keeper,
) -> Record:
    try:
        return active.screen(payload, name, submission.listing, references=references, known=keeper)
    except ZhentuError:
        raise
    except Exception as error:
        _log.exception("screening broke down")
        raise ModelError(f"screening broke down: {type(error).__name__}; see the log") from error


async def _digest(payload: bytes) -> bytes:
    if len(payload) < _HASH_ASIDE:
        return hashlib.sha256(payload).digest()
    return await asyncio.to_thread(lambda: hashlib.sha256(payload).digest())


async def _hashed(submission: Submission) -> str:
    """What is asked for, as 64 hex digits: picture or URL, references and listing, and not who asks or when."""
    listing = submission.listing
    picture = submission.url if submission.payload is None else (await _digest(submission.payload)).hex()
    references = [(await _digest(each)).hex() for each in submission.references]
    asked = [
        picture,
        references,
        list(submission.reference_urls) if submission.payload is None else [],
        listing.listing_id,
        listing.seller_id,
        listing.goods,
        listing.title,
        listing.declared_ai,
        sorted(listing.declared_attributes.items()),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _key_claim(scope: str, key: str, asked: str) -> Claim:
    return Claim(hashlib.sha256(f"key\0{scope}\0{key}".encode()).hexdigest(), asked)


def _content_claim(asked: str, active: Screener) -> Claim:
    entry, policy = active.detector.entry, active.policy
    versions = f"{entry.ref}\0{entry.sha256}\0{policy.sha256}\0{active.bank_version}"
    claim = hashlib.sha256(f"content\0{asked}\0{versions}".encode()).hexdigest()
    return Claim(claim, claim)
