"""Record <-> JSON text, exactly. pydantic's TypeAdapter does the work; heatmaps are never stored."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zhentu.errors import RecordUnreadable
from zhentu.types import Basis, Category, ReasonKind, Record
from zhentu.validation import problems_of


def encode_record(record: Record) -> str:
    """One JSON object, UTF-8 safe text."""
    if record.verdict is not None and record.verdict.heatmaps:
        record = replace(record, verdict=replace(record.verdict, heatmaps=()))
    return _adapter().dump_json(record).decode()


def decode_record(text: str | bytes) -> Record:
    """Parse a record of this release or the one before. Raises RecordUnreadable."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error
    upgraded = _from_first_release(text)
    try:
        if upgraded is not None:
            return _adapter().validate_json(json.dumps(upgraded))
    except ValidationError as error:
        first = error
    raise RecordUnreadable("; ".join(["a record in the store cannot be read", *problems_of(first)])) from first


def _from_first_release(text: str | bytes) -> dict[str, Any] | None:
    """A record as zhentu 0.1 wrote it, its texts turned into fields; None if it is no such record.

    In 0.1 thresholds were a mapping {"cutout_artifact.review": 0.9}, and reasons had only a code and a label.
    """
    try:
        record = json.loads(text)
        decision = record["decision"]
        decision["thresholds"] = [_threshold(key, value) for key, value in decision["thresholds"].items()]
        for reason in decision["reasons"]:
            reason["kind"] = _kind(reason["code"])
            reason["category"] = reason.pop("label", None)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(record)


def _threshold(key: str, value: float) -> dict[str, object]:
    category, _, action = key.partition(".")
    if category == "comparison":
        compared = {"category": Category.MATERIAL_MISMATCH.value, "basis": Basis.REFERENCE.value}
        return {"action": action, "value": value, **compared}
    return {"category": category, "action": action, "value": value}


def _kind(code: str) -> str:
    whole = {
        "mode_off": ReasonKind.MODE_OFF,
        "nothing_found": ReasonKind.NOTHING_FOUND,
        "screening_deferred": ReasonKind.DEFERRED,
    }
    return whole[code].value if code in whole else code.partition("_")[0]


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
