"""What screening itself finds, as evidence: banks, the model, the comparison. Its facts let it be worded anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zhentu.types import (
    BankHit,
    Category,
    Comparison,
    EarlierVerdict,
    Evidence,
    EvidenceKind,
    Fact,
    Frame,
    Signal,
    Trust,
    Verdict,
)

Facts = tuple[tuple[Fact, str], ...]


def bank_evidence(found: Mapping[BankHit, Frame | None], asked: bool) -> Iterator[Evidence]:
    """Matches in banks, each with the frame it was found in. asked: there are banks."""
    for hit, frame in found.items():
        exact = hit.signal is Signal.SHA256
        how = "the same bytes" if exact else f"{hit.distance} of 256 bits differ"
        note = f": {hit.note}" if hit.note else ""
        where = f" in {frame}" if frame and not exact else ""
        detail = f"bank {hit.bank}, entry {hit.entry_id}, {hit.signal.value} ({how}){where}{note}"[:300]
        facts = _given(
            (Fact.BANK, hit.bank),
            (Fact.ENTRY, hit.entry_id),
            (Fact.DISTANCE, "" if exact else str(hit.distance)),
            *_frame(None if exact else frame),
            (Fact.QUOTE, hit.note),
        )
        yield Evidence(EvidenceKind.HASH, f"bank_{hit.kind.value}", detail, Trust.MEASURED, hit.bank, facts=facts)
    if asked and not found:
        yield Evidence(EvidenceKind.HASH, "bank_no_match", "no bank knows this picture", Trust.MEASURED)


def model_evidence(verdict: Verdict | None, earlier: EarlierVerdict | None, settled: bool) -> Iterator[Evidence]:
    """What the model says. settled: a bank knows the very bytes.  earlier: of the same bytes, if it was taken."""
    if settled:
        detail = "a bank knows these very bytes; the model was not run"
        yield Evidence(EvidenceKind.MODEL, "model_not_asked", detail, Trust.MEASURED)
    elif verdict is not None and earlier is not None:
        where = f", in record {earlier.record_id}" if earlier.record_id else ""
        before = f"the same bytes were scored by {verdict.model} before{where}"
        detail = f"{before}; the model was not run{_look_words(verdict)}"
        # No record in the facts: it may be another seller's.
        kind, name = EvidenceKind.HASH, "known_picture"
        score = verdict.scores.forged
        yield Evidence(kind, name, detail, Trust.MEASURED, score=score, facts=_look(verdict))
    elif verdict is not None:
        score = verdict.scores.forged
        detail = f"{verdict.model} gives {score:.3f} that any of the five holds{_look_words(verdict)}"
        facts = ((Fact.SCORE, f"{score:.3f}"), *_look(verdict))
        yield Evidence(EvidenceKind.MODEL, "model_scores", detail, Trust.MEASURED, score=score, facts=facts)


def comparison_evidence(comparison: Comparison | None, count: int, sent: int, installed: bool) -> Iterator[Evidence]:
    """What the comparison says. count: references that were compared, of `sent`.  installed: there is a comparison."""
    if comparison is not None:
        facts = _given(
            (Fact.MODEL, str(comparison.model)),
            (Fact.SCORE, f"{comparison.score:.3f}"),
            (Fact.SIMILARITY, f"{comparison.similarity:.3f}"),
            (Fact.COUNT, str(count)),
            (Fact.AGREEING, str(comparison.agreeing)),
            (Fact.DIFFERING, " ".join(comparison.differing)),
            (Fact.WHOLE, "" if comparison.goods_found else "yes"),
        )
        yield Evidence(
            EvidenceKind.REFERENCE,
            "reference_comparison",
            _what_compared(comparison, count),
            Trust.MEASURED,
            score=comparison.score,
            category=Category.MATERIAL_MISMATCH,
            facts=facts,
        )
    elif sent:
        why = "none could be decoded" if installed else "no comparison is installed"
        detail = f"{sent} reference pictures were sent, and {why}: they were not used"
        facts = _given((Fact.COUNT, str(sent)), (Fact.INSTALLED, "yes" if installed else ""))
        yield Evidence(EvidenceKind.REFERENCE, "reference_not_compared", detail, Trust.MEASURED, facts=facts)


def _what_compared(comparison: Comparison, count: int) -> str:
    parts = [
        f"{comparison.model}: mismatch {comparison.score:.3f}, similarity {comparison.similarity:.3f} to the closest "
        f"of {count} references, sha256 {comparison.reference_sha256[:16]}",
        f"{comparison.agreeing} agree",
    ]
    if comparison.differing:
        parts.append(f"differs: {', '.join(comparison.differing)}")
    if not comparison.goods_found:
        parts.append("the goods were not found in both, so whole pictures were compared")
    return "; ".join(parts)[:300]


def _look_words(verdict: Verdict) -> str:
    frame = f"; {verdict.frame}, the worst of {verdict.frames_seen} looked at" if verdict.frame else ""
    settled = "; the look at the whole picture settled it, no crop was looked at" if verdict.crops_seen == 0 else ""
    return frame + settled


def _look(verdict: Verdict) -> Facts:
    seen = str(verdict.frames_seen) if verdict.frame else ""
    settled = "yes" if verdict.crops_seen == 0 else ""
    return _given(
        (Fact.MODEL, str(verdict.model)), *_frame(verdict.frame), (Fact.FRAMES_SEEN, seen), (Fact.SETTLED, settled)
    )


def _frame(frame: Frame | None) -> Facts:
    return ((Fact.FRAME, str(frame.index + 1)), (Fact.FRAMES, str(frame.total))) if frame else ()


def _given(*facts: tuple[Fact, str]) -> Facts:
    return tuple(fact for fact in facts if fact[1])
