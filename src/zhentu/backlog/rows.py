"""One row per picture: the stable contract of `zhentu scan --output`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from zhentu.backlog.items import Item
from zhentu.errors import ZhentuError
from zhentu.filenames import name_to_text
from zhentu.types import Fingerprint, Record


@dataclass(frozen=True, slots=True)
class ScanRow:
    r"""One picture. Scores are calibrated probabilities in [0, 1]; None if the picture could not be read.

    path: as its source named it, bytes that are not UTF-8 written out as \udcXX (`filenames.text_to_name`).
    action: what the policy asks for ("" with an error).  error: the error's code, "" if all went well.
    applied: what is in force (allow in shadow mode).  ai_state: 1 is, 2 possibly, 3 suspected, None no AI label owed.
    reasons: codes joined by ";".  detail: the error in words, or which references could not be read.
    known: scored before, in this scan or an earlier one, and not scored again.
    pdq, colour: perceptual fingerprint (see banks/hashing.py) in hex, "" below the least quality.
    references: how many pictures of the real goods it was compared with.
    categories: which of the five the reasons speak of, joined by ";".
    """

    path: str
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    action: str = ""
    material_mismatch: float | None = None
    exaggerated_effect: float | None = None
    scene_distortion: float | None = None
    cutout_artifact: float | None = None
    ai_generated: float | None = None
    forged: float | None = None
    error: str = ""
    model: str = ""
    latency_ms: float | None = None
    applied: str = ""
    ai_state: int | None = None
    reasons: str = ""
    record_id: str = ""
    detail: str = ""
    listing_id: str = ""
    seller_id: str = ""
    goods: str = ""
    known: bool = False
    pdq: str = ""
    colour: str = ""
    references: int = 0
    categories: str = ""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(line: str) -> ScanRow:
        """The row of one line. Raises ValueError or TypeError if it is not one."""
        return ScanRow(**json.loads(line))


COLUMNS = tuple(field.name for field in fields(ScanRow))


def row_of_record(
    record: Record, known: bool = False, fingerprint: Fingerprint | None = None, references: int = 0, detail: str = ""
) -> ScanRow:
    """The row of a screened picture. detail: what its reader should know besides."""
    verdict, decision = record.verdict, record.decision
    scores: dict[str, Any] = (
        {name: round(score, 6) for name, score in verdict.scores.as_dict().items()} if verdict else {}
    )
    return ScanRow(
        path=record.path,
        sha256=record.picture_sha256,
        width=record.width,
        height=record.height,
        action=decision.action.value,
        model=str(verdict.model) if verdict else "",
        latency_ms=round(record.latency_ms, 3),
        applied=decision.applied.value,
        ai_state=None if decision.ai_state is None else int(decision.ai_state),
        reasons=";".join(reason.code for reason in decision.reasons),
        record_id=record.record_id,
        detail=plain(detail)[:500],
        listing_id=record.listing.listing_id,
        seller_id=record.listing.seller_id,
        goods=record.listing.goods,
        known=known,
        pdq=fingerprint.pdq.hex() if fingerprint and fingerprint.usable else "",
        colour=fingerprint.colour.hex() if fingerprint else "",
        references=references,
        categories=";".join(dict.fromkeys(reason.category for reason in decision.reasons if reason.category)),
        **scores,
    )


def row_of_error(item: Item, error: Exception, sha256: str = "") -> ScanRow:
    """The row of a picture that could not be screened; nothing is lost silently."""
    code = error.code if isinstance(error, ZhentuError) else ZhentuError.code
    words = str(error) if isinstance(error, ZhentuError) else f"{type(error).__name__}: {error}"
    return _failed(item, code, plain(words)[:500], sha256)


def row_of_crash(item: Item) -> ScanRow:
    """The row of a picture on which a worker process died, e.g. in a decoder or for lack of memory."""
    words = "the process that screened it died twice; keep the file away from other tools and report it"
    return _failed(item, "worker_crashed", words)


def _failed(item: Item, code: str, detail: str, sha256: str = "") -> ScanRow:
    listing = item.listing
    return ScanRow(
        path=name_to_text(item.path),
        sha256=sha256,
        error=code,
        detail=detail,
        listing_id=listing.listing_id,
        seller_id=listing.seller_id,
        goods=listing.goods,
    )


def plain(text: str) -> str:
    """A message as text that can be written anywhere: bytes of a name that are not UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
