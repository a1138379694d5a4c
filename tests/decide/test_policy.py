from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from fakes import thresholds, verdict

from zhentu.decide.notices import score_words
from zhentu.decide.policy import Policy, cleared, decide, declaration, unresolved
from zhentu.decide.policy_file import default_policy_path, load_policy, parse_policy
from zhentu.errors import ConfigError
from zhentu.types import (
    FORGERY_CATEGORIES,
    Action,
    AiState,
    Answer,
    BankHit,
    BankKind,
    Basis,
    Category,
    Comparison,
    Evidence,
    EvidenceKind,
    Listing,
    Mode,
    ModelRef,
    Profile,
    Question,
    QuestionAnswer,
    Signal,
    Threshold,
    Trust,
)

SHIPPED = thresholds({each: {"review": 0.9} for each in FORGERY_CATEGORIES} | {"ai_generated": {"label": 0.8}})
GOOD = 'version: "1"\nmode: enforce\nthresholds:\n  cutout_artifact: {review: 0.5, block: 0.9}\n'


def evidence(state: AiState | None = AiState.IS, trust: Trust = Trust.DECLARED) -> Evidence:
    return Evidence(EvidenceKind.PROVENANCE, "iptc_digital_source_type", "generated", trust, "XMP", state)


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, "p.yaml")
    return "\n".join(caught.value.problems)


def test_nothing_found_allows(policy: Policy) -> None:
    decision = decide(verdict(0.1), (), Listing(), policy, SHIPPED)
    assert decision.action is Action.ALLOW
    assert [reason.code for reason in decision.reasons] == ["nothing_found"]


@pytest.mark.parametrize("category", FORGERY_CATEGORIES)
def test_a_forgery_score_at_the_shipped_threshold_asks_for_review(policy: Policy, category: str) -> None:
    decision = decide(verdict(0.1, **{category: 0.9}), (), Listing(), policy, SHIPPED)
    assert decision.action is Action.REVIEW
    assert decision.reasons[0].score == decision.reasons[0].threshold == 0.9
    assert decision.ai_state is None, "a forgery may be made by hand"


def test_an_ai_score_labels_as_suspected(policy: Policy) -> None:
    decision = decide(verdict(0.1, ai_generated=0.85), (), Listing(), policy, SHIPPED)
    assert (decision.action, decision.ai_state) == (Action.LABEL, AiState.SUSPECTED)


def test_the_default_policy_never_blocks(policy: Policy) -> None:
    decision = decide(verdict(1.0), (evidence(trust=Trust.SIGNED),), Listing(), policy, SHIPPED)
    assert decision.action is Action.REVIEW


def test_metadata_outranks_declaration_and_suspicion(policy: Policy) -> None:
    listing = Listing(declared_ai=True)
    found = (evidence(), *declaration(listing))
    decision = decide(verdict(0.99), found, listing, policy, SHIPPED)
    assert decision.ai_state is AiState.IS
    only_declared = decide(verdict(0.1), declaration(listing), listing, policy, SHIPPED)
    assert (only_declared.action, only_declared.ai_state) == (Action.LABEL, AiState.POSSIBLY)


@pytest.mark.parametrize(
    ("found", "declared", "score", "owed"),
    [
        ((AiState.IS,), True, 0.99, AiState.IS),  # Art. 6 (1): metadata says generated
        ((), True, 0.1, AiState.POSSIBLY),  # (2): only the uploader's word
        ((), True, 0.99, AiState.POSSIBLY),
        ((AiState.SUSPECTED,), None, 0.1, AiState.SUSPECTED),  # (3): a generator's trace
        ((), None, 0.99, AiState.SUSPECTED),  # (3): the model's score
        ((AiState.POSSIBLY,), None, 0.1, AiState.POSSIBLY),  # an AIGC label's own value is carried through
        ((AiState.SUSPECTED, AiState.POSSIBLY), None, 0.99, AiState.POSSIBLY),
        ((None,), False, 0.1, None),  # a camera, a C2PA manifest that names no AI
    ],
)
def test_the_three_way_state_follows_the_law(
    policy: Policy, found: tuple[AiState | None, ...], declared: bool | None, score: float, owed: AiState | None
) -> None:
    listing = Listing(declared_ai=declared)
    facts = (*(evidence(state) for state in found), *declaration(listing))
    assert decide(verdict(0.1, ai_generated=score), facts, listing, policy, SHIPPED).ai_state is owed


def test_the_words_say_no_more_than_the_state(policy: Policy) -> None:
    words = {
        state: decide(verdict(0.1), (evidence(state),), Listing(), policy, SHIPPED).reasons[0] for state in AiState
    }
    assert "made or edited" in words[AiState.IS].en
    assert "may have" in words[AiState.POSSIBLY].en
    assert "traces" in words[AiState.SUSPECTED].en


def test_evidence_without_a_state_asks_for_nothing(policy: Policy) -> None:
    assert decide(verdict(0.1), (evidence(None),), Listing(), policy, SHIPPED).action is Action.ALLOW


def test_the_gravest_action_wins_and_every_reason_is_kept() -> None:
    policy = parse_policy(GOOD, "p")
    decision = decide(verdict(0.1, cutout_artifact=0.95), (evidence(),), Listing(), policy, ())
    assert decision.action is Action.BLOCK
    assert decision.thresholds == thresholds({"cutout_artifact": {"review": 0.5, "block": 0.9}})


def test_goods_have_their_own_threshold_and_fall_back() -> None:
    policy = parse_policy(GOOD + '  "cutout_artifact:jewelry": {review: 0.8}\n', "p")
    seen = {
        goods: decide(verdict(0.1, cutout_artifact=0.7), (), Listing(goods=goods), policy, ()).action
        for goods in ("jewelry", "apparel")
    }
    assert seen == {"jewelry": Action.ALLOW, "apparel": Action.REVIEW}
    high = decide(verdict(0.1, cutout_artifact=0.95), (), Listing(goods="jewelry"), policy, ())
    assert high.action is Action.BLOCK


def test_shadow_records_the_action_and_applies_none(policy: Policy) -> None:
    decision = decide(verdict(1.0), (), Listing(), replace(policy, mode=Mode.SHADOW), SHIPPED)
    assert (decision.action, decision.applied) == (Action.REVIEW, Action.ALLOW)


def test_off_asks_for_nothing(policy: Policy) -> None:
    decision = decide(None, (evidence(),), Listing(), replace(policy, mode=Mode.OFF), SHIPPED)
    assert (decision.action, decision.reasons[0].code) == (Action.ALLOW, "mode_off")


def test_every_reason_speaks_both_languages(policy: Policy) -> None:
    decision = decide(verdict(1.0), (evidence(), *declaration(Listing(declared_ai=True))), Listing(), policy, SHIPPED)
    assert len(decision.reasons) == 7
    for reason in decision.reasons:
        assert reason.en.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in reason.zh)


def test_a_model_threshold_that_does_not_exist_is_found() -> None:
    policy = parse_policy(GOOD.replace("0.5", "model"), "p")
    assert "cutout_artifact.review" in unresolved(policy, ())[0]
    assert unresolved(policy, thresholds({"cutout_artifact": {"review": 0.5}})) == []
    assert unresolved(load_policy(default_policy_path()), SHIPPED) == []


def test_all_problems_are_reported_at_once_with_path_and_suggestion() -> None:
    text = (
        "version: 1\nmode: enforced\nthreshold: {}\nthresholds:\n  cutout_artefact: {review: 0.5}\n"
        "  material_mismatch: {reveiw: 0.5, block: 1.5}\n  scene_distortion: {review: 0.9, block: 0.5}\n"
        "provenance: {forgeable: block}\n"
    )
    found = problems(text)
    assert found.count("\n") == 7
    assert "Unknown key 'threshold'. Did you mean 'thresholds'?" in found
    assert "thresholds.cutout_artefact: unknown forgery category Did you mean 'cutout_artifact'?" in found
    assert "Unknown key 'thresholds.material_mismatch.reveiw'. Did you mean 'review'?" in found
    assert "thresholds.material_mismatch.block: 1.5" in found
    assert "graver action needs the higher score" in found
    assert "may not block" in found


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "version: '1'\nmode: enforce\nthresholds: 3\n"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    assert problems(text)


def test_a_bare_off_is_off_and_not_false() -> None:
    policy = parse_policy('version: "1"\nmode: off\nthresholds:\n  ai_generated: {label: off}\n', "p")
    assert policy.mode is Mode.OFF


def hit(kind: BankKind, signal: Signal = Signal.SHA256) -> BankHit:
    return BankHit("b", kind, "e1", signal, 0 if signal is Signal.SHA256 else 9)


def test_a_known_bad_picture_is_blocked_only_where_the_policy_says_so(policy: Policy) -> None:
    bad = (hit(BankKind.KNOWN_BAD),)
    assert decide(None, (), Listing(), policy, SHIPPED, hits=bad).action is Action.REVIEW
    strict = parse_policy(GOOD + "banks: {known_bad: block}\n", "p")
    blocked = decide(None, (), Listing(), strict, SHIPPED, hits=bad)
    assert (blocked.action, blocked.reasons[0].code) == (Action.BLOCK, "bank_known_bad")
    alike = decide(None, (), Listing(), strict, SHIPPED, hits=(hit(BankKind.KNOWN_BAD, Signal.PDQ),))
    assert alike.action is Action.ALLOW


def test_what_a_person_allowed_is_not_suspected_again_but_its_own_statement_counts(policy: Policy) -> None:
    allowed, suspected = (hit(BankKind.ALLOWED),), evidence(AiState.SUSPECTED, Trust.FORGEABLE)
    assert decide(None, (suspected,), Listing(), policy, SHIPPED).ai_state is AiState.SUSPECTED
    found = decide(None, (suspected,), Listing(), policy, SHIPPED, hits=allowed)
    assert (found.action, found.ai_state) == (Action.ALLOW, None)
    stated = decide(None, (suspected, evidence()), Listing(), policy, SHIPPED, hits=allowed)
    assert (stated.action, stated.ai_state, len(stated.reasons)) == (Action.LABEL, AiState.IS, 1)
    like = decide(None, (suspected,), Listing(), policy, SHIPPED, hits=(hit(BankKind.ALLOWED, Signal.PDQ),))
    assert like.ai_state is AiState.SUSPECTED


def test_of_an_overturned_decision_only_statements_are_left(policy: Policy) -> None:
    told = (replace(evidence(AiState.SUSPECTED), name="words"), evidence())
    made = decide(verdict(0.95), told, Listing(), policy, SHIPPED)
    assert made.action is Action.REVIEW
    left = cleared(made, told)
    assert (left.action, left.applied, left.ai_state) == (Action.LABEL, Action.LABEL, AiState.IS)
    assert [reason.code for reason in left.reasons] == ["provenance_iptc_digital_source_type"]
    nothing = cleared(decide(verdict(0.95), (), Listing(), policy, SHIPPED), ())
    assert (nothing.action, nothing.ai_state, nothing.reasons) == (Action.ALLOW, None, ())


def test_a_goods_category_has_one_spelling(policy: Policy) -> None:
    own = parse_policy(GOOD + '  "cutout_artifact:Cosmetics": {review: 0.1}\n', "p")
    for goods in ("cosmetics", " COSMETICS ", "ｃｏｓｍｅｔｉｃｓ"):
        assert decide(verdict(0.2), (), Listing(goods=goods), own, SHIPPED).action is Action.REVIEW
    twice = GOOD + '  "cutout_artifact:a": {review: 0.1}\n  "cutout_artifact:A": {review: 0.2}\n'
    assert "one goods category" in problems(twice)


def test_nought_is_a_threshold_and_a_negative_number_is_none() -> None:
    read = parse_policy(GOOD.replace("review: 0.5", "review: 0"), "p")
    decision = decide(verdict(0.1), (), Listing(), read, SHIPPED)
    assert Threshold(Category.CUTOUT_ARTIFACT, Action.REVIEW, 0.0) in decision.thresholds
    assert "-0.5 is not a number from 0 to 1" in problems(GOOD.replace("review: 0.5", "review: -0.5"))


def test_shadow_mode_stays_shadow_for_pictures_in_the_rollout(policy: Policy) -> None:
    shadow = replace(policy, mode=Mode.SHADOW, rollout=50)
    pictures = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]
    applied = {decide(verdict(1.0), (), Listing(), shadow, SHIPPED, picture_sha256=sha).applied for sha in pictures}
    assert applied == {Action.ALLOW}


def test_figures_of_a_reason_have_no_more_decimals_than_tell_them_apart() -> None:
    words = score_words(Category.CUTOUT_ARTIFACT, "review", 0.1234561, 0.1234549)
    assert "0.12346" in words.en
    assert "0.123456" not in words.en


def test_a_policy_that_blocks_on_likeness_or_has_wrong_shares_is_refused() -> None:
    found = problems(
        GOOD + "rollout: 101\nbanks: {known_bad_similar: block, knwn_bad: review}\n"
        "comparison: {review: 0.9, block: 0.2, label: model}\n"
    )
    assert "may not block" in found
    assert "Did you mean 'known_bad'" in found
    assert "rollout: 101" in found
    assert "graver action needs the higher score" in found
    assert "comparisons ship a threshold for review only" in found


def compared(score: float, *differs: Question, agreeing: int = 0) -> Comparison:
    answers = tuple(QuestionAnswer(each, Answer.DIFFERS, 0.9) for each in differs)
    model = ModelRef("compare", "1", "c" * 64)
    answer = Answer.DIFFERS if score >= 0.6 else Answer.SAME
    return Comparison(score, 0.5, "a" * 64, model, answer=answer, answers=answers, agreeing=agreeing, compared=3)


def test_a_mismatch_with_the_references_asks_for_review(policy: Policy) -> None:
    limit = Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.5, Basis.REFERENCE)
    shipped = (*SHIPPED, limit)
    decision = decide(verdict(0.1), (), Listing(), policy, shipped, comparison=compared(0.7))
    assert (decision.action, decision.reasons[0].code) == (Action.REVIEW, "comparison_material_mismatch")
    assert decide(verdict(0.1), (), Listing(), policy, shipped, comparison=compared(0.2)).action is Action.ALLOW
    assert decide(verdict(0.1), (), Listing(), policy, SHIPPED, comparison=compared(0.7)).action is Action.ALLOW


@pytest.mark.parametrize(
    ("differs", "en", "zh"),
    [
        (
            (Question.COLOUR, Question.PRINT),
            "These differ: the colour, the print or pattern.",
            "颜色、印花或图案有差异",
        ),
        ((Question.PRODUCT, Question.COLOUR), "look like other goods", "并非同一商品"),
        ((), "cannot be told", "无法确定"),
    ],
)
def test_a_notice_says_in_words_what_differs_and_how_many_references_agree(differs, en: str, zh: str) -> None:
    shipped = (*SHIPPED, Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.6, Basis.REFERENCE))
    policy = parse_policy(f"{GOOD}comparison: {{review: model}}\n", "test")
    comparison = compared(0.7, *differs, agreeing=1)
    (reason,) = decide(verdict(0.1), (), Listing(), policy, shipped, comparison=comparison).reasons
    assert en in reason.en
    assert zh in reason.zh
    assert "1 of 3 surely show the same goods" in reason.en
    assert "looks like the same goods" not in reason.en


def test_the_same_goods_are_spoken_of_only_where_that_is_sure(policy: Policy) -> None:
    shipped = (*SHIPPED, Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.6, Basis.REFERENCE))
    comparison = compared(0.7, Question.COLOUR)
    sure = replace(comparison, answers=(*comparison.answers, QuestionAnswer(Question.PRODUCT, Answer.SAME, 0.1)))
    (reason,) = decide(verdict(0.1), (), Listing(), policy, shipped, comparison=sure).reasons
    assert "It looks like the same goods, but these differ: the colour." in reason.en
    assert "疑似同一商品，但颜色有差异" in reason.zh


@pytest.mark.parametrize(
    ("attributes", "differs", "action"),
    [
        ({"Colour": "red, blue"}, (Question.COLOUR,), Action.ALLOW),
        ({"颜色分类": "红色/蓝色"}, (Question.COLOUR,), Action.ALLOW),
        ({"colour": "red"}, (Question.COLOUR,), Action.REVIEW),
        ({"colour": "red, Red "}, (Question.COLOUR,), Action.REVIEW),
        ({"material": "cotton, silk"}, (Question.COLOUR,), Action.REVIEW),
        ({"colour": "red, blue"}, (Question.COLOUR, Question.PRINT), Action.REVIEW),
        ({"colour": "red, blue"}, (), Action.REVIEW),
    ],
)
def test_another_colour_is_no_offence_where_the_listing_offers_several(attributes, differs, action: Action) -> None:
    shipped = (*SHIPPED, Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.6, Basis.REFERENCE))
    policy = parse_policy(f"{GOOD}comparison: {{review: model}}\n", "test")
    listing = Listing(declared_attributes=attributes)
    assert decide(verdict(0.1), (), listing, policy, shipped, comparison=compared(0.7, *differs)).action is action


def test_the_rollout_is_stable_per_picture_and_only_grows(policy: Policy) -> None:
    pictures = [hashlib.sha256(bytes([k, n])).hexdigest() for k in range(40) for n in range(25)]

    def enforced(share: float) -> set[str]:
        part = replace(policy, rollout=share)
        return {
            sha
            for sha in pictures
            if decide(verdict(1.0), (), Listing(), part, SHIPPED, picture_sha256=sha).applied is not Action.ALLOW
        }

    ten, fifty = enforced(10), enforced(50)
    assert ten == enforced(10)
    assert ten < fifty
    assert 70 < len(ten) < 130
    assert 440 < len(fifty) < 560
    assert (len(enforced(0)), len(enforced(100))) == (0, 1000)


def test_the_decision_records_the_profile_that_model_stood_for(policy: Policy) -> None:
    shipped = tuple(replace(each, profile=Profile.STRICT) for each in SHIPPED)
    assert decide(verdict(0.1), (), Listing(), policy, shipped).profile is Profile.STRICT
    assert decide(verdict(0.1), (), Listing(), policy, SHIPPED).profile is None  # a model without profiles
    assert decide(verdict(0.1), (), Listing(), parse_policy(GOOD, "p"), shipped).profile is None  # numbers alone


def test_a_profile_is_one_of_three_and_balanced_as_shipped(policy: Policy) -> None:
    assert policy.profile is parse_policy(GOOD, "p").profile is Profile.BALANCED
    assert parse_policy(GOOD + "profile: careful\n", "p").profile is Profile.CAREFUL
    assert "Did you mean 'strict'?" in problems(GOOD + "profile: strikt\n")
    assert "Did you mean 'profile'?" in problems(GOOD + "profil: strict\n")


def test_a_prior_is_a_share_by_category() -> None:
    policy = parse_policy(GOOD + "prior: {ai_generated: 0.05, cutout_artifact: model}\n", "p")
    assert policy.prior == {Category.AI_GENERATED: 0.05}
    found = problems(GOOD + "prior: {ai_generatd: 0.1, scene_distortion: 0, cutout_artifact: 5, ai_generated: true}\n")
    assert "Did you mean 'ai_generated'?" in found
    assert found.count("is not a share from 0.0001 to 0.9999") == 3
    assert "prior: must be a mapping" in problems(GOOD + "prior: 0.1\n")


def test_what_one_picture_cannot_tell_is_said_unless_references_were_compared(policy: Policy) -> None:
    for basis, said in ((Basis.PICTURE_ALONE, True), (Basis.REFERENCE, False)):
        seen = replace(verdict(0.1, material_mismatch=0.95), basis=basis)
        (reason,) = decide(seen, (), Listing(), policy, SHIPPED).reasons
        assert ("One picture alone cannot tell" in reason.en) is said
        assert ("仅凭一张图片无法判断" in reason.zh) is said
    (other,) = decide(verdict(0.1, cutout_artifact=0.95), (), Listing(), policy, SHIPPED).reasons
    assert "alone" not in other.en


def test_small_scores_are_told_from_their_limit() -> None:
    policy = parse_policy(GOOD.replace("0.5", "0.00124"), "p")
    (reason,) = decide(verdict(0.0, cutout_artifact=0.00125), (), Listing(), policy, ()).reasons
    assert "(score 0.0013, limit 0.0012)" in reason.en
    assert "（得分 0.0013，阈值 0.0012）" in reason.zh
