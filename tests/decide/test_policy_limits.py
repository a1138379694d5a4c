"""Where the limits of a policy lie, and that one fact that asks for nothing hides none that asks for something."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from fakes import thresholds, verdict
from test_policy import GOOD, SHIPPED, compared, evidence, hit, problems

from zhentu.decide.evidence_words import evidence_zh
from zhentu.decide.fit import check_rate, fit_action
from zhentu.decide.notices import bank_words, provenance_words, score_words
from zhentu.decide.policy import Policy, bank_key, decide, deferred_decision, unresolved, unscreenable_decision
from zhentu.decide.policy_file import load_policy, parse_policy
from zhentu.errors import ConfigError, UsageError
from zhentu.sampling import Purpose, place_of
from zhentu.types import (
    Action,
    AiState,
    BankKind,
    Basis,
    Category,
    Evidence,
    EvidenceKind,
    Fact,
    Listing,
    Mode,
    Question,
    ReasonKind,
    Signal,
    Threshold,
    Trust,
)

PICTURES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(500)]


@pytest.mark.parametrize("share", ["0.0001", "0.9999", "0.5"])
def test_a_prior_may_lie_on_the_ends_of_its_range(share: str) -> None:
    prior = parse_policy(GOOD + f"prior: {{ai_generated: {share}}}\n", "p").prior
    assert prior == {Category.AI_GENERATED: float(share)}


@pytest.mark.parametrize("share", ["0.00009", "0.99991", "1", "yes", "'0.5'"])
def test_a_prior_beyond_its_range_is_refused(share: str) -> None:
    assert "prior.ai_generated" in problems(GOOD + f"prior: {{ai_generated: {share}}}\n")


def test_a_policy_that_says_nothing_of_a_roll_out_is_in_force_on_every_picture() -> None:
    read, built = parse_policy(GOOD, "p"), Policy("1", "0" * 64, Mode.ENFORCE, {}, {})
    for policy in (read, built):
        modes = {decide(None, (), Listing(), policy, (), picture_sha256=sha).mode for sha in PICTURES}
        assert (policy.rollout, modes) == (100, {Mode.ENFORCE})


def test_a_roll_out_of_nearly_all_leaves_some_pictures_in_shadow(policy: Policy) -> None:
    part = replace(policy, rollout=99)
    modes = [decide(None, (), Listing(), part, (), picture_sha256=sha).mode for sha in PICTURES]
    assert 0 < modes.count(Mode.SHADOW) < 20


def test_a_roll_out_holds_the_pictures_placed_below_its_share(policy: Policy) -> None:
    place = place_of(PICTURES[0], Purpose.ROLLOUT) * 100
    at, beyond = (replace(policy, rollout=share) for share in (place, place + 1e-9))
    modes = [decide(None, (), Listing(), each, (), picture_sha256=PICTURES[0]).mode for each in (at, beyond)]
    assert modes == [Mode.SHADOW, Mode.ENFORCE]


@pytest.mark.parametrize(("share", "taken"), [("0", True), ("100", True), ("-0.1", False), ("100.1", False)])
def test_a_roll_out_is_a_percentage(share: str, taken: bool) -> None:
    if taken:
        assert parse_policy(GOOD + f"rollout: {share}\n", "p").rollout == float(share)
    else:
        assert "rollout" in problems(GOOD + f"rollout: {share}\n")
    assert "rollout: True" in problems(GOOD + "rollout: true\n")


@pytest.mark.parametrize("limit", ["0", "1", "0.5", "model", "off"])
def test_a_threshold_is_a_number_from_0_to_1_or_a_word(limit: str) -> None:
    assert parse_policy(GOOD.replace("block: 0.9", f"block: {limit}").replace("review: 0.5, ", ""), "p").limits


@pytest.mark.parametrize("limit", ["1.001", "-0.001", "true", "'0.5'", "models"])
def test_what_is_no_threshold_is_named(limit: str) -> None:
    assert "thresholds.cutout_artifact.review" in problems(GOOD.replace("0.5", limit))


def test_two_actions_may_share_a_threshold_and_the_graver_one_is_taken() -> None:
    policy = parse_policy(GOOD.replace("0.9", "0.5"), "p")
    assert decide(verdict(0.0, cutout_artifact=0.5), (), Listing(), policy, ()).action is Action.BLOCK
    assert decide(verdict(0.0, cutout_artifact=0.4999), (), Listing(), policy, ()).action is Action.ALLOW


def test_the_order_of_thresholds_is_checked_across_an_action_that_is_off() -> None:
    text = GOOD.replace("{review: 0.5, block: 0.9}", "{label: 0.8, review: off, block: 0.3}")
    assert "block at 0.3 would come before label at 0.8" in problems(text)


def test_what_follows_a_mistake_is_read_and_checked_too() -> None:
    found = problems(
        'version: "1"\nmode: enforce\nthresholds:\n  unknown: {review: 0.5}\n  ai_generated: 3\n'
        '  "cutout_artifact:": {review: 2}\n'
        "banks: {unknown: review, known_bad: rewiev}\n"
        "provenance: {unknown: label, declared: labell}\n"
        "comparison: {unknown: 0.5, review: 7}\n"
        "prior: {unknown: 0.5, cutout_artifact: 7}\n"
    )
    for words in (
        "thresholds.unknown",
        "thresholds.ai_generated: must be a mapping",
        "no goods category after the colon",
        "thresholds.cutout_artifact:.review: 2",
        "Did you mean 'review'?",
        "Did you mean 'label'?",
        "comparison.review: 7",
        "prior.cutout_artifact: 7",
    ):
        assert words in found


def test_what_follows_an_entry_that_stands_for_the_model_is_read_too() -> None:
    read = parse_policy(GOOD + "prior: {cutout_artifact: model, ai_generated: 0.05}\n", "p")
    assert read.prior == {Category.AI_GENERATED: 0.05}


@pytest.mark.parametrize("section", ["banks", "provenance", "comparison", "prior"])
def test_a_section_that_is_no_mapping_is_named(section: str) -> None:
    assert f"{section}: must be a mapping" in problems(GOOD + f"{section}: 3\n")


@pytest.mark.parametrize("left_out", ["version", "mode", "thresholds"])
def test_what_every_policy_must_say_is_missed_by_name(left_out: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(left_out) and not line.startswith("  ")]
    text = "\n".join(lines)
    assert f"{left_out}: is missing" in problems(text.replace("thresholds:", "thresholds: {}"))


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "p.yaml", tmp_path / "none.yaml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_policy(path)


def test_the_digest_is_that_of_the_text() -> None:
    assert parse_policy(GOOD, "p").sha256 == hashlib.sha256(GOOD.encode()).hexdigest()


def test_evidence_that_asks_for_nothing_hides_none_that_does(policy: Policy) -> None:
    """First one without a state, one of a trust that the policy does not name, one that it allows."""
    read = replace(policy, provenance={Trust.FORGEABLE: Action.ALLOW, Trust.DECLARED: Action.LABEL})
    silent = (evidence(None), evidence(trust=Trust.SIGNED), evidence(trust=Trust.FORGEABLE))
    decision = decide(verdict(0.1), (*silent, evidence(AiState.POSSIBLY)), Listing(), read, SHIPPED)
    assert (decision.action, len(decision.reasons)) == (Action.LABEL, 1)
    assert decision.ai_state is AiState.IS, "the state is that of the surest statement, whatever it asks for"
    assert decide(verdict(0.1), silent, Listing(), read, SHIPPED).action is Action.ALLOW


def test_a_match_that_asks_for_nothing_hides_none_that_does() -> None:
    policy = parse_policy(GOOD + "banks: {allowed: allow, known_bad: review}\n", "p")
    hits = (hit(BankKind.ALLOWED), hit(BankKind.BRAND_ORIGINAL), hit(BankKind.KNOWN_BAD))
    decision = decide(None, (), Listing(), policy, (), hits=hits)
    assert [(reason.code, reason.kind) for reason in decision.reasons] == [("bank_known_bad", ReasonKind.BANK)]
    every = parse_policy(GOOD + "banks: {allowed: label, known_bad: review}\n", "p")
    assert len(decide(None, (), Listing(), every, (), hits=hits).reasons) == 2


@pytest.mark.parametrize(
    ("signal", "en", "zh"),
    [
        (Signal.SHA256, "This is the same file as a picture that was found untrue before.", "完全相同"),
        (Signal.PDQ, "This picture looks nearly the same as a picture that was found untrue before.", "高度相似"),
    ],
)
def test_words_about_a_match_say_whether_it_is_the_file_or_the_look(signal: Signal, en: str, zh: str) -> None:
    words = bank_words(hit(BankKind.KNOWN_BAD, signal), "review")
    assert words.en.startswith(en)
    assert zh in words.zh


def test_a_match_by_look_has_a_key_of_its_own() -> None:
    assert bank_key(hit(BankKind.KNOWN_BAD)) == "known_bad"
    assert bank_key(hit(BankKind.KNOWN_BAD, Signal.PDQ)) == "known_bad_similar"


def test_thresholds_of_a_comparison_are_not_held_against_one_picture_alone() -> None:
    policy = parse_policy('version: "1"\nmode: enforce\nthresholds: {material_mismatch: {review: model}}\n', "p")
    alone = Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.9)
    beside = Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.2, Basis.REFERENCE)
    decision = decide(verdict(0.0, material_mismatch=0.5), (), Listing(), policy, (beside, alone))
    assert (decision.action, decision.thresholds) == (Action.ALLOW, (alone,))
    assert "thresholds.material_mismatch.review" in unresolved(policy, (beside,))[0]


def test_a_threshold_of_goods_that_the_model_does_not_ship_is_named_with_its_goods() -> None:
    policy = parse_policy(GOOD + '  "ai_generated:jewelry": {review: model, label: off, block: 0.9}\n', "p")
    (problem,) = unresolved(policy, SHIPPED)
    assert problem.startswith("thresholds.ai_generated:jewelry.review:")


def test_a_comparison_at_its_threshold_asks_and_one_below_does_not() -> None:
    policy = parse_policy(GOOD + "comparison: {review: 0.5, block: 0.9}\n", "p")
    seen = {
        score: decide(None, (), Listing(), policy, (), comparison=compared(score)).action
        for score in (0.4999, 0.5, 0.8999, 0.9)
    }
    assert list(seen.values()) == [Action.ALLOW, Action.REVIEW, Action.REVIEW, Action.BLOCK]


def test_one_colour_in_a_listing_is_no_choice_of_colours() -> None:
    policy = parse_policy(GOOD + "comparison: {review: 0.5}\n", "p")
    actions = [
        decide(
            None,
            (),
            Listing(declared_attributes=attributes),
            policy,
            (),
            comparison=compared(0.7, Question.COLOUR),
        ).action
        for attributes in ({"colour": "red; RED "}, {"size": "S, M", " Colour ": "red; blue"}, {"colours": "红、蓝"})
    ]
    assert actions == [Action.REVIEW, Action.ALLOW, Action.ALLOW]


def test_a_picture_that_could_not_be_screened_is_looked_at_by_a_person(policy: Policy) -> None:
    for mode, applied in ((Mode.ENFORCE, Action.REVIEW), (Mode.SHADOW, Action.ALLOW)):
        decision = unscreenable_decision(replace(policy, mode=mode))
        assert (decision.action, decision.applied, decision.mode) == (Action.REVIEW, applied, mode)
        assert decision.reasons[0].kind is ReasonKind.DEFERRED


def test_a_picture_that_waits_to_be_screened_stays_online_meanwhile(policy: Policy) -> None:
    decision = deferred_decision(policy)
    assert (decision.action, decision.applied, decision.reasons[0].code) == (
        Action.ALLOW,
        Action.ALLOW,
        "screening_deferred",
    )


def test_what_was_decided_by_is_told(policy: Policy) -> None:
    decision = decide(verdict(0.1), (), Listing(), policy, SHIPPED)
    assert (decision.policy_version, decision.policy_sha256) == (policy.version, policy.sha256)


@pytest.mark.parametrize(
    ("score", "limit", "shown"),
    [
        (0.9, 0.9, ("0.90", "0.90")),
        (0.951, 0.95, ("0.951", "0.950")),
        (0.96, 0.95, ("0.96", "0.95")),
        (0.004, 0.004, ("0.004", "0.004")),
        (0.1234569, 0.1234561, ("0.123457", "0.123456")),
        (0.5, 0.0, ("0.500000", "0.000000")),
    ],
)
def test_a_reason_shows_as_many_decimals_as_it_takes(score: float, limit: float, shown: tuple[str, str]) -> None:
    words = score_words(Category.CUTOUT_ARTIFACT, "review", score, limit)
    assert f"(score {shown[0]}, limit {shown[1]})" in words.en
    assert f"（得分 {shown[0]}，阈值 {shown[1]}）" in words.zh


def test_words_about_a_statement_say_what_and_where_as_far_as_they_are_known() -> None:
    def words(name: str, location: str) -> str:
        fact = Evidence(EvidenceKind.PROVENANCE, name, "so it says", Trust.DECLARED, location, AiState.IS)
        return provenance_words(fact, "label").en

    assert words("aigc_label", "XMP").startswith("The file itself says that AI made or edited it (an AIGC label, XMP):")
    assert "edited it (XMP): so it says" in words("unheard_of", "XMP")
    assert "edited it: so it says" in words("unheard_of", "")


def test_an_aigc_label_is_worded_in_chinese_by_its_value_and_its_makers() -> None:
    def words(facts: dict[Fact, str]) -> str:
        stated = tuple(facts.items())
        return evidence_zh(
            Evidence(EvidenceKind.PROVENANCE, "aigc_label", "as it is", Trust.DECLARED, "XMP", AiState.IS, facts=stated)
        )

    assert words({Fact.LABEL: "1", Fact.PRODUCER: "P"}).startswith("标识值 1（")
    assert words({Fact.LABEL: "1", Fact.PRODUCER: "P"}).endswith("，生成合成服务提供者「P」")
    assert words({Fact.PRODUCER: "P"}) == "「as it is」", "without a value it is quoted"


def test_a_fitted_threshold_near_1_leaves_what_is_surer_to_be_acted_on() -> None:
    (limit,) = fit_action(Action.LABEL, 0.01, [verdict(0.9999).scores] * 50).thresholds
    assert 0.9999 < limit.value < 0.99991
    (low,) = fit_action(Action.LABEL, 0.01, [verdict(0.0001).scores] * 50).thresholds
    assert 0.0001 < low.value < 0.00011


@pytest.mark.parametrize("rate", [0.5, 1e-6])
def test_a_rate_of_false_alarms_goes_up_to_a_half(rate: float) -> None:
    check_rate(Action.REVIEW, rate)
    with pytest.raises(UsageError, match="--review"):
        check_rate(Action.REVIEW, rate + 0.5)


@pytest.mark.parametrize(("rate", "needed"), [(0.5, 6), (0.01, 300), (0.003, 1000), (0.7 / 100, 429)])
def test_three_over_the_rate_pictures_are_needed(rate: float, needed: int) -> None:
    scores = [verdict(0.1).scores] * needed
    assert (fit_action(Action.LABEL, rate, scores).needed, fit_action(Action.LABEL, rate, scores).too_few) == (
        needed,
        False,
    )
    assert fit_action(Action.LABEL, rate, scores[1:]).too_few


def test_two_categories_that_sound_for_the_same_pictures_count_once() -> None:
    both = [verdict(0.1, cutout_artifact=0.9, scene_distortion=0.8).scores] * 2 + [verdict(0.1).scores] * 97
    fitted = fit_action(Action.REVIEW, 0.03, both)
    assert fitted.alarms == 2
    held = {each.category: each.value for each in fitted.thresholds}
    assert held[Category.CUTOUT_ARTIFACT] <= 0.9
    assert held[Category.MATERIAL_MISMATCH] == pytest.approx(0.1, abs=1e-3)
    assert thresholds({"ai_generated": {"label": 0.1}})[0].category not in held


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ('""', "version: is empty"),
        ('" \\u3000"', "version: is empty"),
        ('" 1"', "white space"),
        ('"1\\n2"', "cannot be printed"),
        (f'"{"x" * 201}"', "has 201 characters"),
        ("2026-11-24", "must be text"),
        ("", "must be text"),
    ],
)
def test_a_version_names_a_state_of_the_policy(version: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy(f"version: {version}\nmode: enforce\nthresholds: {{}}\n", "p.yaml")
    assert len(caught.value.problems) == 1
    assert words in caught.value.problems[0]


EMPTY = {
    "mode": "mode: ''",
    "profile": "profile: ''",
    "prior.": "prior: {'': 0.5}",
    "prior.ai_generated": "prior: {ai_generated: ''}",
    "rollout": "rollout: ''",
    "banks.": "banks: {'': review}",
    "banks.known_bad": "banks: {known_bad: ''}",
    "comparison.": "comparison: {'': 0.5}",
    "comparison.review": "comparison: {review: ''}",
    "provenance.": "provenance: {'': label}",
    "provenance.signed": "provenance: {signed: ''}",
    "thresholds.": "thresholds: {'': {review: 0.5}}",
    "thresholds.ai_generated:": "thresholds: {'ai_generated: ': {review: 0.5}}",
    "thresholds.ai_generated.": "thresholds: {ai_generated: {'': 0.5}}",
    "thresholds.ai_generated.review": "thresholds: {ai_generated: {review: ''}}",
}


@pytest.mark.parametrize("place", EMPTY)
def test_no_text_of_a_policy_may_be_empty(place: str) -> None:
    lines = {"mode": "mode: enforce", "thresholds": "thresholds: {}"} | {EMPTY[place].partition(":")[0]: EMPTY[place]}
    with pytest.raises(ConfigError) as caught:
        parse_policy("\n".join(['version: "1"', *lines.values()]), "p.yaml")
    assert place in caught.value.problems[0]
