"""What banks hold and what matches say, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from zhentu.banks.hashing import COLOUR_BYTES, HASH_BYTES, MATCH_DISTANCE
from zhentu.errors import UsageError
from zhentu.sampling import Purpose, place_of
from zhentu.types import LEAST_QUALITY, BankKind, Fingerprint

COLOUR_LIMIT = 0.15  # recompressed and resized copies stay below 0.05, recoloured goods are above 0.25


class MatchKind(StrEnum):
    """How far a match can be trusted, from strongest to weakest."""

    EXACT = "exact"  # the same bytes (sha256)
    NEAR = "near"  # PDQ, and the colours agree: a plain copy
    ALTERED = "altered"  # PDQ, and the colours differ: an altered copy; brand originals only
    UNCONFIRMED = "unconfirmed"  # PDQ alone, because the entry came without colours: never grounds for a block


@dataclass(frozen=True, slots=True)
class Bank:
    """One bank. Raises UsageError, with every problem, when a value is out of range.

    threshold: at most this many PDQ bits may differ, 0..31.  colour_limit: largest colour distance of a near match,
    0..1. enabled_ratio: share of pictures looked up in the bank, 0..1, for a staged roll-out; stable per picture.
    brand: whose originals it holds.  owners: sellers who may use them.
    """

    name: str
    kind: BankKind
    threshold: int = MATCH_DISTANCE
    colour_limit: float = COLOUR_LIMIT
    enabled_ratio: float = 1.0
    brand: str = ""
    owners: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        problems = []
        if not self.name or len(self.name) > 64 or not self.name.replace("-", "").replace("_", "").isalnum():
            problems.append(f"name {self.name!r}: use 1 to 64 letters, digits, '-' and '_'")
        if not 0 <= self.threshold <= MATCH_DISTANCE:
            problems.append(f"threshold {self.threshold}: must be 0 to {MATCH_DISTANCE} bits")
        for name, value in (("colour_limit", self.colour_limit), ("enabled_ratio", self.enabled_ratio)):
            if not 0 <= value <= 1:
                problems.append(f"{name} {value}: must be 0 to 1")
        if self.kind is BankKind.BRAND_ORIGINAL and not self.brand:
            problems.append("brand: a bank of brand originals must say whose they are")
        if problems:
            raise UsageError("bank: " + "; ".join(problems))

    def asks(self, sha256: str) -> bool:
        """Whether the picture is looked up in this bank, by its enabled ratio; the same answer every time."""
        return place_of(sha256, Purpose.BANK, self.name) < self.enabled_ratio


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be added: a sha256, a PDQ, or both. Raises UsageError if it can match nothing or is malformed.

    pdq: 32 bytes or empty.  colour: 48 bytes or empty; without it a near match stays unconfirmed.
    source: where it comes from, e.g. "review", "appeal", "import:partner.csv".  expires_at: None = never.
    """

    sha256: str = ""
    pdq: bytes = b""
    quality: int = 100
    colour: bytes = b""
    source: str = ""
    seller_id: str = ""
    note: str = ""
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.sha256 and (len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef")):
            problems.append(f"sha256 {self.sha256[:80]!r}: must be 64 lowercase hex digits")
        if self.pdq and len(self.pdq) != HASH_BYTES:
            problems.append(f"pdq: must be {HASH_BYTES} bytes (64 hex digits), got {len(self.pdq)}")
        if self.colour and len(self.colour) != COLOUR_BYTES:
            problems.append(f"colour: must be {COLOUR_BYTES} bytes, got {len(self.colour)}")
        if self.pdq and self.quality < LEAST_QUALITY and not self.sha256:
            problems.append(
                f"pdq quality {self.quality}: below {LEAST_QUALITY} a hash matches at random; give a sha256 instead"
            )
        if not self.sha256 and not self.pdq:
            problems.append("give a sha256, a pdq hash, or both")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            problems.append(f"expires_at {self.expires_at.isoformat()}: give a time zone, e.g. +00:00")
        if problems:
            raise UsageError("bank entry: " + "; ".join(problems))

    @staticmethod
    def of(
        fingerprint: Fingerprint,
        source: str,
        seller_id: str = "",
        note: str = "",
        expires_at: datetime | None = None,
    ) -> NewEntry:
        """The entry of a picture, without its look if the quality is too low to compare."""
        look = fingerprint.usable
        return NewEntry(
            fingerprint.sha256,
            fingerprint.pdq if look else b"",
            fingerprint.quality,
            fingerprint.colour if look else b"",
            source,
            seller_id,
            note,
            expires_at,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry in the store."""

    entry_id: int
    bank: str
    entry: NewEntry
    created_at: datetime
    created_by: str
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One entry that a picture matches.

    distance: PDQ bits that differ, 0 for an exact match.  colour_distance: 0..1, None if it could not be measured.
    """

    bank: Bank
    entry_id: int
    how: MatchKind
    distance: int
    colour_distance: float | None = None


@dataclass(frozen=True, slots=True)
class BankState:
    """What a snapshot holds, for people: entries in force by bank, and bytes of memory."""

    revision: int
    byte_count: int
    entries: Mapping[str, int] = field(default_factory=dict)
