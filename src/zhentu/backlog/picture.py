"""Processing one picture of a backlog: the same code on every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from zhentu.backlog.items import Numbered
from zhentu.backlog.known import Answer, Claims, KnownPictures, KnownPicturesPort, Question, Standing, digest_for
from zhentu.backlog.reading import Access, Reader, is_url
from zhentu.backlog.rows import ScanRow, row_of_crash, row_of_error, row_of_record
from zhentu.bootstrap.screener import build_screener
from zhentu.bootstrap.stores import build_banks, build_store
from zhentu.detect.entries import ModelEntry
from zhentu.errors import StoreError, ZhentuError
from zhentu.filenames import name_to_text
from zhentu.ports import BankPort
from zhentu.record.known import KnownStore, ScannedRecord
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import EarlierVerdict, Fingerprint, Inquiry, PictureFile, Record

_NAMED = 3  # references that a row says are missing; it must stay a line
_NOT_ALL = "not all of these"  # in a decision's digest: no question asks for it
_READS_AHEAD = 8  # pictures fetched at once by each worker while it scores; hides the latency of object stores


@dataclass(frozen=True, slots=True)
class PictureOutcome:
    """What came of one picture.

    row: None if the same bytes are being scored elsewhere; the picture is tried again in the next pass.
    scanned: a new record, None if there is none. byte_count: bytes read from the source.
    """

    seq: int
    row: ScanRow | None
    scanned: ScannedRecord | None = None
    byte_count: int = 0


@dataclass(frozen=True, slots=True)
class WorkSpec:
    """Everything a worker needs to begin; picklable.

    accepted: models whose known scores count, by the sha256 of their files.
    store: whether known pictures are looked up at all. banks: whether the store's banks are, too.
    reads_per_second: of this worker, 0 = no limit.  access: where it may read.
    """

    settings: Settings
    accepted: Mapping[str, ModelEntry]
    claims: Path
    store: bool
    banks: bool = False
    reads_per_second: float = 0.0
    attempts: int = 5
    access: Access = field(default_factory=Access)


def crashed(numbered: Numbered) -> PictureOutcome:
    """The outcome of a picture whose worker died on it."""
    return PictureOutcome(numbered.seq, row_of_crash(numbered.item))


def build_work(
    spec: WorkSpec, known: KnownPicturesPort | None = None, bank: BankPort | None = None
) -> Callable[[Sequence[Numbered]], list[PictureOutcome]]:
    """The function of one worker. known, bank: who to ask instead of the store itself, e.g. across a cluster."""
    screener = build_scan_screener(spec, bank)
    if known is None and spec.store:
        known = build_known(spec, screener)
    reader = Reader(screener.limits, spec.reads_per_second, spec.attempts, access=spec.access)
    return PictureWork(screener, reader, known, spec.accepted)


def build_look_up(
    spec: WorkSpec, screener: Screener, store: KnownStore, claims: Claims
) -> Callable[[Sequence[Numbered]], list[PictureOutcome]]:
    """What tells decided pictures from others, without a model and without decoding anything; others have no row."""
    reader = Reader(screener.limits, spec.reads_per_second, spec.attempts, access=spec.access)
    known = known_to(spec, screener, store, claims)
    return PictureWork(screener, reader, known, spec.accepted, only_known=True)


def build_scan_screener(spec: WorkSpec, bank: BankPort | None = None) -> Screener:
    """The screener of a worker, with the store's banks if there are any. Raises StoreError."""
    screener = build_screener(spec.settings)
    if not spec.banks:
        return screener
    return replace(screener, bank=bank or build_banks(build_store(spec.settings, patient=True)))


def build_known(spec: WorkSpec, screener: Screener) -> KnownPictures:
    """What is known from the store and the claims of this run. Raises StoreError."""
    store = KnownStore(build_store(spec.settings, patient=True).database)
    return known_to(spec, screener, store, Claims(spec.claims))


def known_to(spec: WorkSpec, screener: Screener, store: KnownStore, claims: Claims) -> KnownPictures:
    """What a store and the claims of this run know."""
    rules = {sha256: screener.digest(entry) for sha256, entry in spec.accepted.items()}
    return KnownPictures(store, claims, rules, screener.digest() if spec.banks else "")


class PictureWork:
    """Reads, looks up and screens one picture after another, reading the next ones meanwhile.

    only_known: what is not decided, or cannot be without its pixels, is left for another.
    """

    def __init__(
        self,
        screener: Screener,
        reader: Reader,
        known: KnownPicturesPort | None,
        accepted: Mapping[str, ModelEntry],
        only_known: bool = False,
    ) -> None:
        self._only_known = only_known
        self._screener, self._reader, self._known, self._accepted = screener, reader, known, accepted
        self._threads = ThreadPoolExecutor(_READS_AHEAD, "read")

    def __call__(self, chunk: Sequence[Numbered]) -> list[PictureOutcome]:
        """The outcomes of a few pictures, in their order. Raises StoreError; nothing else."""
        return [self._one(numbered, read) for numbered, read in self._payloads(chunk)]

    def _payloads(self, chunk: Sequence[Numbered]) -> Iterator[tuple[Numbered, Callable[[], bytes]]]:
        if not any(is_url(numbered.item.path) for numbered in chunk):
            for numbered in chunk:  # a local disk answers at once; a thread would only add cost
                yield numbered, lambda path=numbered.item.path: self._reader.read(path)  # type: ignore[misc]
            return
        futures: list[Future[bytes] | None] = [
            self._threads.submit(self._reader.read, numbered.item.path) for numbered in chunk
        ]
        for index, numbered in enumerate(chunk):
            future, futures[index] = futures[index], None  # free the bytes of pictures that are done
            if future is not None:
                yield numbered, future.result

    def _one(self, numbered: Numbered, read: Callable[[], bytes]) -> PictureOutcome:
        item, sha256, size = numbered.item, "", 0
        try:
            file = PictureFile.of(read())
            sha256, size = file.sha256, len(file.payload)
            references = item.references if self._screener.comparer else ()
            question = Question(numbered.seq, sha256, name_to_text(item.path), item.listing, references)
            answer = self._known.ask(question) if self._known else Answer(Standing.NEW)
            if answer.standing is Standing.UNDER_WAY:
                return PictureOutcome(numbered.seq, None, None, size)
            if self._only_known and not self._needs_no_pixels(answer, question):
                return PictureOutcome(numbered.seq, None)
            if answer.standing is Standing.NEW:
                return self._screen(question, file)
            return self._take_over(question, answer, file)
        except StoreError:
            raise  # not the picture's fault: the scan stops, and continues when the store is back
        except ZhentuError as error:
            return PictureOutcome(numbered.seq, row_of_error(item, error, sha256), None, size)
        except Exception as error:  # one picture must never end a night's scan; the row says what happened
            return PictureOutcome(numbered.seq, row_of_error(item, error, sha256), None, size)

    def _needs_no_pixels(self, answer: Answer, question: Question) -> bool:
        """Whether the decision is on record, or follows from known scores alone."""
        alone = not (self._screener.bank or question.references)
        return answer.standing is Standing.DECIDED or (answer.standing is Standing.SCORED and alone)

    def _screen(self, question: Question, file: PictureFile, earlier: EarlierVerdict | None = None) -> PictureOutcome:
        """Screen the picture; the model is not run if there is an earlier verdict."""
        files, paths, problems = self._reference_files(question.references)
        inquiry = Inquiry(file, question.path, question.listing, files, skip_broken_references=True, earlier=earlier)
        screening = self._screener.screen(inquiry)
        problems += [f"{paths[place]}: {why}" for place, why in screening.left_out.items()]
        row = row_of_record(
            screening.record, earlier is not None, screening.fingerprint, screening.compared, _left_out(problems)
        )
        if screening.compared < len(question.references):
            # Not the decision that the question asks for: it is made again, with all of them, once they can be read.
            question = replace(question, references=(*question.references, _NOT_ALL))
        return self._outcome(question, file, row, screening.record, screening.fingerprint if not earlier else None)

    def _take_over(self, question: Question, answer: Answer, file: PictureFile) -> PictureOutcome:
        record = answer.record
        if record is None or (record.verdict is None and answer.standing is not Standing.DECIDED):
            raise ZhentuError("a known picture came without its verdict; the store was changed by hand")
        if answer.standing is Standing.DECIDED or record.verdict is None:
            row = row_of_record(record, True, answer.fingerprint, len(question.references))
            return PictureOutcome(question.seq, row, None, len(file.payload))
        entry = self._accepted[record.verdict.model.sha256]
        if self._screener.bank or question.references:  # these look at the pixels
            earlier = self._screener.earlier(record.record_id, record.verdict, entry)
            return self._screen(question, file, earlier)
        record = self._screener.for_listing(record, question.path, question.listing, entry)
        return self._outcome(question, file, row_of_record(record, True, answer.fingerprint), record, None)

    def _outcome(
        self, question: Question, file: PictureFile, row: ScanRow, record: Record, measured: Fingerprint | None
    ) -> PictureOutcome:
        """measured: the fingerprint, if the verdict is new and must be found again."""
        entry = self._accepted.get(record.verdict.model.sha256) if record.verdict else None
        digest = digest_for(question, self._screener.digest(entry))
        scanned = ScannedRecord(record, digest, measured if record.verdict else None)
        return PictureOutcome(question.seq, row, scanned, len(file.payload))

    def _reference_files(self, paths: Sequence[str]) -> tuple[tuple[PictureFile, ...], list[str], list[str]]:
        """References that can be read, their paths, and what is wrong with the others."""
        files, read, problems = list[PictureFile](), list[str](), list[str]()
        for path in paths:
            try:
                files.append(PictureFile.of(self._reader.read(path)))
                read.append(path)
            except ZhentuError as error:
                problems.append(str(error) if path in str(error) else f"{path}: {error}")
        return tuple(files), read, problems


def _left_out(problems: Sequence[str]) -> str:
    """What a row says of references that the picture was not compared with."""
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return f"not compared with: {'; '.join(problems[:_NAMED])}{more}" if problems else ""
