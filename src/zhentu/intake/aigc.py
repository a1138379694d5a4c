"""The implicit AIGC label of GB 45438-2025, read in every form and place in which producers write it.

Places: XMP (the property TC260:AIGC as attribute, element or structure, in the right or a wrong namespace, well-formed
or not; or within another property), EXIF, IPTC, PNG text, JPEG segments, comments. Forms: the object bare, wrapped in
{"AIGC": ...}, glued to its name as `AIGC{...}`, nested or escaped in other JSON, and producers' own schemas. The
standard form is TC260-PG-20259A's: XMP, element or attribute, unwrapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zhentu.intake.generators import GeneratorTable, shipped_table
from zhentu.intake.labeltext import Found, hints_at_label, labels_in
from zhentu.intake.metadata import Metadata, Text, packet_texts
from zhentu.intake.packet import Packet, Property
from zhentu.intake.xmp import shown
from zhentu.types import AiState, Evidence, EvidenceKind, Fact, Trust

NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
STANDARD_PLACE = "XMP TC260:AIGC"
KEYS = (
    "Label",
    "ContentProducer",
    "ProduceID",
    "ReservedCode1",
    "ContentPropagator",
    "PropagateID",
    "ReservedCode2",
)
_CARRIED = {key.casefold(): key for key in KEYS} | {"serviceprovider": "ContentProducer", "contentid": "ProduceID"}
_SERVICE_FORM = "a label in the ServiceProvider form of 2023 (TC260-PG-20233A), as Tencent Cloud writes it"
_PRODUCERS = ("ContentProducer", "ServiceProvider", "ContentPropagator")
_STATES = {"1": AiState.IS, "2": AiState.POSSIBLY, "3": AiState.SUSPECTED}
_ALLOWED = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]*")
_NAMED = re.compile(r"(?:XMP|PNG text) (?:\w+:)?AIGC", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AigcLabel:
    """One label as found in a file.

    fields: key and value in file order, values as text; empty if it cannot be parsed or a producer's own schema has
    none of them.  location: where it was found.  standard: it is the XMP property in the right namespace.  wrapped:
    inside {"AIGC": ...}.  strings: every value was a JSON string.  schema: the producer's own one, empty for the
    standard's. quote: as written, cut short; verbatim: the same in full.  carrier: the text that holds it.
    rest: that text also says other things.  doubled: Label was given more than once; the surest value is kept.
    """

    fields: tuple[tuple[str, str], ...]
    location: str
    standard: bool = False
    wrapped: bool = False
    strings: bool = True
    schema: str = ""
    quote: str = field(default="", compare=False)
    verbatim: str = field(default="", compare=False, repr=False)
    carrier: Text | None = field(default=None, compare=False, repr=False)
    rest: bool = field(default=False, compare=False)
    doubled: bool = False

    def get(self, key: str) -> str:
        """The value of a field, ignoring the case of its name; empty if it is missing."""
        return next((value for name, value in self.fields if name.casefold() == key.casefold()), "")

    @property
    def state(self) -> AiState | None:
        """What the label says, None if its value is not 1, 2 or 3."""
        return _STATES.get(self.get("Label").strip())

    @property
    def carried(self) -> dict[str, str]:
        """Its fields by the standard's names: TC260-PG-20233A of 2023 and Tencent name the first two differently."""
        found = {_CARRIED.get(key.casefold(), ""): value for key, value in reversed(self.fields) if value}
        return {key: value for key, value in found.items() if key and key != "Label"}

    def problems(self) -> tuple[str, ...]:
        """What does not follow GB 45438-2025 Annex E and TC260-PG-20259A, one plain sentence each."""
        if self.schema:
            return (f"in {self.location} there is {self.schema}, which is no label of GB 45438-2025: {self.quote}",)
        if not self.fields:
            return (f"a label in {self.location} cannot be read: {self.quote}",)
        found = []
        if self.state is None or self.get("Label") not in _STATES:
            found.append(f"Label is {shown(self.get('Label'))[:20]!r}, it must be 1, 2 or 3")
        missing = [key for key in KEYS if key not in dict(self.fields)]
        if missing:
            found.append(f"fields are missing: {', '.join(missing)}")
        unknown = [shown(key) for key, _ in self.fields if key not in KEYS]
        if unknown:
            found.append(f"unknown fields: {', '.join(unknown)}")
        if self.doubled:
            found.append("Label is given more than once; readers differ in which one they take")
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


def find_labels(metadata: Metadata, table: GeneratorTable | None = None) -> Iterator[AigcLabel]:
    """Every label of a file in any form, including unparsable ones and producers' own schemas."""
    for packet in metadata.packets:
        yield from _structured(packet)
        if not packet.sound:
            yield from _broken(packet)
    yield from labels_of_texts(metadata.texts, table)


def label_properties(packet: Packet, table: GeneratorTable | None = None) -> list[Property]:
    """The properties of a packet that are or contain a label of any form."""
    held = [label.carrier.property for label in labels_of_texts(packet_texts(packet), table) if label.carrier]
    return [each for each in held if each] + [each for each in packet.properties if _is_field(each)]


def labels_of_texts(texts: Iterable[Text], table: GeneratorTable | None = None) -> Iterator[AigcLabel]:
    """The labels in pieces of text."""
    table = table or shipped_table()
    for text in texts:
        named = _NAMED.fullmatch(text.place) is not None
        found = list(labels_in(text.value, named)) if named or hints_at_label(text.value) else []
        yield from (_label(each, text) for each in found)
        if not found:
            yield from _schemas(text, table)


def find_aigc_label(metadata: Metadata, table: GeneratorTable | None = None) -> Iterator[Evidence]:
    """One evidence per label. One that is malformed, or a producer's own, says "suspected" and is quoted."""
    for label in find_labels(metadata, table):
        if label.state is None:
            name = "aigc_label_vendor" if label.schema else "aigc_label_malformed"
            what = label.schema or "an AIGC label that does not follow GB 45438-2025 Annex E"
            detail = f"{what}: {label.quote}"[:300]
            yield _evidence(
                name, detail, label, AiState.SUSPECTED, ((Fact.FINDING, label.schema), (Fact.QUOTE, label.quote))
            )
            continue
        named = [f"{key} {shown(label.get(key))[:60]}" for key in _PRODUCERS if label.get(key)]
        detail = ", ".join([f"Label {label.get('Label')} ({label.state.name.lower()})", *named])
        maker, spreader = label.carried.get("ContentProducer", ""), label.carried.get("ContentPropagator", "")
        facts = ((Fact.LABEL, label.state.value), (Fact.PRODUCER, maker), (Fact.PROPAGATOR, spreader))
        yield _evidence("aigc_label", detail, label, label.state, tuple((key, str(value)) for key, value in facts))


def _evidence(
    name: str, detail: str, label: AigcLabel, state: AiState, facts: tuple[tuple[Fact, str], ...]
) -> Evidence:
    said = tuple(
        (key, shown(value)[:60] if key in (Fact.PRODUCER, Fact.PROPAGATOR) else value) for key, value in facts if value
    )
    return Evidence(EvidenceKind.PROVENANCE, name, detail, Trust.DECLARED, label.location, state, facts=said)


def contradictions(labels: tuple[AigcLabel, ...]) -> tuple[str, ...]:
    """Contradictions between the labels of a file, one plain sentence each."""
    found = []
    said = {label.location: label.get("Label") for label in labels if label.state is not None}
    if len(set(said.values())) > 1:
        told = ", ".join(f"{value} in {place}" for place, value in said.items())
        found.append(f"labels contradict each other: Label is {told}")
    makers = {label.location: label.carried.get("ContentProducer", "") for label in labels}
    makers = {place: maker for place, maker in makers.items() if maker}
    if len(set(makers.values())) > 1:
        told = ", ".join(f"{shown(maker)[:60]} in {place}" for place, maker in makers.items())
        found.append(f"labels contradict each other: the content producer is {told}")
    return tuple(found)


def _label(found: Found, text: Text) -> AigcLabel:
    standard = text.property is not None and (text.property.namespace, text.property.name) == (NAMESPACE, "AIGC")
    named = text.property is not None and text.property.name.upper() == "AIGC"
    keys = {key.casefold() for key, _ in found.fields}
    return AigcLabel(
        found.fields,
        STANDARD_PLACE if named else text.place,
        standard,
        found.wrapped,
        found.strings,
        schema=_SERVICE_FORM if "serviceprovider" in keys and "label" not in keys else "",
        quote=shown(found.quote),
        verbatim=found.quote,
        carrier=text,
        rest=found.rest,
        doubled=found.doubled,
    )


def _schemas(text: Text, table: GeneratorTable) -> Iterator[AigcLabel]:
    for row in table.labels:
        quote = row.quote(text.place, text.value)
        if quote is not None:
            yield AigcLabel((), text.place, schema=row.name, quote=shown(quote), carrier=text, rest=True)


def _structured(packet: Packet) -> Iterator[AigcLabel]:
    """The fields as properties of their own in the standard's namespace."""
    found = [each for each in packet.properties if _is_field(each)]
    if any(each.name == "Label" for each in found):
        told = {each.name: each.value for each in reversed(found)}
        told["Label"] = min((each.value.strip() for each in found if each.name == "Label"), key=_weakness)
        fields = tuple(told.items())[::-1]
        yield AigcLabel(
            fields, "XMP TC260 structure", wrapped=True, carrier=Text("XMP structure", "", property=found[0])
        )


def _weakness(value: str) -> str:
    """From the surest value to none at all; of several Labels the surest counts."""
    return value if value in _STATES else "4"


def _is_field(each: Property) -> bool:
    return each.namespace == NAMESPACE and each.name in KEYS


def _broken(packet: Packet) -> Iterator[AigcLabel]:
    """Labels in a packet that no XML parser can read: unescaped quotes, an undeclared prefix."""
    read = {each.value for each in packet.properties}
    text = packet.body.decode("utf-8", "replace")
    carrier = Text("broken XMP", text)
    for each in labels_in(text, named=False) if hints_at_label(text) else ():
        if each.quote not in read:
            quote = shown(each.quote)
            yield AigcLabel(each.fields, "broken XMP", False, each.wrapped, each.strings, quote=quote, carrier=carrier)
