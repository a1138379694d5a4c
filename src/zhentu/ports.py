"""What the straight line (`screen.py`) needs of a detector, of banks and of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from zhentu.detect.entries import ModelEntry
from zhentu.types import BankHit, Comparison, Fingerprint, Listing, ModelRef, Picture, Threshold, Verdict


class DetectorPort(Protocol):
    """What screening needs of a detector."""

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry: thresholds travel with the model."""
        ...

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture."""
        ...


class BankPort(Protocol):
    """Banks of known pictures; several threads may ask at once."""

    def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
        """Every entry the picture matches, surest first; empty if it is in no bank. Raises StoreError."""
        ...


@runtime_checkable
class VersionedBank(Protocol):
    """A bank that says when its entries changed: decisions made before are then not repeated from the store."""

    @property
    def version(self) -> str:
        """A text that differs after every change; cheap, because it is read for every picture."""
        ...


class ComparerPort(Protocol):
    """Compares a picture with pictures known to show the real goods."""

    @property
    def model(self) -> ModelRef:
        """Which model compares."""
        ...

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The limits that ship with it, of basis REFERENCE."""
        ...

    def compare(self, picture: Picture, references: Sequence[Picture]) -> Comparison:
        """Compare with at least one reference."""
        ...
