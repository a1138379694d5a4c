"""Stable samples: whether a thing belongs to a share of all things, with the same answer every time and everywhere."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Purpose(StrEnum):
    """What a sample is drawn for. Samples of different purposes are independent of each other."""

    ROLLOUT = "rollout"  # pictures on which an enforced policy is in force
    BANK = "bank"  # pictures that are looked up in a bank
    REVIEW = "review"  # pictures that passed and are reviewed anyway
    SECOND_OPINION = "second_opinion"  # decided items that somebody else reviews
    DEVELOPMENT = "development"  # near-duplicate groups kept from training


def place_of(key: str, purpose: Purpose, name: str = "") -> float:
    """The place of `key` in [0, 1), evenly spread; a share `s` holds the keys placed below `s`.

    A larger share contains every smaller one. name: tells samples of one purpose apart, e.g. a bank's name.
    """
    digest = hashlib.sha256(f"{purpose.value}\0{name}\0{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
