"""Verdict + evidence + listing + policy -> decision with reasons. Pure: no clock, no files, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zhentu.decide import notices
from zhentu.types import (
    LABELS,
    Action,
    AiState,
    BankHit,
    BankKind,
    Decision,
    Evidence,
    EvidenceKind,
    Label,
    Listing,
    Mode,
    Reason,
    Signal,
    Trust,
    Verdict,
)

MODEL = "model"  # a threshold: the one shipped with the model
OFF = "off"  # a threshold: this action is never asked for
Threshold = float | str
ACTIONS = (Action.LABEL, Action.REVIEW, Action.BLOCK)
# A perceptual match ignores colour, so it may ask for label or review, never for block.
BANK_KEYS = (*(kind.value for kind in BankKind), *(f"{kind.value}_similar" for kind in BankKind))
UNSIGNED = (Trust.DECLARED, Trust.FORGEABLE)


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy. thresholds: by "<label>" or "<label>:<goods>", then by action.

    rollout: percent of pictures, 0..100, on which `enforce` is in force; the others are decided in shadow.
    banks: by BANK_KEYS.  comparison: limits of the mismatch score against references, by action.
    """

    version: str
    sha256: str
    mode: Mode
    thresholds: Mapping[str, Mapping[Action, Threshold]]
    provenance: Mapping[Trust, Action]
    rollout: float = 100.0
    banks: Mapping[str, Action] = field(default_factory=dict)
    comparison: Mapping[Action, Threshold] = field(default_factory=dict)

    def threshold(self, label: Label, goods: str, action: Action) -> Threshold:
        """The threshold in force: the goods category's own, else the forgery category's, else off."""
        for key in (f"{label.value}:{goods}", label.value):
            found = self.thresholds.get(key, {}).get(action)
            if found is not None:
                return found
        return OFF


def decide(
    verdict: Verdict | None,
    evidence: Sequence[Evidence],
    listing: Listing,
    policy: Policy,
    model_thresholds: Mapping[str, float],
    *,
    hits: Sequence[BankHit] = (),
    mismatch: float | None = None,
    picture_sha256: str = "",
) -> Decision:
    """What the policy says of one picture.

    model_thresholds: shipped thresholds by "<label>.<action>" and "comparison.review".  hits: entries of banks it
    matches.  mismatch: score against reference pictures in [0, 1], None where none was compared.  picture_sha256: its
    place in the roll-out.
    The gravest action asked for wins; every reason is kept. In shadow mode, and outside the roll-out, the action is
    recorded and `applied` is allow.
    """
    mode = _mode(policy, picture_sha256)
    if policy.mode is Mode.OFF:
        words = notices.MODE_OFF
        return _decision(Action.ALLOW, [Reason("mode_off", Action.ALLOW, words.en, words.zh)], policy, mode, None, {})
    used: dict[str, float] = {}
    reasons = _bank_reasons(hits, policy) + _provenance_reasons(evidence, policy)
    if verdict is not None:
        reasons += _score_reasons(verdict, listing.goods, policy, model_thresholds, used)
    if mismatch is not None:
        reasons += _comparison_reasons(mismatch, policy, model_thresholds, used)
    action = max((reason.action for reason in reasons), key=lambda each: each.severity, default=Action.ALLOW)
    if not reasons:
        words = notices.NOTHING_FOUND
        reasons = [Reason("nothing_found", Action.ALLOW, words.en, words.zh)]
    return _decision(action, reasons, policy, mode, _ai_state(evidence, reasons), used)


def deferred_decision(policy: Policy) -> Decision:
    """What is said of a picture that is let through because it cannot be screened now (`on_error`)."""
    words = notices.DEFERRED
    reason = Reason("screening_deferred", Action.ALLOW, words.en, words.zh)
    return _decision(Action.ALLOW, [reason], policy, policy.mode, None, {})


def unscreenable_decision(policy: Policy) -> Decision:
    """What is said of a picture that was let through and then could not be screened: never that it may stay."""
    words = notices.UNSCREENABLE
    reason = Reason("screening_impossible", Action.REVIEW, words.en, words.zh)
    return _decision(Action.REVIEW, [reason], policy, policy.mode, None, {})


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
        ),
    )


def unresolved(policy: Policy, model_thresholds: Mapping[str, float]) -> list[str]:
    """Thresholds that say `model` where the model ships none; one sentence each, empty when all is well."""
    return [
        f"thresholds.{key}.{action.value}: is `model`, but the model ships none for it; give a number or `off`"
        for key, actions in policy.thresholds.items()
        for action, threshold in actions.items()
        if threshold == MODEL and f"{key.split(':')[0]}.{action.value}" not in model_thresholds
    ]


def bank_key(hit: BankHit) -> str:
    """The key of `banks` in the policy that a hit falls under: one of BANK_KEYS."""
    return hit.kind.value if hit.signal is Signal.SHA256 else f"{hit.kind.value}_similar"


def _mode(policy: Policy, sha256: str) -> Mode:
    # The same picture always falls on the same side, and a larger share keeps everything a smaller one had.
    if policy.mode is not Mode.ENFORCE or policy.rollout >= 100:
        return policy.mode
    place = int(sha256[:8] or "0", 16) / 2**32 * 100
    return Mode.ENFORCE if place < policy.rollout else Mode.SHADOW


def _bank_reasons(hits: Sequence[BankHit], policy: Policy) -> list[Reason]:
    reasons = []
    for hit in hits:
        action = policy.banks.get(bank_key(hit), Action.ALLOW)
        if action is not Action.ALLOW:
            words = notices.bank_words(hit, action.value)
            reasons.append(Reason(f"bank_{bank_key(hit)}", action, words.en, words.zh))
    return reasons


def _comparison_reasons(
    mismatch: float, policy: Policy, model_thresholds: Mapping[str, float], used: dict[str, float]
) -> list[Reason]:
    passed = []
    for action in ACTIONS:
        number = policy.comparison.get(action, OFF)
        if number == MODEL:
            number = model_thresholds.get(f"comparison.{action.value}", OFF)
        if isinstance(number, float | int):
            used[f"comparison.{action.value}"] = float(number)
            if mismatch >= number:
                passed.append((action, float(number)))
    if not passed:
        return []
    action, number = max(passed, key=lambda pair: pair[0].severity)
    words = notices.comparison_words(action.value, mismatch, number)
    label = Label.MATERIAL_MISMATCH
    return [Reason("comparison_material_mismatch", action, words.en, words.zh, label, mismatch, number)]


def _provenance_reasons(evidence: Sequence[Evidence], policy: Policy) -> list[Reason]:
    reasons = []
    for each in evidence:
        if each.ai_state is None or each.trust not in policy.provenance:
            continue
        action = policy.provenance[each.trust]
        if action is Action.ALLOW:
            continue
        words = notices.provenance_words(each, action.value)
        reasons.append(Reason(f"{each.kind.value}_{each.name}", action, words.en, words.zh, Label.AI_GENERATED))
    return reasons


def _score_reasons(
    verdict: Verdict, goods: str, policy: Policy, model_thresholds: Mapping[str, float], used: dict[str, float]
) -> list[Reason]:
    reasons = []
    for label in LABELS:
        score = verdict.scores.of(label)
        passed: list[tuple[Action, float]] = []
        for action in ACTIONS:
            threshold = policy.threshold(label, goods, action)
            number = model_thresholds.get(f"{label.value}.{action.value}") if threshold == MODEL else threshold
            if not isinstance(number, float | int):
                continue
            used[f"{label.value}.{action.value}"] = float(number)
            if score >= number:
                passed.append((action, float(number)))
        if passed:
            action, number = max(passed, key=lambda pair: pair[0].severity)
            words = notices.score_words(label, action.value, score, number)
            reasons.append(Reason(f"score_{label.value}", action, words.en, words.zh, label, score, number))
    return reasons


def _ai_state(evidence: Sequence[Evidence], reasons: Sequence[Reason]) -> AiState | None:
    """Art. 6: (1) metadata says generated, (2) the uploader declares it, (3) other traces, or the model's score.

    An AIGC label's own value is carried through as evidence. The surest state (lowest number) wins.
    """
    states = [each.ai_state for each in evidence if each.ai_state is not None]
    if any(reason.code == f"score_{Label.AI_GENERATED.value}" for reason in reasons):
        states.append(AiState.SUSPECTED)
    return min(states, default=None)


def _decision(
    action: Action,
    reasons: Sequence[Reason],
    policy: Policy,
    mode: Mode,
    ai_state: AiState | None,
    used: Mapping[str, float],
) -> Decision:
    return Decision(
        action=action,
        applied=action if mode is Mode.ENFORCE else Action.ALLOW,
        mode=mode,
        reasons=tuple(reasons),
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        ai_state=ai_state,
        thresholds=dict(used),
    )
