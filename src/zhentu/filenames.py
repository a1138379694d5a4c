r"""Names of files as text that every format can hold, and back: a name is bytes, and need not be UTF-8.

Python reads a byte that is no UTF-8 as a lone surrogate (PEP 383), which neither UTF-8 nor JSON nor a database takes.
Here such a byte is written out as \udcXX, XX being the byte. A name that holds these very characters has its backslash
written out in the same way, so each text means one name.
"""

from __future__ import annotations

import re

_BYTE = re.compile("[\udc80-\udcff]")
_LOOKS_WRITTEN_OUT = re.compile(r"\\(?=udc(?:[89a-f][0-9a-f]|5c))")
_WRITTEN_OUT = re.compile(r"\\udc([89a-f][0-9a-f]|5c)")


def name_to_text(name: str) -> str:
    """A path or URL as text that can be written anywhere; `text_to_name` undoes it."""
    if "\\" in name:
        name = _LOOKS_WRITTEN_OUT.sub(r"\\udc5c", name)
    return _BYTE.sub(lambda found: f"\\udc{ord(found.group()) & 0xFF:02x}", name)


def text_to_name(text: str) -> str:
    """The path or URL that was written so."""
    if "\\" not in text:
        return text
    return _WRITTEN_OUT.sub(lambda found: "\\" if found[1] == "5c" else chr(0xDC00 + int(found[1], 16)), text)
