"""What is done with one picture of a backlog: the same code on every engine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from zhentu.backlog.items import Numbered
from zhentu.backlog.known import Answer, Claims, KnownPictures, KnownPort, Question, Standing, digest_of
from zhentu.backlog.reading import Access, Reader, is_url
from zhentu.backlog.rows import ScanRow, plain, row_of_crash, row_of_error, row_of_record
from zhentu.banks.hashing import LEAST_QUALITY, colour_signature, pdq_hash
from zhentu.bootstrap import Screener, build_banks, build_screener
from zhentu.decide.policy import decide, declaration
from zhentu.detect.models import ModelEntry
from zhentu.errors import StoreError, ZhentuError
from zhentu.intake.decode import decode
from zhentu.record.codec import new_record_id
from zhentu.record.database import Database
from zhentu.record.known import KnownStore, Look, Screened
from zhentu.screen import BankPort, DetectorPort
from zhentu.settings import Settings
from zhentu.types import Basis, EvidenceKind, Picture, Record, Verdict

_OF_THE_LISTING = (EvidenceKind.DECLARATION, EvidenceKind.REFERENCE, EvidenceKind.HASH)  # not of the bytes
_READS_AHEAD = 8  # pictures fetched at once by each worker while it scores; hides the latency of object stores


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one picture.

    row: None where the same bytes are being scored elsewhere; the picture is done again in the next pass.
    screened: a new record, None where there is none. byte_count: bytes read from the source.
    """

    seq: int
    row: ScanRow | None
    screened: Screened | None = None
    byte_count: int = 0


@dataclass(frozen=True, slots=True)
class WorkSpec:
    """Everything a worker needs to begin; picklable.

    accepted: thresholds by model sha256 of every model whose known scores count.
    store: whether known pictures are asked for at all. banks: whether the store's banks are, too.
    reads_per_second: of this worker, 0 = no limit.  access: where it may read.
    """

    settings: Settings
    accepted: Mapping[str, Mapping[str, float]]
    claims: Path
    store: bool
    banks: bool = False
    reads_per_second: float = 0.0
    attempts: int = 5
    access: Access = field(default_factory=Access)


def crashed(numbered: Numbered) -> Outcome:
    """The outcome of a picture whose worker died on it."""
    return Outcome(numbered.seq, row_of_crash(numbered.item))


def build_work(
    spec: WorkSpec, known: KnownPort | None = None, bank: BankPort | None = None
) -> Callable[[Sequence[Numbered]], list[Outcome]]:
    """The function of one worker. known, bank: who to ask instead of the store itself, e.g. across a cluster."""
    screener = build_line(spec, bank)
    if known is None and spec.store:
        known = build_known(spec, screener)
    reader = Reader(screener.limits, spec.reads_per_second, spec.attempts, access=spec.access)
    return PictureWork(screener, reader, known, spec.accepted)


def build_line(spec: WorkSpec, bank: BankPort | None = None) -> Screener:
    """The line as a backlog goes through it: with the store's banks where there are any. Raises StoreError."""
    screener = build_screener(spec.settings)
    if not spec.banks:
        return screener
    return replace(screener, bank=bank or build_banks(spec.settings))


def build_known(spec: WorkSpec, screener: Screener) -> KnownPictures:
    """What the store and the claims of this run know. Raises StoreError."""
    store = KnownStore(Database(spec.settings.store_url))
    return KnownPictures(store, Claims(spec.claims), list(spec.accepted), rules_of(screener), spec.banks)


def rules_of(screener: Screener) -> str:
    """What decides besides the scores: the policy, and the banks where there are any."""
    return screener.policy.sha256 + screener.bank_version


class PictureWork:
    """Reads, looks up, screens; one picture after the other, the next ones being read meanwhile."""

    def __init__(
        self,
        screener: Screener,
        reader: Reader,
        known: KnownPort | None,
        accepted: Mapping[str, Mapping[str, float]],
    ) -> None:
        self._looking = _Looking(screener.detector)
        self._screener = replace(screener, detector=self._looking)
        self._reader, self._known, self._accepted = reader, known, accepted
        self._threads = ThreadPoolExecutor(_READS_AHEAD, "read")

    def __call__(self, chunk: Sequence[Numbered]) -> list[Outcome]:
        """The outcomes of a few pictures, in their order. Raises StoreError; nothing else."""
        return [self._one(numbered, read) for numbered, read in self._payloads(chunk)]

    def _payloads(self, chunk: Sequence[Numbered]) -> Iterator[tuple[Numbered, Callable[[], bytes]]]:
        if not any(is_url(numbered.item.path) for numbered in chunk):
            for numbered in chunk:  # a disk of this machine answers at once; a thread would only cost
                yield numbered, lambda path=numbered.item.path: self._reader.read(path)  # type: ignore[misc]
            return
        futures: list[Future[bytes] | None] = [
            self._threads.submit(self._reader.read, numbered.item.path) for numbered in chunk
        ]
        for index, numbered in enumerate(chunk):
            future, futures[index] = futures[index], None  # bytes of pictures that are done are let go
            if future is not None:
                yield numbered, future.result

    def _one(self, numbered: Numbered, read: Callable[[], bytes]) -> Outcome:
        item, sha256, size = numbered.item, "", 0
        try:
            payload = read()
            size = len(payload)
            began = time.perf_counter()
            sha256 = hashlib.sha256(payload).hexdigest()
            references = item.references if self._screener.comparer else ()
            question = Question(numbered.seq, sha256, plain(item.path), item.listing, references)
            answer = self._known.ask(question) if self._known else Answer(Standing.NEW)
            if answer.standing is Standing.UNDER_WAY:
                return Outcome(numbered.seq, None, None, size)
            if answer.standing is Standing.NEW:
                return self._screen(question, payload)
            return self._take_over(question, answer, payload, began)
        except StoreError:
            raise  # no fault of the picture: the scan stops, and goes on when the store is back
        except ZhentuError as error:
            return Outcome(numbered.seq, row_of_error(item, error, sha256), None, size)
        except Exception as error:  # one picture must never end a night's scan; the row says what happened
            return Outcome(numbered.seq, row_of_error(item, error, sha256), None, size)

    def _screen(self, question: Question, payload: bytes) -> Outcome:
        references = self._pictures(question.references)
        self._looking.look = Look()
        record = self._screener.screen(payload, question.path, question.listing, references=references)
        look, model = self._looking.look, record.verdict.model.sha256 if record.verdict else ""
        screened = Screened(record, self._digest(question, model), look if record.verdict else None)
        return Outcome(question.seq, row_of_record(record, False, look, len(references)), screened, len(payload))

    def _take_over(self, question: Question, answer: Answer, payload: bytes, began: float) -> Outcome:
        record, size = answer.record, len(payload)
        if record is None or (record.verdict is None and answer.standing is not Standing.DECIDED):
            raise ZhentuError("a known picture came without its verdict; the store was changed by hand")
        if answer.standing is Standing.DECIDED:
            compared = len(question.references)
            return Outcome(question.seq, row_of_record(record, True, answer.look, compared), None, size)
        if self._screener.bank or question.references:  # these look at the pixels; the model is not asked all the same
            references = self._pictures(question.references)
            record = self._screener.screen(
                payload, question.path, question.listing, references=references, known=_Earlier(record)
            )
            compared = len(references)
        else:
            record, compared = self._decide_anew(question, record, began), 0
        model = record.verdict.model.sha256 if record.verdict else ""
        row = row_of_record(record, True, answer.look, compared)
        return Outcome(question.seq, row, Screened(record, self._digest(question, model)), size)

    def _decide_anew(self, question: Question, record: Record, began: float) -> Record:
        """Another place, listing or policy: the verdict and what the file says of itself are the same."""
        if record.verdict is None:
            return record
        verdict = replace(record.verdict, basis=Basis.PICTURE_ALONE)
        kept = (each for each in record.evidence if each.kind not in _OF_THE_LISTING)
        evidence = (*kept, *declaration(question.listing))
        decision = decide(
            verdict,
            evidence,
            question.listing,
            self._screener.policy,
            self._accepted[verdict.model.sha256],
            picture_sha256=record.picture_sha256,
        )
        return replace(
            record,
            record_id=new_record_id(),
            created_at=datetime.now(UTC),
            path=question.path,
            listing=question.listing,
            verdict=verdict,
            evidence=evidence,
            decision=decision,
            latency_ms=(time.perf_counter() - began) * 1e3,
        )

    def _pictures(self, paths: Sequence[str]) -> list[bytes]:
        """References that can be read; a picture is judged alone where none can."""
        payloads = []
        for path in paths:
            with suppress(ZhentuError):
                payload = self._reader.read(path)
                decode(payload, self._screener.limits)
                payloads.append(payload)
        return payloads

    def _digest(self, question: Question, model: str) -> str:
        return digest_of(question, model, rules_of(self._screener))


class _Earlier:
    """The verdict of a record, for the line to take over."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def verdict_for(self, sha256: str, model_sha256: str) -> tuple[str, Verdict] | None:
        """Its record and verdict, whichever accepted model spoke."""
        return (self._record.record_id, self._record.verdict) if self._record.verdict else None


class _Looking:
    """A detector that also takes the fingerprint: it is the one place that sees the decoded picture."""

    def __init__(self, detector: DetectorPort) -> None:
        self._detector = detector
        self.look = Look()

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry of the detector inside."""
        return self._detector.entry

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """The verdict of the detector inside; `look` is that of this picture."""
        pdq, quality = pdq_hash(picture.rgb)
        self.look = Look(pdq.hex() if quality >= LEAST_QUALITY else "", colour_signature(picture.rgb).hex())
        return self._detector.detect(picture, with_heatmaps)
