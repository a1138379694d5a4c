"""Sellers who read Chinese read Chinese: what evidence says is worded from its facts, and only files are quoted."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from c2pa_faults import signed_with
from conftest import encoded, photo
from label_forms import exif_block, forms, hidden_parameters, packet

from zhentu.decide.evidence_words import FINDINGS, evidence_zh, place_zh
from zhentu.decide.notices import provenance_words
from zhentu.decide.policy import declaration
from zhentu.intake.credentials import Integrity, SignerTrust, Validity
from zhentu.intake.generators import shipped_table
from zhentu.intake.provenance import read_provenance
from zhentu.types import Evidence, Listing

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
