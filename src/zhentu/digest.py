"""One sha256 of several facts: the only place that defines how facts become bytes for a digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping


def digest_of(facts: object) -> str:
    """sha256 in hex of dataclasses, mappings, sequences, texts and numbers; order matters in sequences alone."""
    return hashlib.sha256(json.dumps(_plain(facts), sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be part of a digest")
