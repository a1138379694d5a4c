"""Labels and notices over HTTP: verify, apply, and the notice of a record."""

from __future__ import annotations

import asyncio
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, Field

from zhentu.errors import PictureTooLarge, UsageError
from zhentu.gate.app import Gate
from zhentu.gate.schemas import ProblemAnswer
from zhentu.intake.credentials import MIME_TYPES
from zhentu.intake.metadata import read_metadata
from zhentu.labelling import label_spec, read_anchors
from zhentu.mark import Labelled, label_picture
from zhentu.mark.metadata import existing_labels
from zhentu.mark.notices import LANGUAGES, Audience, Notice, Notices
from zhentu.mark.spec import Outcome
from zhentu.mark.verify import Verified, verify_labels
from zhentu.types import AiState, Mode, Record

router = APIRouter(tags=["labels"])

_PROBLEMS: dict[int | str, dict[str, object]] = {
    400: {"model": ProblemAnswer, "description": "usage_error"},
    413: {"model": ProblemAnswer, "description": "picture_too_large"},
    415: {"model": ProblemAnswer, "description": "unsupported_format"},
    422: {"model": ProblemAnswer, "description": "the picture is broken, or label_unwritable: its format takes none"},
    503: {"model": ProblemAnswer, "description": "overloaded, see Retry-After"},
}
_UNKNOWN: dict[int | str, dict[str, object]] = {404: {"model": ProblemAnswer, "description": "record_not_found"}}
Picture = Annotated[UploadFile, File(description="The picture's bytes.")]


class ImplicitAnswer(BaseModel):
    """An AIGC label found in the file."""

    location: str = Field(examples=["XMP TC260:AIGC"])
    state: int | None = Field(description="1 is, 2 possibly, 3 suspected; null when the value is none of them.")
    fields: dict[str, str]


class ExplicitAnswer(BaseModel):
    """A visible label by zhentu, told of in metadata and found in the pixels."""

    text: list[str]
    state: int
    box: tuple[int, int, int, int] = Field(description="left, top, width, height in pixels of the upright picture")
    ink_ratio: float = Field(description="height of its capital letters as a share of the shortest side")


class CredentialAnswer(BaseModel):
    """The C2PA manifest, validated offline."""

    state: str = Field(examples=["valid"], description="trusted, valid, invalid, unreadable or unchecked")
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


@router.post("/v1/labels/verify", responses=_PROBLEMS)
async def verify(request: Request, picture: Picture) -> VerifyAnswer:
    """Say whether a picture carries conforming labels; nothing is stored."""
    gate = _gate(request)
    payload = await _payload(gate, picture)
    anchors = read_anchors(gate.settings)
    found = await gate.capacity.run(lambda: verify_labels(payload, gate.screener.limits, anchors))
    return _verify_answer(found)


@router.post(
    "/v1/labels/apply",
    responses={**_PROBLEMS, **_UNKNOWN, 200: {"content": {"image/*": {}}, "description": "The labelled picture."}},
    response_class=Response,
)
async def apply(
    request: Request,
    picture: Picture,
    record_id: Annotated[str, Form(description="Label as this record says; its id becomes the PropagateID.")] = "",
    state: Annotated[Literal["", "1", "2", "3"], Form(description="Without a record: is, possibly, suspected.")] = "",
    visible: Annotated[bool | None, Form(description="Paint the visible label; default: label_visible.")] = None,
) -> Response:
    """Give the picture back with its labels; one that owes none, or has them, comes back byte for byte.

    The Zhentu-Label-* headers say what was done.
    """
    gate = _gate(request)
    if bool(record_id) == bool(state):
        raise UsageError("give either record_id or state (1 is, 2 possibly, 3 suspected)")
    payload = await _payload(gate, picture)
    record = await asyncio.to_thread(gate.store.get, record_id) if record_id else None
    settings = gate.settings if visible is None else gate.settings.model_copy(update={"label_visible": visible})
    spec = label_spec(settings, record_id)

    def work() -> Labelled | None:
        owed = AiState(int(state)) if record is None else _owed(record, payload)
        return None if owed is None else label_picture(payload, owed, spec, gate.screener.limits)

    labelled = await gate.capacity.run(work)
    if labelled is None:
        headers = {"Zhentu-Label-State": "none", "Zhentu-Label-Changed": "false"}
        form = record.picture_format if record else ""
        return Response(payload, headers=headers, media_type=_mime(form))
    request.state.record_id = record_id or None
    return Response(labelled.payload, headers=_headers(labelled), media_type=_mime(labelled.format))


@router.get("/v1/records/{record_id}/notice", responses=_UNKNOWN, response_model=RecordNotice)
async def notice(
    request: Request,
    record_id: str,
    audience: Annotated[Audience, Query(description="Who reads it.")] = Audience.BUYER,
    language: Annotated[Literal["zh", "en", "both"], Query()] = "both",
    form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
) -> RecordNotice | Response:
    """The notice to show around a picture, as JSON or as an embeddable HTML fragment (empty when none is needed)."""
    gate = _gate(request)
    record = await asyncio.to_thread(gate.store.get, record_id)
    texts = await asyncio.to_thread(_notices, gate.settings.notices_dir, gate.settings.appeal_url)
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


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


async def _payload(gate: Gate, picture: UploadFile) -> bytes:
    most = gate.settings.max_bytes
    if (picture.size or 0) > most:
        raise PictureTooLarge(f"the picture has more than {most / 2**20:.0f} MiB; send it smaller")
    return await picture.read()


def _owed(record: Record, payload: bytes) -> AiState | None:
    """The state a record calls for. Raises UsageError unless it is about this picture, labelled or not."""
    if hashlib.sha256(payload).hexdigest() != record.picture_sha256:
        labels = existing_labels(read_metadata(payload, record.picture_format))
        if all(label.get("PropagateID") != record.record_id for label in labels):
            raise UsageError(f"record {record.record_id} is about another picture; send the picture that was screened")
    return record.decision.ai_state if record.decision.mode is Mode.ENFORCE else None


@lru_cache(maxsize=4)
def _notices(folder: Path | None, appeal_url: str) -> Notices:
    return Notices.load(folder, appeal_url)


def _mime(form: str) -> str:
    return MIME_TYPES.get(form, "application/octet-stream")


def _headers(labelled: Labelled) -> dict[str, str]:
    headers = {
        "Zhentu-Label-State": str(int(labelled.state)),
        "Zhentu-Label-Changed": str(labelled.changed).lower(),
        "Zhentu-Label-Implicit": labelled.implicit.value,
        "Zhentu-Label-Visible": labelled.visible.value,
        "Zhentu-Label-C2PA": labelled.credentials.value,
    }
    if labelled.badge and labelled.visible is not Outcome.OFF:
        headers["Zhentu-Label-Box"] = ",".join(map(str, labelled.badge.box))
    if labelled.notes:
        headers["Zhentu-Label-Notes"] = "; ".join(labelled.notes).encode("ascii", "replace").decode()[:1000]
    return headers


def _verify_answer(found: Verified) -> VerifyAnswer:
    badge, credential = found.explicit, found.credential
    return VerifyAnswer(
        sha256=found.sha256,
        format=found.format,
        conforms=found.conforms,
        implicit=[
            ImplicitAnswer(
                location=label.location, state=int(label.state) if label.state else None, fields=dict(label.fields)
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
