"""What a listing left out, and why: rows and skipped entries together are everything in a source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SkipReason(StrEnum):
    """Why an entry of a source has no row."""

    NOT_A_PICTURE = "not_a_picture"  # its first bytes are not a picture's
    UNKNOWN_SUFFIX = "unknown_suffix"  # its content was not read, as the scan was told
    EXCLUDED = "excluded"  # by --exclude
    FOLDER_MARKER = "folder_marker"  # an object that stands for a folder
    DUPLICATE = "duplicate"  # named before, in the same listing
    EMPTY_ROW = "empty_row"  # of a sheet
    BAD_ROW = "bad_row"  # of a sheet: it names no picture or cannot be understood
    UNREADABLE_FOLDER = "unreadable_folder"
    SYMLINK_LOOP = "symlink_loop"  # a link back to a folder above it, or to itself
    LINKED_FOLDER = "linked_folder"  # a link to another folder, which must be named as a source to be scanned
    SPECIAL_FILE = "special_file"  # a pipe, socket or device
    OWN_OUTPUT = "own_output"  # zhentu wrote it itself, and nobody changed it since: a labelled copy, a heatmap

    @property
    def may_hide_pictures(self) -> bool:
        """Whether visible pictures may be behind it, unscreened."""
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
    """One entry that was left out.

    path: as it stands in the source; undecodable bytes as surrogates (PEP 383).  detail: in words, "" if the reason
    says it all.  line: its line in the sheet, 0 elsewhere.  source: the number of its source, from 0.
    """

    path: str
    reason: SkipReason
    detail: str = ""
    line: int = 0
    source: int = 0
