"""Verdict + evidence + listing + policy -> decision with reasons. Pure: no clock, no files, no network."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from zhentu.decide import notices
from zhentu.sampling import Purpose, place_of
from zhentu.types import (
    CATEGORIES,
    Action,
    AiState,
    BankHit,
    BankKind,
    Basis,
    Category,
    Comparison,
    Decision,
    Evidence,
    EvidenceKind,
    Listing,
    Mode,
    Profile,
    Question,
    Reason,
    ReasonKind,
    Signal,
    Threshold,
    Trust,
    Verdict,
)


class LimitWord(StrEnum):
    """What may stand in a policy instead of a number."""

    MODEL = "model"  # the threshold shipped with the model, of the policy's profile
    OFF = "off"  # this action is never asked for


Limit = float | LimitWord
ACTIONS = (Action.LABEL, Action.REVIEW, Action.BLOCK)
# A perceptual match ignores colour, so it may ask for label or review, never for block.
BANK_KEYS = (*(kind.value for kind in BankKind), *(f"{kind.value}_similar" for kind in BankKind))
UNSIGNED = (Trust.DECLARED, Trust.FORGEABLE)
_COLOUR_NAMES = frozenset(("colour", "colours", "color", "colors", "颜色", "颜色分类", "色号"))
_SEPARATORS = re.compile(r"[,;/|，、；／\n]")


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy. limits: of scores, by forgery and `goods_key` ("" = all goods), then by action.

    rollout: percent of pictures, 0..100, on which `enforce` is in force; the others are decided in shadow.
    banks: by BANK_KEYS.  comparison: limits of the mismatch score against references, by action.
    profile: whose thresholds `model` stands for.  prior: share of each category's pictures in the user's traffic, at
    which scores are read; of categories left out, the share that the model states.
    """

    version: str
    sha256: str
    mode: Mode
    limits: Mapping[tuple[Category, str], Mapping[Action, Limit]]
    provenance: Mapping[Trust, Action]
    rollout: float = 100.0
    banks: Mapping[str, Action] = field(default_factory=dict)
    comparison: Mapping[Action, Limit] = field(default_factory=dict)
    profile: Profile = Profile.BALANCED
    prior: Mapping[Category, float] = field(default_factory=dict)

    def thresholds(self, category: Category, goods: str, shipped: Sequence[Threshold]) -> tuple[Threshold, ...]:
        """What a category's score is compared with, mildest action first. shipped: of the model, for this policy."""
        own, general = self.limits.get((category, goods_key(goods)), {}), self.limits.get((category, ""), {})
        limits = {action: own.get(action, general.get(action, LimitWord.OFF)) for action in ACTIONS}
        return _resolved(limits, category, Basis.PICTURE_ALONE, shipped)

    def comparison_thresholds(self, shipped: Sequence[Threshold]) -> tuple[Threshold, ...]:
        """What the mismatch against references is compared with, the mildest action first."""
        return _resolved(self.comparison, Category.MATERIAL_MISMATCH, Basis.REFERENCE, shipped)


def goods_key(goods: str) -> str:
    """One spelling of a goods category: whoever writes "Cosmetics" shall not escape what holds for "cosmetics"."""
    return unicodedata.normalize("NFKC", goods).strip().casefold()


def decide(  # noqa: PLR0913 - every kind of fact a decision is made of
    verdict: Verdict | None,
    evidence: Sequence[Evidence],
    listing: Listing,
    policy: Policy,
    shipped: Sequence[Threshold],
    *,
    hits: Sequence[BankHit] = (),
    comparison: Comparison | None = None,
    picture_sha256: str = "",
) -> Decision:
    """What the policy decides about one picture.

    verdict: read at the policy's prior.  shipped: the thresholds that came with the model, for the policy's profile and
    prior, and with the comparison.  hits: entries of banks it matches.
    comparison: with reference pictures, None if none was compared.  picture_sha256: decides whether the picture is
    part of the roll-out.
    The gravest action asked for wins; every reason is kept. In shadow mode, and outside the roll-out, the action is
    recorded and `applied` is allow. Bytes that a bank allows were looked at by a person: what a file says of itself
    still counts, what was only suspected of it does not.
    """
    mode = _mode(policy, picture_sha256)
    if policy.mode is Mode.OFF:
        words = notices.MODE_OFF
        reason = Reason(ReasonKind.MODE_OFF, "mode_off", Action.ALLOW, words.en, words.zh)
        return _decision(Action.ALLOW, [reason], policy, mode, None, ())
    used: list[Threshold] = []
    if any((hit.kind, hit.signal) == (BankKind.ALLOWED, Signal.SHA256) for hit in hits):
        evidence = _stated(evidence)
    reasons = _bank_reasons(hits, policy) + _provenance_reasons(evidence, policy)
    if verdict is not None:
        reasons += _score_reasons(verdict, listing.goods, policy, shipped, used)
    if comparison is not None:
        held = policy.comparison_thresholds(shipped)
        used += held
        reasons += _comparison_reasons(comparison, listing, held)
    action = max((reason.action for reason in reasons), key=lambda each: each.severity, default=Action.ALLOW)
    if not reasons:
        words = notices.NOTHING_FOUND
        reasons = [Reason(ReasonKind.NOTHING_FOUND, "nothing_found", Action.ALLOW, words.en, words.zh)]
    return _decision(action, reasons, policy, mode, _ai_state(evidence, reasons), used)


def cleared(decision: Decision, evidence: Sequence[Evidence]) -> Decision:
    """What is left of a decision that a reviewer has overturned: what file and uploader themselves say of AI.

    evidence: of the decision's record.
    """
    stated = _stated(evidence)
    codes = {_code(each) for each in stated}
    reasons = tuple(each for each in decision.reasons if each.code in codes)
    action = max((each.action for each in reasons), key=lambda each: each.severity, default=Action.ALLOW)
    applied = action if decision.mode is Mode.ENFORCE else Action.ALLOW
    return replace(decision, action=action, applied=applied, reasons=reasons, ai_state=_ai_state(stated, ()))


def deferred_decision(policy: Policy) -> Decision:
    """The decision on a picture that is let through because it cannot be screened now (`on_error`)."""
    words = notices.DEFERRED
    reason = Reason(ReasonKind.DEFERRED, "screening_deferred", Action.ALLOW, words.en, words.zh)
    return _decision(Action.ALLOW, [reason], policy, policy.mode, None, ())


def unscreenable_decision(policy: Policy) -> Decision:
    """The decision on a picture that was let through and then could not be screened: never that it may stay."""
    words = notices.UNSCREENABLE
    reason = Reason(ReasonKind.DEFERRED, "screening_impossible", Action.REVIEW, words.en, words.zh)
    return _decision(Action.REVIEW, [reason], policy, policy.mode, None, ())


def declaration(listing: Listing) -> tuple[Evidence, ...]:
    """The uploader's own word as evidence, in the same table as everything else (Art. 6: possibly)."""
    if not listing.declared_ai:
        return ()
    return (
        Evidence(
            kind=EvidenceKind.DECLARATION,
            name="declared_ai",
            detail="the uploader declared AI use",
            trust=Trust.DECLARED,
            location="upload form",
            ai_state=AiState.POSSIBLY,
            category=Category.AI_GENERATED,
        ),
    )


def unresolved(policy: Policy, shipped: Sequence[Threshold]) -> list[str]:
    """Thresholds set to `model` although the model ships none; one sentence each, empty if all is well."""
    there = {(each.category, each.action) for each in shipped if each.basis is Basis.PICTURE_ALONE}
    return [
        f"thresholds.{category.value}{':' if goods else ''}{goods}.{action.value}: is `model`, but the model ships "
        "none for it; give a number or `off`"
        for (category, goods), limits in policy.limits.items()
        for action, limit in limits.items()
        if limit is LimitWord.MODEL and (category, action) not in there
    ]


def bank_key(hit: BankHit) -> str:
    """The key of `banks` in the policy that a hit falls under: one of BANK_KEYS."""
    return hit.kind.value if hit.signal is Signal.SHA256 else f"{hit.kind.value}_similar"


def _resolved(
    limits: Mapping[Action, Limit], category: Category, basis: Basis, shipped: Sequence[Threshold]
) -> tuple[Threshold, ...]:
    """Numbers as they are, `model` as shipped for this category and basis, `off` left out."""
    found = []
    for action in ACTIONS:
        limit = limits.get(action, LimitWord.OFF)
        if limit is LimitWord.MODEL:
            found += [each for each in shipped if (each.category, each.action, each.basis) == (category, action, basis)]
        elif not isinstance(limit, LimitWord):
            found.append(Threshold(category, action, float(limit), basis))
    return tuple(found)


def _mode(policy: Policy, sha256: str) -> Mode:
    if policy.mode is not Mode.ENFORCE or policy.rollout >= 100:
        return policy.mode
    return Mode.ENFORCE if place_of(sha256, Purpose.ROLLOUT) * 100 < policy.rollout else Mode.SHADOW


def _bank_reasons(hits: Sequence[BankHit], policy: Policy) -> list[Reason]:
    reasons = []
    for hit in hits:
        action = policy.banks.get(bank_key(hit), Action.ALLOW)
        if action is not Action.ALLOW:
            words = notices.bank_words(hit, action.value)
            reasons.append(Reason(ReasonKind.BANK, f"bank_{bank_key(hit)}", action, words.en, words.zh))
    return reasons


def _comparison_reasons(comparison: Comparison, listing: Listing, held: Sequence[Threshold]) -> list[Reason]:
    passed = _gravest_passed(comparison.score, held)
    if passed is None:
        return []
    kind, category = ReasonKind.COMPARISON, passed.category
    if comparison.differing == (Question.COLOUR,) and offers_colours(listing):
        words = notices.COLOUR_VARIANT
        return [Reason(kind, "comparison_colour_variant", Action.ALLOW, words.en, words.zh, category, comparison.score)]
    words = notices.comparison_words(passed.action.value, comparison, passed.value)
    code = f"comparison_{category.value}"
    return [Reason(kind, code, passed.action, words.en, words.zh, category, comparison.score, passed.value)]


def offers_colours(listing: Listing) -> bool:
    """Whether the seller declares several colours of the goods, as in {"colour": "red, blue"} or {"颜色": "红/蓝"}."""
    for name, value in listing.declared_attributes.items():
        if name.strip().casefold() in _COLOUR_NAMES:
            return len({part.strip().casefold() for part in _SEPARATORS.split(value) if part.strip()}) > 1
    return False


def _gravest_passed(score: float, held: Sequence[Threshold]) -> Threshold | None:
    passed = [each for each in held if score >= each.value]
    return max(passed, key=lambda each: each.action.severity, default=None)


def _provenance_reasons(evidence: Sequence[Evidence], policy: Policy) -> list[Reason]:
    reasons = []
    for each in evidence:
        if each.ai_state is None or each.trust not in policy.provenance:
            continue
        action = policy.provenance[each.trust]
        if action is Action.ALLOW:
            continue
        words = notices.provenance_words(each, action.value)
        kind = ReasonKind.DECLARATION if each.kind is EvidenceKind.DECLARATION else ReasonKind.PROVENANCE
        reasons.append(Reason(kind, _code(each), action, words.en, words.zh, Category.AI_GENERATED))
    return reasons


def _code(evidence: Evidence) -> str:
    return f"{evidence.kind.value}_{evidence.name}"


def _stated(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Without what is merely suspected."""
    return tuple(each for each in evidence if each.ai_state is not AiState.SUSPECTED)


def _score_reasons(
    verdict: Verdict, goods: str, policy: Policy, shipped: Sequence[Threshold], used: list[Threshold]
) -> list[Reason]:
    reasons = []
    for category in CATEGORIES:
        score, held = verdict.scores.of(category), policy.thresholds(category, goods, shipped)
        used += held
        passed = _gravest_passed(score, held)
        if passed is not None:
            alone = verdict.basis is Basis.PICTURE_ALONE
            words = notices.score_words(category, passed.action.value, score, passed.value, alone)
            code, kind = f"score_{category.value}", ReasonKind.SCORE
            reasons.append(Reason(kind, code, passed.action, words.en, words.zh, category, score, passed.value))
    return reasons


def _ai_state(evidence: Sequence[Evidence], reasons: Sequence[Reason]) -> AiState | None:
    """Art. 6: (1) metadata says generated, (2) the uploader declares it, (3) other traces, or the model's score.

    An AIGC label's own value is carried through as evidence. The surest state (lowest number) wins.
    """
    states = [each.ai_state for each in evidence if each.ai_state is not None]
    if any((each.kind, each.category) == (ReasonKind.SCORE, Category.AI_GENERATED) for each in reasons):
        states.append(AiState.SUSPECTED)
    return min(states, default=None)


def _decision(
    action: Action,
    reasons: Sequence[Reason],
    policy: Policy,
    mode: Mode,
    ai_state: AiState | None,
    used: Sequence[Threshold],
) -> Decision:
    return Decision(
        action=action,
        applied=action if mode is Mode.ENFORCE else Action.ALLOW,
        mode=mode,
        reasons=tuple(reasons),
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        ai_state=ai_state,
        thresholds=tuple(used),
        profile=next((each.profile for each in used if each.profile), None),
    )
