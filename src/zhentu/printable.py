"""Text from outside made safe for terminals and logs; `cells` does the same for spreadsheets.

Strangers choose a picture's name, a listing id or a URL. In a terminal an escape sequence in it moves the cursor; in a
log a line break forges a second line.
"""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, and marks that change the reading direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ANY_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KEY = re.compile(r"(zt_[0-9A-Za-z]{1,16}_)[0-9A-Za-z_-]+")


def printable(text: str, lines: bool = False) -> str:
    r"""`text` with control characters written out as \x1b and the like. lines: line breaks and tabs stay."""
    text = (_CONTROL if lines else _ANY_CONTROL).sub(_escaped, text)
    return _SURROGATE.sub(_escaped, text)


def hide_keys(text: str) -> str:
    """`text` without the secret of any API key in it; the public id stays."""
    return _KEY.sub(r"\1...", text) if "zt_" in text else text


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
