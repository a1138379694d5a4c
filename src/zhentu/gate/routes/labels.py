"""Labels and notices: verify, apply, the labelled picture of a record, and the notice around it."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from zhentu import errors
from zhentu.bootstrap.labels import label_spec
from zhentu.decide.policy import cleared
from zhentu.errors import UsageError
from zhentu.gate.auth import Caller
from zhentu.gate.context import Gate, Screens, TheGate, unless_gone
from zhentu.gate.forms import own_query
from zhentu.gate.labelling import STATES, labelled_answer
from zhentu.gate.problems import documented
from zhentu.gate.requests import read_picture
from zhentu.gate.routes.banks import TheDesk
from zhentu.gate.routes.records import RecordId
from zhentu.gate.routes.screening import BINARY, READING_ERRORS
from zhentu.intake.metadata import read_metadata
from zhentu.mark import LabelSpec
from zhentu.mark.metadata import existing_labels
from zhentu.mark.notices import LANGUAGES, Audience, Notice, Notices
from zhentu.mark.verify import Verified, verify_labels
from zhentu.review.items import ReviewOutcome
from zhentu.review.web.desk import Desk
from zhentu.types import AiState, Mode, Record

router = APIRouter(tags=["labels"])

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_BROKEN = (*READING_ERRORS, errors.Overloaded, errors.DeadlineExceeded)
_LABELLED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The labelled picture; the Zhentu-Label-* headers say what was done.",
        "content": {"image/*": {"schema": BINARY}},
    }
}
_NOTICE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The notice; with `format=html` a fragment.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
}
_FIELDS: dict[str, Any] = {
    "record_id": {"type": "string", "description": "Label as this record says; its id becomes the PropagateID."},
    "state": {"type": "string", "enum": list(STATES), "description": "Without a record: is, possibly, suspected."},
    "visible": {"type": "boolean", "description": "Paint the visible label; default: setting `label.visible`."},
}


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    form = {
        "type": "object",
        "properties": {"picture": BINARY | {"description": "The picture's bytes."}, **fields},
        "required": ["picture"],
        "additionalProperties": False,
    }
    raw = {"schema": BINARY}
    content = {"multipart/form-data": {"schema": form}, "image/*": raw, "application/octet-stream": raw}
    return {"requestBody": {"required": True, "content": content}}


class ImplicitAnswer(BaseModel):
    """An AIGC label found in the file."""

    location: str = Field(examples=["XMP TC260:AIGC"])
    state: int | None = Field(description="1 is, 2 possibly, 3 suspected; null when the value is none of them.")
    fields: dict[str, str] = Field(description="Empty for a label that cannot be parsed, and for producers' own marks.")
    quote: str = Field(description="How it stands there, cut short.")


class ExplicitAnswer(BaseModel):
    """A visible label by zhentu, noted in the metadata and found in the pixels."""

    text: list[str]
    state: int
    box: tuple[int, int, int, int] = Field(description="left, top, width, height in pixels of the upright picture")
    ink_ratio: float = Field(description="height of its capital letters as a share of the shortest side")


class CredentialAnswer(BaseModel):
    """The C2PA manifest, validated offline."""

    state: str = Field(
        examples=["valid"],
        description="trusted, valid, holds, invalid, unreadable or unchecked: the three answers in one",
    )
    integrity: str = Field(examples=["holds"], description="Do signature and hashes hold: holds, broken, unknown.")
    certificate: str = Field(
        examples=["valid"],
        description="Was the certificate good when it signed: valid, outside its dates, unfit, revoked, unknown.",
    )
    trust: str = Field(examples=["listed"], description="Is the signer on a list: listed, unlisted, not asked.")
    source_type: str
    signer: str
    problems: list[str]


class VerifyAnswer(BaseModel):
    """What labels a picture carries, and what is wrong with them."""

    sha256: str
    format: str
    conforms: bool
    implicit: list[ImplicitAnswer]
    implicit_problems: list[str]
    explicit: ExplicitAnswer | None
    explicit_problems: list[str]
    c2pa: CredentialAnswer | None


class NoticeText(BaseModel):
    """The notice in one language."""

    language: str = Field(examples=["zh-Hans"], description="BCP 47")
    heading: str
    lines: list[str]
    found: list[str] = Field(description="For sellers: what was found.")
    rules: list[str] = Field(description="For sellers: which rule.")
    appeal: str = Field(description="For sellers: how to appeal.")
    appeal_url: str
    html: str = Field(description="The same as an embeddable fragment.")


class RecordNotice(BaseModel):
    """What to show around the picture of a record."""

    record_id: str
    audience: Audience
    needed: bool
    state: int | None = Field(description="1 is, 2 possibly, 3 suspected; null when no AI label is owed.")
    notices: list[NoticeText]


@router.post(
    "/v1/labels/verify",
    dependencies=[Depends(own_query)],
    responses=documented(*_BROKEN),
    openapi_extra=_body({}),
)
async def verify(request: Request, gate: TheGate, caller: Screens) -> VerifyAnswer:
    """Say whether a picture carries conforming labels; nothing is stored."""
    gate.capacity.admit()
    payload, _ = await read_picture(request, gate.settings.decode.max_bytes, frozenset())
    using = gate.active.screener
    work = gate.capacity.run(
        lambda _: verify_labels(payload, using.limits, using.trust_lists, using.generators, using.decoder)
    )
    found = await unless_gone(request, work)
    return _verify_answer(found)


@router.post(
    "/v1/labels/apply",
    dependencies=[Depends(own_query)],
    response_class=Response,
    responses=_LABELLED | documented(*_BROKEN, errors.LabelUnwritable, errors.RecordNotFound, errors.DependencyError),
    openapi_extra=_body(_FIELDS),
)
async def apply(request: Request, gate: TheGate, desk: TheDesk, caller: Screens) -> Response:
    """Return the picture with its labels; one that needs none, or already has them, comes back byte for byte."""
    gate.capacity.admit()
    payload, given = await read_picture(request, gate.settings.decode.max_bytes, frozenset(_FIELDS))
    record_id, state = given.get("record_id", ""), given.get("state", "")
    if bool(record_id) == bool(state) or (state and state not in STATES):
        raise UsageError("give either record_id or state (1 is, 2 possibly, 3 suspected)")
    visible = given.get("visible", "").lower()
    if visible and visible not in _FLAGS:
        raise UsageError(f"visible: {visible[:40]!r} is neither true nor false")
    record = await _as_it_stands(record_id, gate, desk, caller) if record_id else None
    owed = STATES[state] if record is None else _owed(record, payload)
    spec = _spec(gate, record_id, _FLAGS.get(visible))
    return await labelled_answer(request, gate, payload, owed, spec, record.picture_format if record else "")


@router.get(
    "/v1/records/{record_id}/labelled",
    response_class=Response,
    responses=_LABELLED
    | documented(*_BROKEN, errors.LabelUnwritable, errors.RecordNotFound, errors.NotFound, errors.DependencyError),
)
async def labelled(request: Request, record_id: RecordId, gate: TheGate, desk: TheDesk, caller: Screens) -> Response:
    """The picture of a record with its labels. Needs the picture to be kept (setting `store.pictures`)."""
    gate.capacity.admit()
    record = await _as_it_stands(record_id, gate, desk, caller)
    payload = await asyncio.to_thread(gate.pictures.get, record.picture_sha256, record.tenant)
    spec = _spec(gate, record_id, None)
    return await labelled_answer(request, gate, payload, _owed(record, payload), spec, record.picture_format)


@router.get(
    "/v1/records/{record_id}/notice",
    responses=_NOTICE | documented(errors.RecordNotFound),
    response_model=RecordNotice,
)
async def notice(
    record_id: RecordId,
    gate: TheGate,
    desk: TheDesk,
    caller: Screens,
    audience: Annotated[Audience, Query(description="Who reads it.")] = Audience.BUYER,
    language: Annotated[Literal["zh", "en", "both"], Query()] = "both",
    form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
) -> RecordNotice | Response:
    """The notice to show around a picture, as JSON or as an embeddable HTML fragment (empty when none is needed).

    Of a decision that a reviewer has overturned only what file and uploader say of AI themselves is left.
    """
    record = await _as_it_stands(record_id, gate, desk, caller)
    texts = await asyncio.to_thread(_notices, gate.settings.notices_dir, gate.settings.appeal.url)
    made = [texts.notice(record, audience, each) for each in LANGUAGES if language in (each, "both")]
    if form == "html":
        html = "\n".join(filter(None, (texts.html(each) for each in made)))
        return Response(html, media_type="text/html; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})
    return RecordNotice(
        record_id=record_id,
        audience=audience,
        needed=made[0].needed,
        state=int(made[0].state) if made[0].state else None,
        notices=[_notice_text(each, texts) for each in made],
    )


async def _as_it_stands(record_id: str, gate: Gate, desk: Desk, caller: Caller) -> Record:
    """A record; where a reviewer has overturned its decision, with what is left of that."""
    record = await asyncio.to_thread(gate.record, record_id, caller)
    decisions = await asyncio.to_thread(desk.queue.decisions_for, record.record_id)
    if not decisions or decisions[-1].outcome is not ReviewOutcome.OVERTURN:
        return record
    return replace(record, decision=cleared(record.decision, record.evidence))


def _spec(gate: Gate, record_id: str, visible: bool | None) -> LabelSpec:
    settings = gate.settings if visible is None else gate.settings.changed({"label.visible": visible})
    return label_spec(settings, record_id)


def _owed(record: Record, payload: bytes) -> AiState | None:
    """The label state that a record calls for. Raises UsageError unless it is about this picture, labelled or not."""
    if hashlib.sha256(payload).hexdigest() != record.picture_sha256:
        labels = existing_labels(read_metadata(payload, record.picture_format))
        if all(label.get("PropagateID") != record.record_id for label in labels):
            raise UsageError(f"record {record.record_id} is about another picture; send the picture that was screened")
    return record.decision.ai_state if record.decision.mode is Mode.ENFORCE else None


@lru_cache(maxsize=4)
def _notices(folder: Path | None, appeal_url: str) -> Notices:
    return Notices.load(folder, appeal_url)


def _verify_answer(found: Verified) -> VerifyAnswer:
    badge, credential = found.explicit, found.credential
    return VerifyAnswer(
        sha256=found.sha256,
        format=found.format,
        conforms=found.conforms,
        implicit=[
            ImplicitAnswer(
                location=label.location,
                state=int(label.state) if label.state else None,
                fields=dict(label.fields),
                quote=label.quote,
            )
            for label in found.implicit
        ],
        implicit_problems=list(found.implicit_problems),
        explicit=ExplicitAnswer(
            text=list(badge.lines), state=int(badge.state), box=badge.box, ink_ratio=round(badge.ratio, 4)
        )
        if badge
        else None,
        explicit_problems=list(found.explicit_problems),
        c2pa=CredentialAnswer(
            state=credential.state.value,
            integrity=credential.integrity.value,
            certificate=credential.validity.value,
            trust=credential.trust.value,
            source_type=credential.source_type,
            signer=credential.signer,
            problems=list(credential.problems),
        )
        if credential
        else None,
    )


def _notice_text(each: Notice, texts: Notices) -> NoticeText:
    return NoticeText(
        language=LANGUAGES[each.language],
        heading=each.heading,
        lines=list(each.lines),
        found=list(each.found),
        rules=list(each.rules),
        appeal=each.appeal,
        appeal_url=each.appeal_url,
        html=texts.html(each),
    )
