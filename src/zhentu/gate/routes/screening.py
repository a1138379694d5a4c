"""`POST /v1/screen`: one picture, one decision."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from zhentu import errors
from zhentu.gate.context import Screens, TheGate, hold_of, unless_gone
from zhentu.gate.forms import own_query
from zhentu.gate.problems import documented
from zhentu.gate.requests import ListingFields, UrlSubmission, read_submission
from zhentu.gate.rules import MOST_REFERENCES
from zhentu.gate.schemas import ScreenAnswer, answer_of

router = APIRouter(tags=["screening"])

READING_ERRORS = (
    errors.PictureEmpty,
    errors.PictureTooLarge,
    errors.PictureTooSmall,
    errors.PictureTooSlow,
    errors.PictureTruncated,
    errors.PictureCorrupt,
    errors.UnsupportedFormat,
)
PICTURE_ERRORS = (*READING_ERRORS, errors.FetchError, errors.FetchRefused)
TROUBLES = (errors.Overloaded, errors.DeadlineExceeded, errors.StoreError, errors.ModelError)
BINARY = {"type": "string", "format": "binary"}

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key answers with the same record; for another request it is an error.",
    ),
]


def listing_properties() -> dict[str, Any]:
    """The listing's fields as they stand in a form."""
    fields = ListingFields.model_json_schema()["properties"]
    fields["declared_attributes"] = {
        "type": "string",
        "description": 'JSON object of texts, e.g. {"material": "cotton"}',
    }
    fields["declared_ai"] = {"type": "boolean", "description": fields["declared_ai"]["description"]}
    return dict(fields)


_FORM = {
    "type": "object",
    "properties": {
        "picture": BINARY | {"description": "The picture's bytes; or give `url`."},
        "url": {"type": "string", "description": "Where the picture is, instead of its bytes."},
        "reference": {"type": "array", "items": BINARY, "maxItems": MOST_REFERENCES},
        "reference_url": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_REFERENCES},
        **listing_properties(),
    },
    "required": ["picture"],
    "additionalProperties": False,
}
_RAW = {"schema": BINARY}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _FORM},
        "image/*": _RAW,
        "application/octet-stream": _RAW,
        "application/json": {"schema": UrlSubmission.model_json_schema()},
    },
}


@router.post(
    "/v1/screen",
    dependencies=[Depends(own_query)],
    responses=documented(*PICTURE_ERRORS, *TROUBLES, errors.IdempotencyConflict),
    openapi_extra={"requestBody": _BODY},
)
async def screen(
    request: Request, response: Response, gate: TheGate, caller: Screens, idempotency_key: IdempotencyKey = None
) -> ScreenAnswer:
    """Screen one picture before it is published, and obey the `action` of the answer.

    Send the picture as a form (`multipart/form-data`), as the raw body (`image/*`, the listing's fields in the query),
    or as a URL (`application/json`). The same picture, listing and versions give the same record.
    """
    gate.capacity.admit()  # a full gate refuses before it reads the body
    submission = await read_submission(request, gate.settings.decode.max_bytes)
    work = gate.service.screen(submission, caller.tenant, caller.key_id, idempotency_key or "", hold=hold_of(request))
    screened = await unless_gone(request, work)
    record = screened.record
    state = request.state
    state.record, state.action = record.record_id, record.decision.applied.value
    state.replayed, state.wait_ms = screened.replayed or None, round(screened.waited_s * 1e3, 1)
    if screened.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return answer_of(record)
