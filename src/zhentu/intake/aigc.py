"""The implicit AIGC label of GB 45438-2025, read in every form seen in the wild.

Forms: XMP property TC260:AIGC (attribute or element, right or wrong namespace), EXIF UserComment, PNG text `AIGC`, and
a bare `AIGC{...}` in a JPEG segment; the object wrapped in {"AIGC": ...} or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from zhentu.intake.metadata import Metadata
from zhentu.intake.xmp import properties
from zhentu.types import AiState, Evidence, EvidenceKind, Trust

_BARE = re.compile(r"AIGC\"?\s*:?\s*(\{[^{}]{0,4096}\})")
_PRODUCERS = ("ContentProducer", "ServiceProvider", "ContentPropagator")
_STATES = {"1": AiState.IS, "2": AiState.POSSIBLY, "3": AiState.SUSPECTED}


def find_aigc_label(metadata: Metadata) -> Iterator[Evidence]:
    """One evidence per place that holds a label; a label that does not parse is reported as malformed."""
    for packet in metadata.xmp:
        for _, name, value in properties(packet):
            if name == "AIGC":
                yield _evidence(value, "XMP TC260:AIGC")
    comment = metadata.exif.get("UserComment", "")
    if "AIGC" in comment:
        yield _evidence(comment, "EXIF UserComment")
    if "AIGC" in metadata.text:
        yield _evidence(metadata.text["AIGC"], "PNG text AIGC")
    for segment in metadata.segments:
        if segment.startswith(("http://ns.adobe.com/xap", "Exif\x00")):
            continue  # read above, as XMP and EXIF
        for match in _BARE.finditer(segment):
            yield _evidence(match.group(1), "JPEG segment")


def _evidence(text: str, location: str) -> Evidence:
    label = _parse(text)
    value = str(label.get("Label", "")) if label else ""
    if label is None or value not in _STATES:
        detail = "an AIGC label that does not follow GB 45438-2025 Annex E"
        return Evidence(EvidenceKind.PROVENANCE, "aigc_label_malformed", detail, Trust.FORGEABLE, location)
    named = [f"{key} {_shown(str(label[key]))}" for key in _PRODUCERS if label.get(key)]
    detail = ", ".join([f"Label {value} ({_STATES[value].name.lower()})", *named])
    return Evidence(EvidenceKind.PROVENANCE, "aigc_label", detail, Trust.DECLARED, location, _STATES[value])


def _parse(text: str) -> dict[str, object] | None:
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        found = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("AIGC"), dict):
        found = found["AIGC"]
    elif isinstance(found, dict) and isinstance(found.get("AIGC"), str):
        return _parse(found["AIGC"]) if found["AIGC"] != text else None
    return found if isinstance(found, dict) else None


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:60]
