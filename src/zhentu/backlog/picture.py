"""What is done with one picture of a backlog: the same code on every engine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from zhentu.backlog.items import Numbered
from zhentu.backlog.known import Answer, Claims, KnownPictures, KnownPort, Question, Standing
from zhentu.backlog.reading import Reader, is_url
from zhentu.backlog.rows import ScanRow, plain, row_of_crash, row_of_error, row_of_record
from zhentu.banks.hashing import LEAST_QUALITY, colour_signature, pdq_hash
from zhentu.bootstrap import Screener, build_screener
from zhentu.decide.policy import decide, declaration
from zhentu.detect.models import ModelEntry
from zhentu.errors import StoreError, ZhentuError
from zhentu.intake.decode import decode
from zhentu.record.codec import new_record_id
from zhentu.record.database import Database
from zhentu.record.known import KnownStore, Look, Screened, decision_digest
from zhentu.screen import DetectorPort
from zhentu.settings import Settings
from zhentu.types import Basis, EvidenceKind, ModelRef, Picture, Verdict

_READS_AHEAD = 8  # pictures fetched at once by each worker while it scores; hides the latency of object stores


class Comparison(Protocol):
    """How a picture compares with references of the same goods."""

    @property
    def score(self) -> float:
        """Calibrated probability in [0, 1] of a material mismatch."""
        ...


class ComparerPort(Protocol):
    """Compares a picture with pictures known to show the real goods."""

    def compare(self, picture: Picture, references: Sequence[Picture]) -> Comparison:
        """Compare one picture with one or more references."""
        ...


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
    store: whether known pictures are asked for at all. reads_per_second: of this worker, 0 = no limit.
    """

    settings: Settings
    accepted: Mapping[str, Mapping[str, float]]
    claims: Path
    store: bool
    reads_per_second: float = 0.0
    attempts: int = 5


def crashed(numbered: Numbered) -> Outcome:
    """The outcome of a picture whose worker died on it."""
    return Outcome(numbered.seq, row_of_crash(numbered.item))


def build_work(spec: WorkSpec, known: KnownPort | None = None) -> Callable[[Sequence[Numbered]], list[Outcome]]:
    """The function of one worker. known: who to ask instead of the store itself, e.g. across a cluster."""
    screener = build_screener(spec.settings)
    if known is None and spec.store:
        known = build_known(spec, screener)
    reader = Reader(screener.limits, spec.reads_per_second, spec.attempts)
    return PictureWork(screener, reader, known, spec.accepted)


def build_known(spec: WorkSpec, screener: Screener) -> KnownPictures:
    """What the store and the claims of this run know. Raises StoreError."""
    store = KnownStore(Database(spec.settings.store_url))
    return KnownPictures(store, Claims(spec.claims), list(spec.accepted), screener.policy.sha256)


class PictureWork:
    """Reads, looks up, screens; one picture after the other, the next ones being read meanwhile."""

    def __init__(
        self,
        screener: Screener,
        reader: Reader,
        known: KnownPort | None,
        accepted: Mapping[str, Mapping[str, float]],
        comparer: ComparerPort | None = None,
    ) -> None:
        self._looking = _Looking(screener.detector, comparer)
        self._screener = replace(screener, detector=self._looking)
        self._reader, self._known, self._accepted, self._comparer = reader, known, accepted, comparer
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
            references = item.references if self._comparer else ()
            question = Question(numbered.seq, sha256, plain(item.path), item.listing, references)
            answer = self._known.ask(question) if self._known else Answer(Standing.NEW)
            if answer.standing is Standing.UNDER_WAY:
                return Outcome(numbered.seq, None, None, size)
            if answer.standing is Standing.NEW:
                return self._screen(question, payload)
            return self._take_over(question, answer, size, began)
        except StoreError:
            raise  # no fault of the picture: the scan stops, and goes on when the store is back
        except ZhentuError as error:
            return Outcome(numbered.seq, row_of_error(item, error, sha256), None, size)
        except Exception as error:  # one picture must never end a night's scan; the row says what happened
            return Outcome(numbered.seq, row_of_error(item, error, sha256), None, size)

    def _screen(self, question: Question, payload: bytes) -> Outcome:
        references = self._pictures(question.references)
        self._looking.prepare(references)
        record = self._screener.screen(payload, question.path, question.listing)
        look, compared = self._looking.look, len(references)
        screened = None
        if record.verdict is not None:
            digest = self._digest(question, record.verdict.model.sha256)
            screened = Screened(record, digest, None if question.references else look)
        else:
            screened = Screened(record, self._digest(question, ""))
        return Outcome(question.seq, row_of_record(record, False, look, compared), screened, len(payload))

    def _take_over(self, question: Question, answer: Answer, size: int, began: float) -> Outcome:
        record = answer.record
        if record is None or record.verdict is None:
            raise ZhentuError("a known picture came without its verdict; the store was changed by hand")
        if answer.standing is Standing.DECIDED:
            compared = len(question.references)
            return Outcome(question.seq, row_of_record(record, True, answer.look, compared), None, size)
        model = record.verdict.model.sha256
        kept = tuple(each for each in record.evidence if each.kind is not EvidenceKind.DECLARATION)
        evidence = (*kept, *declaration(question.listing))
        decision = decide(record.verdict, evidence, question.listing, self._screener.policy, self._accepted[model])
        record = replace(
            record,
            record_id=new_record_id(),
            created_at=datetime.now(UTC),
            path=question.path,
            listing=question.listing,
            evidence=evidence,
            decision=decision,
            latency_ms=(time.perf_counter() - began) * 1e3,
        )
        screened = Screened(record, self._digest(question, model))
        return Outcome(question.seq, row_of_record(record, True, answer.look), screened, size)

    def _pictures(self, paths: Sequence[str]) -> list[Picture]:
        """References that can be read; a picture is judged alone where none can."""
        pictures = []
        for path in paths:
            with suppress(ZhentuError):
                pictures.append(decode(self._reader.read(path), self._screener.limits))
        return pictures

    def _digest(self, question: Question, model: str) -> str:
        policy = self._screener.policy.sha256
        return decision_digest(question.sha256, model, policy, question.path, question.listing, question.references)


class _Looking:
    """A detector that also takes the fingerprint, and compares: it is the one place that sees the decoded picture."""

    def __init__(self, detector: DetectorPort, comparer: ComparerPort | None) -> None:
        self._detector, self._comparer = detector, comparer
        self._references: Sequence[Picture] = ()
        self.look = Look()

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry of the detector inside."""
        return self._detector.entry

    @property
    def model(self) -> ModelRef:
        """The model inside."""
        return self._detector.entry.ref

    def prepare(self, references: Sequence[Picture]) -> None:
        """Before each picture: what it is to be compared with."""
        self._references, self.look = references, Look()

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """The verdict of the detector inside, its material score replaced by the comparison where there is one."""
        pdq, quality = pdq_hash(picture.rgb)
        self.look = Look(pdq.hex() if quality >= LEAST_QUALITY else "", colour_signature(picture.rgb).hex())
        verdict = self._detector.detect(picture, with_heatmaps)
        if not (self._comparer and self._references):
            return verdict
        score = self._comparer.compare(picture, self._references).score
        scores = replace(verdict.scores, material_mismatch=score, forged=max(verdict.scores.forged, score))
        return replace(verdict, scores=scores, basis=Basis.REFERENCE)
