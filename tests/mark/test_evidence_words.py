"""Sellers who read Chinese read Chinese: what evidence says is worded from its facts, and only files are quoted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from c2pa_faults import signed_with
from conftest import encoded, photo
from fakes import verdict
from label_forms import exif_block, forms, hidden_parameters, packet

import zhentu
from zhentu.decide.evidence_words import EVIDENCE_NAMES, FINDINGS, evidence_zh, place_zh, told
from zhentu.decide.findings import bank_evidence, comparison_evidence, model_evidence
from zhentu.decide.note_words import note_in
from zhentu.decide.notices import provenance_words, reason_name
from zhentu.decide.policy import declaration
from zhentu.decide.words import Words
from zhentu.gate.late import deferral_note, screened_late
from zhentu.intake.credentials import Integrity, SignerTrust, Validity
from zhentu.intake.generators import shipped_table
from zhentu.intake.provenance import read_provenance
from zhentu.types import (
    Answer,
    BankHit,
    BankKind,
    Comparison,
    EarlierVerdict,
    Evidence,
    Frame,
    Listing,
    ModelRef,
    Question,
    QuestionAnswer,
    Signal,
)

ENGLISH = re.compile(r"\b(?:a|an|the|of|that|by|with|in|words|holds|outside|signed|generated|not|asked|form|is|says)\b")


def chinese_of(found: Evidence) -> str:
    """The Chinese reason without what it quotes."""
    return re.sub("「[^」]*」", "", provenance_words(found, "label").zh)


def stated() -> dict[str, Evidence]:
    """Every kind of evidence that a seller may read of, from real files, by its name and place."""
    iptc = (
        '<rdf:Description xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'xmlns:p="http://ns.adobe.com/photoshop/1.0/"><e:AISystemUsed>the painter</e:AISystemUsed>'
        "<e:DigitalSourceType>trainedAlgorithmicMedia</e:DigitalSourceType><p:Credit>Edited with Google AI</p:Credit>"
        "</rdf:Description>"
    )
    signed = signed_with()
    files = [(each.payload, each.form) for each in forms()]
    files += [
        (encoded(photo(), "WEBP", xmp=packet(iptc)), "WEBP"),
        (hidden_parameters(b"{}"), "PNG"),
        (encoded(photo(), "JPEG", exif=exif_block(0x010E, "本图片由AI生成".encode())), "JPEG"),
        (signed, "JPEG"),
        (signed_with(days=(-60, -2)), "JPEG"),
        (signed[:-20] + bytes(18) + signed[-2:], "JPEG"),
    ]
    found = [each for payload, form in files for each in read_provenance(payload, form)]
    found += declaration(Listing(declared_ai=True))
    return {f"{each.name} {each.location} {each.trust}": each for each in found if each.ai_state is not None}


STATED = stated()


def test_every_kind_of_statement_is_tried() -> None:
    names = {each.name for each in STATED.values()}
    assert {"declared_ai", "generator_parameters", "stealth_parameters", "iptc_digital_source_type"} <= names
    assert {"ai_system_used", "google_ai_credit", "aigc_label", "aigc_label_malformed", "aigc_label_vendor"} <= names
    assert {"c2pa_ai_source_type", "c2pa_broken_ai_source_type"} <= names


@pytest.mark.parametrize("name", STATED)
def test_a_chinese_reason_holds_no_english_sentence(name: str) -> None:
    assert not ENGLISH.search(chinese_of(STATED[name])), chinese_of(STATED[name])
    assert evidence_zh(STATED[name]) != f"「{STATED[name].detail}」"


def test_every_description_in_the_table_has_a_chinese_name() -> None:
    rows = [*shipped_table().labels, *shipped_table().traces]
    assert [row.name for row in rows if row.name not in FINDINGS and ENGLISH.search(row.name)] == []


@pytest.mark.parametrize("value", [*Integrity, *Validity, *SignerTrust])
def test_every_answer_about_a_manifest_is_worded(value: Integrity | Validity | SignerTrust) -> None:
    whole = next(each for each in STATED.values() if each.name == "c2pa_ai_source_type")
    facts = tuple(
        (key, value.value) for key, _ in whole.facts if key.value in ("integrity", "validity", "signer_trust")
    )
    assert re.search("完整性|证书|签名者", evidence_zh(replace(whole, facts=facts)))


def test_words_of_the_file_stay_a_quotation() -> None:
    found = next(each for each in STATED.values() if "本图片" in each.detail or "AI生成" in each.detail)
    assert evidence_zh(found) == "写明 AI 生成的文字：「AI生成」"


def test_a_record_of_an_older_release_is_quoted() -> None:
    found = next(each for each in STATED.values() if each.name == "aigc_label")
    assert evidence_zh(replace(found, facts=())) == f"「{found.detail}」"


def test_places_are_named_in_chinese() -> None:
    assert (place_zh("upload form"), place_zh("PNG text Comment")) == ("上传表单", "PNG 文本 Comment")
    assert place_zh("EXIF UserComment") == "EXIF UserComment"


def found() -> list[Evidence]:
    """What screening itself says, every kind of it."""
    hits = [BankHit("bad", kind, "7", signal, 3, "review", "copy") for kind in BankKind for signal in Signal]
    frame = Frame(1, 3, 0.1, False)
    said = replace(verdict(0.4), frame=frame, frames_seen=2, crops_seen=0)
    model = ModelRef("comparison", "1.4.0", "0" * 64)
    differ = (QuestionAnswer(Question.PRINT, Answer.DIFFERS, 0.9),)
    compared = Comparison(0.9, 0.2, "a" * 64, model, answer=Answer.DIFFERS, answers=differ, compared=2)
    return [
        *bank_evidence(dict.fromkeys(hits, frame), True),
        *bank_evidence({}, True),
        *model_evidence(said, None, False),
        *model_evidence(said, EarlierVerdict("0190aaaa-bbbb", said, ()), False),
        *model_evidence(None, None, True),
        *comparison_evidence(compared, 2, 2, True),
        *comparison_evidence(None, 0, 2, True),
        *comparison_evidence(None, 0, 2, False),
        screened_late(deferral_note("0190aaaa-bbbb")),
    ]


@pytest.mark.parametrize("each", found(), ids=lambda each: each.name)
def test_what_screening_finds_is_told_in_chinese(each: Evidence) -> None:
    chinese = told(each, "zh")
    assert chinese.detail != f"「{each.detail}」"
    assert not ENGLISH.search(re.sub("「[^」]*」", "", f"{chinese.name} {chinese.detail}"))
    assert told(each, "en").detail == each.detail


def test_the_chinese_holds_the_figures() -> None:
    zh = " ".join(evidence_zh(each) for each in found())
    for words in ("0.400", "第 2 帧（共 3 帧）", "不符概率 0.900", "相似度 0.200", "差异：印花或图案", "3 位不同"):
        assert words in zh


def test_the_chinese_names_no_other_record() -> None:
    (known,) = [each for each in found() if each.name == "known_picture"]
    assert "0190aaaa" in known.detail
    assert "0190aaaa" not in evidence_zh(known)


def test_every_name_of_evidence_in_the_code_has_words() -> None:
    before = (
        r"Evidence\(\s*(?:kind=)?EvidenceKind\.\w+,\s*(?:name=)?|_evidence\(\s*|_quoted\(|Detail\(|_found\(\s*|name = "
    )
    named = re.compile(rf'(?:{before}|name = )"([a-z0-9_]+)"')
    texts = [path.read_text("utf-8") for path in Path(zhentu.__file__).parent.rglob("*.py")]
    names = {name for text in texts if "Evidence" in text for name in named.findall(text)}
    names |= {"c2pa_generator", "c2pa_actions"} | {each.name for each in (*found(), *STATED.values())}
    assert len(names) > 25
    assert names - set(EVIDENCE_NAMES) == set()


def test_every_note_of_decoding_has_chinese_words() -> None:
    written = re.compile(r'(?:notes\.append\(|notes = \[|return \(|notes=\(|else \()f?"([^"]+)"|_ON_WHITE = "([^"]+)"')
    folder = Path(zhentu.__file__).parent
    files = ("intake/decode.py", "intake/pixels.py", "gate/late.py", "gate/service.py")
    found_ = {one or other for name in files for one, other in written.findall((folder / name).read_text("utf-8"))}
    notes = {re.sub(r"{[^}]+}", "7", each) for each in found_}
    assert {"frame 7 of 7", "alpha composed on white", "first of several frames", "never decoded"} <= notes
    assert [each for each in notes if note_in(each, "zh").startswith("「")] == []
    assert note_in("70000 bytes after the end of the picture", "zh") == "图片结束后还有 70000 字节"
    assert note_in("frame 2 of 9", "zh") == "第 2 帧（共 9 帧）"
    assert note_in("by another program", "zh") == "「by another program」"


@pytest.mark.parametrize(
    "code",
    [
        *("score_scene_distortion", "bank_known_bad_similar", "bank_allowed", "mode_off", "provenance_aigc_label"),
        *("declaration_declared_ai", "comparison_colour_variant", "screening_impossible"),
    ],
)
def test_every_kind_of_reason_has_a_name(code: str) -> None:
    name = reason_name(code)
    assert re.search("[\u4e00-\u9fff]", name.zh)
    assert code not in (name.en, name.zh)
    assert reason_name("of_the_future") == Words("of_the_future", "of_the_future")
