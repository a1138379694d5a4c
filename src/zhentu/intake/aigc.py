"""The implicit AIGC label of GB 45438-2025, read in every form seen in the wild.

Forms: XMP property TC260:AIGC (attribute or element, right or wrong namespace), EXIF UserComment and
ImageDescription, PNG text `AIGC`, and a bare `AIGC{...}` in a JPEG segment or a comment; the object wrapped in
{"AIGC": ...} or not. The standard form is TC260-PG-20259A's: XMP, element or attribute, unwrapped.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from zhentu.intake.metadata import Metadata
from zhentu.intake.xmp import shown
from zhentu.types import AiState, Evidence, EvidenceKind, Trust

NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
KEYS = (
    "Label",
    "ContentProducer",
    "ProduceID",
    "ReservedCode1",
    "ContentPropagator",
    "PropagateID",
    "ReservedCode2",
)
MAX_LABEL = 16 * 1024
_BARE = re.compile(r"AIGC\"?\s{0,16}[:=]?\s{0,16}(\{[^{}]{0,4096}\})")  # bounded: text is hostile
_PRODUCERS = ("ContentProducer", "ServiceProvider", "ContentPropagator")
_STATES = {"1": AiState.IS, "2": AiState.POSSIBLY, "3": AiState.SUSPECTED}
_ALLOWED = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]*")


@dataclass(frozen=True, slots=True)
class AigcLabel:
    """One label as it stands in a file.

    fields: key and value in file order, values as text.  location: where it stood.  standard: it is the XMP property
    in the right namespace.  wrapped: inside {"AIGC": ...}.  strings: every value was a JSON string.
    """

    fields: tuple[tuple[str, str], ...]
    location: str
    standard: bool = False
    wrapped: bool = False
    strings: bool = True

    def get(self, key: str) -> str:
        """The value of a field, empty when it is not there."""
        return dict(self.fields).get(key, "")

    @property
    def state(self) -> AiState | None:
        """What the label says, None when its value is none of 1, 2, 3."""
        return _STATES.get(self.get("Label"))

    def problems(self) -> tuple[str, ...]:
        """What does not follow GB 45438-2025 Annex E and TC260-PG-20259A, one plain sentence each."""
        found = []
        if self.state is None:
            found.append(f"Label is {self.get('Label')[:20]!r}, it must be 1, 2 or 3")
        missing = [key for key in KEYS if key not in dict(self.fields)]
        if missing:
            found.append(f"fields are missing: {', '.join(missing)}")
        unknown = [shown(key) for key, _ in self.fields if key not in KEYS]
        if unknown:
            found.append(f"unknown fields: {', '.join(unknown)}")
        if not self.strings:
            found.append("a value is not a JSON string")
        wrong = [key for key, value in self.fields if key in KEYS and not conforming(value)]
        if wrong:
            found.append(f"characters outside 0x21, 0x23-0x5B, 0x5D-0x7E in {', '.join(wrong)}")
        if not self.get("ContentProducer") and not self.get("ContentPropagator"):
            found.append("neither ContentProducer nor ContentPropagator is named")
        if not self.standard:
            found.append(f"stands in {self.location}; the practice guide puts it into the XMP property TC260:AIGC")
        elif self.wrapped:
            found.append('in XMP the object is not wrapped in {"AIGC": ...}')
        return tuple(found)


def conforming(value: str) -> bool:
    """Whether all characters of a field are allowed (Annex E: no spaces, quotes, backslashes, Chinese)."""
    return _ALLOWED.fullmatch(value) is not None


def bare_labels(text: str) -> list[str]:
    """What looks like `AIGC{...}` in loose text, plain or with XML's entities."""
    if "AIGC" not in text:
        return []
    plain = html.unescape(text) if "&quot;" in text or "&#" in text else text
    return [match.group(1) for match in _BARE.finditer(plain)]


def find_labels(metadata: Metadata) -> Iterator[AigcLabel | str]:
    """Every label of a file; where something calls itself a label and cannot be read, its location as text."""
    for location, text, standard in _candidates(metadata):
        yield _parse(text, location, standard) or location


def find_aigc_label(metadata: Metadata) -> Iterator[Evidence]:
    """One evidence per place that holds a label; a label that does not parse is reported as malformed."""
    for label in find_labels(metadata):
        if isinstance(label, str) or label.state is None:
            location = label if isinstance(label, str) else label.location
            detail = "an AIGC label that does not follow GB 45438-2025 Annex E"
            yield Evidence(EvidenceKind.PROVENANCE, "aigc_label_malformed", detail, Trust.FORGEABLE, location)
            continue
        named = [f"{key} {shown(label.get(key))[:60]}" for key in _PRODUCERS if label.get(key)]
        detail = ", ".join([f"Label {label.get('Label')} ({label.state.name.lower()})", *named])
        yield Evidence(EvidenceKind.PROVENANCE, "aigc_label", detail, Trust.DECLARED, label.location, label.state)


def _candidates(metadata: Metadata) -> Iterator[tuple[str, str, bool]]:
    for packet in metadata.packets:
        found = [each for each in packet.properties if each.name == "AIGC"]
        for each in found:
            yield "XMP TC260:AIGC", each.value, each.namespace == NAMESPACE
        if not packet.sound and not found:  # e.g. a prefix that nobody declared
            text = packet.body.decode("utf-8", "replace")
            yield from (("broken XMP", found_text, False) for found_text in bare_labels(text))
    for name in ("UserComment", "ImageDescription"):
        if "AIGC" in metadata.exif.text.get(name, ""):
            yield f"EXIF {name}", metadata.exif.text[name], False
    if "AIGC" in metadata.text:
        yield "PNG text AIGC", metadata.text["AIGC"], False
    for place, text in metadata.loose:
        yield from ((place, found_text, False) for found_text in bare_labels(text))


def _parse(text: str, location: str, standard: bool, wrapped: bool = False) -> AigcLabel | None:
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end or end - start > MAX_LABEL:
        return None
    try:
        found = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    inner = found.get("AIGC")
    if isinstance(inner, str) and not wrapped:
        return _parse(inner, location, standard, wrapped=True)
    if isinstance(inner, dict):
        found, wrapped = inner, True
    fields = tuple((str(key), value if isinstance(value, str) else json.dumps(value)) for key, value in found.items())
    return AigcLabel(fields, location, standard, wrapped, all(isinstance(value, str) for value in found.values()))
