"""What a listing met and did not take, and why: rows and skipped together are everything a source holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SkipReason(StrEnum):
    """Why something of a source has no row."""

    NOT_A_PICTURE = "not_a_picture"  # its first bytes are none of a picture
    UNKNOWN_SUFFIX = "unknown_suffix"  # nobody looked inside, as the scan was told
    EXCLUDED = "excluded"  # by --exclude
    FOLDER_MARKER = "folder_marker"  # an object that stands for a folder
    DUPLICATE = "duplicate"  # named before, in the same listing
    EMPTY_ROW = "empty_row"  # of a sheet
    BAD_ROW = "bad_row"  # of a sheet: it names no picture, or says what cannot be understood
    UNREADABLE_FOLDER = "unreadable_folder"
    SYMLINK_LOOP = "symlink_loop"  # a link back to a folder above it, or to itself
    LINKED_FOLDER = "linked_folder"  # a link to another folder; a source of its own where it is meant
    SPECIAL_FILE = "special_file"  # a pipe, socket or device

    @property
    def may_hide_pictures(self) -> bool:
        """Whether pictures that somebody sees may lie behind it, unscreened."""
        return self in _HIDING

    @property
    def incomplete(self) -> bool:
        """Whether a part of the source could not be listed at all."""
        return self is SkipReason.UNREADABLE_FOLDER


_HIDING = (
    SkipReason.UNKNOWN_SUFFIX,
    SkipReason.BAD_ROW,
    SkipReason.UNREADABLE_FOLDER,
    SkipReason.LINKED_FOLDER,
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """One thing that was not taken.

    path: as it stands in the source; undecodable bytes as surrogates (PEP 383).  detail: in words, "" when the reason
    says all.  line: its line in the sheet, 0 elsewhere.  source: the number of its source, from 0.
    """

    path: str
    reason: SkipReason
    detail: str = ""
    line: int = 0
    source: int = 0
