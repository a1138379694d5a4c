"""Record <-> JSON text, exactly. pydantic's TypeAdapter does the work; heatmaps are never stored."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import uuid_utils
from pydantic import TypeAdapter

from zhentu.types import Record


def new_record_id() -> str:
    """UUIDv7 (RFC 9562): sorts by time, unique without coordination."""
    return str(uuid_utils.uuid7())


def encode_record(record: Record) -> str:
    """One JSON object, UTF-8 safe text."""
    if record.verdict is not None and record.verdict.heatmaps:
        record = replace(record, verdict=replace(record.verdict, heatmaps=()))
    return _adapter().dump_json(record).decode()


def decode_record(text: str | bytes) -> Record:
    """The record a text stands for. Raises pydantic.ValidationError when it is none."""
    return _adapter().validate_json(text)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
