"""IPTC-IIM datasets of record 2: captions, credits and instructions, with the bytes they stand in.

JPEG stores them in Photoshop's image resources; they are found by their own marker anywhere in a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zhentu.intake.wording import narrow_text

_DATASET = re.compile(rb"\x1c\x02(.)(..)", re.S)
_NAMES = {
    5: "ObjectName",
    25: "Keywords",
    40: "SpecialInstructions",
    65: "OriginatingProgram",
    80: "By-line",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "CopyrightNotice",
    120: "Caption-Abstract",
    122: "Writer-Editor",
}
_MAX_FIELDS, _MAX_TEXT = 64, 32_767  # a longer dataset has an extended length, which nobody writes for text


@dataclass(frozen=True, slots=True)
class IptcField:
    """A dataset that holds text. start, end: the byte range of its value in the block."""

    name: str
    text: str
    start: int
    end: int


def parse_iptc(block: bytes) -> Iterator[IptcField]:
    """The text datasets of a block, at most 64; one that claims to end beyond the block is cut."""
    position, count = 0, 0
    while count < _MAX_FIELDS and (match := _DATASET.search(block, position)):
        length = int.from_bytes(match.group(2), "big")
        start, end = match.end(), min(match.end() + length, len(block))
        position = end if length <= _MAX_TEXT else match.end()
        name = _NAMES.get(match.group(1)[0])
        if name is not None and length <= _MAX_TEXT:
            count += 1
            yield IptcField(name, narrow_text(block[start:end]), start, end)
