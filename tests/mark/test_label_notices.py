from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fakes import thresholds, verdict

from zhentu.decide.policy import Policy, decide, declaration
from zhentu.errors import ConfigError
from zhentu.ids import new_id
from zhentu.mark.notices import LANGUAGES, Audience, Notices
from zhentu.types import (
    FORGERY_CATEGORIES,
    Action,
    AiState,
    Evidence,
    EvidenceKind,
    Listing,
    Mode,
    Reason,
    ReasonKind,
    Record,
    Trust,
)

THRESHOLDS = thresholds({each: {"review": 0.9} for each in FORGERY_CATEGORIES} | {"ai_generated": {"label": 0.8}})
FACT = Evidence(
    EvidenceKind.PROVENANCE, "ai_system_used", "AISystemUsed: <b>Gen</b>", Trust.DECLARED, "XMP", AiState.IS
)


def record(policy: Policy, evidence: tuple[Evidence, ...] = (), declared: bool = False, **scores: float) -> Record:
    from datetime import UTC, datetime

    listing = Listing(declared_ai=declared, title="{{ 7 * 7 }}")
    found = (*evidence, *declaration(listing))
    said = verdict(0.1, **scores)
    decision = decide(said, found, listing, policy, THRESHOLDS)
    return Record(
        new_id(), datetime.now(UTC), "a.jpg", "0" * 64, "JPEG", 9, 9, 9, (), listing, said, found, decision, 1.0
    )


@pytest.fixture(scope="module")
def notices() -> Notices:
    return Notices.load(None, "https://shop.example/appeal?record={record_id}")


def records(policy: Policy) -> dict[str, Record]:
    return {
        "is": record(policy, (FACT,)),
        "possibly": record(policy, declared=True),
        "suspected": record(policy, ai_generated=0.9),
        **{label.value: record(policy, **{label.value: 0.95}) for label in FORGERY_CATEGORIES},
    }


def test_each_state_and_category_has_its_own_words_for_both_readers_in_both_languages(
    notices: Notices, policy: Policy
) -> None:
    seen = set()
    for name, each in records(policy).items():
        for audience in Audience:
            for language in LANGUAGES:
                found = notices.notice(each, audience, language)
                assert found.needed, name
                assert any("\u4e00" <= c <= "\u9fff" for c in found.heading) == (language == "zh")
                assert all(any("\u4e00" <= c <= "\u9fff" for c in line) == (language == "zh") for line in found.lines)
                seen.add(found.lines)
    assert len(seen) == 7 * 2 * 2


def test_the_states_are_those_of_the_law(notices: Notices, policy: Policy) -> None:
    found = {name: notices.notice(each, Audience.BUYER, "zh") for name, each in records(policy).items()}
    assert [found[name].state for name in ("is", "possibly", "suspected")] == [1, 2, 3]
    assert "可能" in found["possibly"].heading
    assert "疑似" in found["suspected"].heading
    assert found["cutout_artifact"].state is None


def test_a_seller_reads_what_was_found_which_rule_and_how_to_appeal(notices: Notices, policy: Policy) -> None:
    each = record(policy, (FACT,), cutout_artifact=0.95)
    seller, buyer = (notices.notice(each, audience, "en") for audience in (Audience.SELLER, Audience.BUYER))
    assert any("AISystemUsed" in line for line in seller.found)
    assert any("0.95" in line for line in seller.lines)
    assert len(seller.rules) == 2
    assert seller.appeal_url == f"https://shop.example/appeal?record={each.record_id}"
    assert each.record_id in seller.appeal
    assert (buyer.found, buyer.rules, buyer.appeal) == ((), (), "")
    assert "0.95" not in " ".join(buyer.lines)


def test_a_chinese_notice_words_the_declaration_in_chinese(notices: Notices, policy: Policy) -> None:
    found = notices.notice(record(policy, declared=True), Audience.SELLER, "zh").found
    assert found == ("依据：上传者声明使用了 AI（上传表单）",)


def test_a_reason_without_a_category_is_told_to_the_seller(notices: Notices, policy: Policy) -> None:
    each = record(policy)
    known = Reason(ReasonKind.BANK, "bank_known_bad", Action.BLOCK, "It is known.", "该图片已知。")
    blocked = replace(each, decision=replace(each.decision, reasons=(known,), action=Action.BLOCK))
    assert notices.notice(blocked, Audience.SELLER, "zh").lines == ("该图片已知。",)
    assert not notices.notice(blocked, Audience.BUYER, "zh").needed


def test_nothing_found_and_shadow_show_nothing(notices: Notices, policy: Policy) -> None:
    for each in (record(policy), record(replace(policy, mode=Mode.SHADOW), (FACT,))):
        found = notices.notice(each, Audience.BUYER, "en")
        assert not found.needed
        assert notices.html(found) == ""


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fragment_is_accessible_and_escapes_what_files_say(notices: Notices, policy: Policy, language: str) -> None:
    html = notices.html(notices.notice(record(policy, (FACT,)), Audience.SELLER, language))
    reader = Reader()
    reader.feed(html)
    tag, attributes = reader.tags[0]
    assert (tag, attributes["role"], attributes["lang"]) == ("section", "note", LANGUAGES[language])
    heading = next(each for _, each in reader.tags if each.get("id"))
    assert attributes["aria-labelledby"] == heading["id"]
    assert "<b>Gen" not in html
    assert "&lt;b&gt;Gen" in html
    assert {tag for tag, _ in reader.tags} <= {"section", "p", "span", "ul", "li", "cite", "a"}
    ground = re.search(r"background:(#\w{6})", html)
    assert ground is not None
    for colour in re.findall(r"[;\"]color:(#\w{6})", html):
        assert contrast(colour, ground[1]) >= 4.5


def contrast(one: str, other: str) -> float:
    levels = []
    for colour in (one, other):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


def test_an_operator_changes_single_texts_and_the_fragment(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "notices.zh.yaml").write_text("buyer: {is: '本图由AI生成：{{ title }}'}", encoding="utf-8")
    (tmp_path / "notice.html.j2").write_text("<aside lang='{{ language }}'>{{ notice.heading }}</aside>")
    own = Notices.load(tmp_path)
    found = own.notice(record(policy, (FACT,)), Audience.BUYER, "zh")
    assert found.lines == ("本图由AI生成：{{ 7 * 7 }}",)  # a title is text, not a template
    assert own.html(found) == "<aside lang='zh-Hans'>AI 生成内容</aside>"
    assert own.notice(record(policy, (FACT,)), Audience.BUYER, "en").lines[0].startswith("AI made or edited")


def test_every_fault_of_the_texts_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "notices.zh.yaml").write_text("buyer: {iss: x, possibly: '{{ missing }}', suspected: '{% if %}'}")
    (tmp_path / "notices.en.yaml").write_text("buyer: {is: \"{{ ''.__class__.__mro__ }}\"}")
    (tmp_path / "notice.html.j2").write_text("{{ notice.nothing }}")
    with pytest.raises(ConfigError) as caught:
        Notices.load(tmp_path, "javascript:alert(1)")
    found = "\n".join(caught.value.problems)
    for words in ("Did you mean 'buyer.is'", "missing", "buyer.suspected", "unsafe", "appeal_url"):
        assert words in found


def test_a_text_cannot_take_the_process_along(tmp_path: Path) -> None:
    (tmp_path / "notices.en.yaml").write_text("buyer: {is: '{% for i in range(10 ** 9) %}x{% endfor %}'}")
    with pytest.raises(ConfigError, match="range"):
        Notices.load(tmp_path)
