"""An ASGI middleware: the picture parts of any upload are screened before the application sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zhentu.client.answer import Answer
from zhentu.client.client import AsyncClient
from zhentu.errors import DependencyError, PictureError, ZhentuError
from zhentu.types import Action, Listing

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_OWN = b"x-zhentu-"
_NO_FIELDS: dict[str, str] = {}
ListingOf = Callable[[Mapping[str, str]], Listing]


@dataclass(frozen=True, slots=True)
class Screening:
    """A picture part and what the gate says of it. In the application: `request.state.zhentu`, one for each part."""

    field: str
    name: str
    answer: Answer


class ScreenUploads:
    """Refuses, marks or passes on uploads.

    A blocked or broken picture is refused with 422 and its reasons. Others pass on with the headers `X-Zhentu-Action`
    (the gravest action) and `X-Zhentu-Records`, and `request.state.zhentu` holds every Screening; such headers sent by
    a caller are removed. paths: prefixes of routes to screen; listing_of: form fields -> Listing.
    max_bytes: of a request's body, which is held in memory.
    """

    def __init__(
        self,
        app: ASGIApp,
        client: AsyncClient,
        paths: tuple[str, ...] = ("/",),
        listing_of: ListingOf | None = None,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._app, self._client, self._paths = app, client, paths
        self._listing_of = listing_of or (lambda fields: Listing(listing_id=fields.get("listing_id", "")))
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope = dict(scope) | {"headers": [each for each in scope["headers"] if not each[0].lower().startswith(_OWN)]}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        screened = kind == "multipart/form-data" or kind.startswith("image/") or kind == "application/octet-stream"
        if scope["method"] not in ("POST", "PUT", "PATCH") or not screened or not scope["path"].startswith(self._paths):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive, self._max_bytes)
        if body is None:
            refusal = _refusal(413, "body_too_large", f"at most {self._max_bytes / 2**20:.0f} MiB at once", ())
            await refusal(scope, receive, send)
            return
        try:
            screenings = await self._screenings(scope, body, kind)
        except (HTTPException, MultiPartException) as error:
            told = getattr(error, "detail", None) or getattr(error, "message", "the form cannot be read")
            await _refusal(400, "usage_error", str(told), ())(scope, receive, send)
            return
        except ZhentuError as error:
            status = error.http_status if isinstance(error, PictureError) else 503
            told = str(error) if isinstance(error, PictureError) else "pictures cannot be checked now; try again later"
            await _refusal(status, error.code, told, ())(scope, receive, send)
            return
        blocked = [each for each in screenings if each.answer.action is Action.BLOCK]
        if blocked:
            await _refusal(422, "picture_blocked", "a picture may not be published", blocked)(scope, receive, send)
            return
        await self._app(_marked(scope, screenings), _replayed(body, receive), send)

    async def _screenings(self, scope: Scope, body: bytes, kind: str) -> list[Screening]:
        if kind != "multipart/form-data":
            parts, fields = [("", "", body)] if _is_picture(body, kind) else [], _NO_FIELDS
        else:
            parts, fields = await _parts(scope, body)
        listing = self._listing_of(fields)
        answers = await asyncio.gather(
            *(self._client.screen(payload, name=name, listing=listing) for _, name, payload in parts)
        )
        return [Screening(field, name, answer) for (field, name, _), answer in zip(parts, answers, strict=True)]


async def _parts(scope: Scope, body: bytes) -> tuple[list[tuple[str, str, bytes]], dict[str, str]]:
    parts, fields = [], {}
    async with Request(scope, _replayed(body, None)).form() as form:
        for field, part in form.multi_items():
            if not isinstance(part, UploadFile):
                fields[field] = part
                continue
            payload = await part.read()
            if _is_picture(payload, (part.content_type or "").lower()):
                parts.append((field, part.filename or "", payload))
    return parts, fields


def _is_picture(payload: bytes, kind: str) -> bool:
    # What it says it is, or what it is: a picture sent as text/plain is one, too.
    return kind.startswith("image/") or payload.startswith(_MAGIC) or payload[8:12] in (b"WEBP", b"avif", b"avis")


async def _whole(receive: Receive, most: int) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DependencyError("the uploader has gone")
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, then: Receive | None) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await then() if then else {"type": "http.disconnect"}

    return receive


def _marked(scope: Scope, screenings: list[Screening]) -> Scope:
    actions = [each.answer.action for each in screenings]
    gravest = max(actions, key=lambda each: each.severity, default=Action.ALLOW)
    records = ",".join(each.answer.record_id for each in screenings if each.answer.record_id)
    headers = [(b"x-zhentu-action", gravest.value.encode()), (b"x-zhentu-records", records.encode())]
    state = dict(scope.get("state") or {}) | {"zhentu": tuple(screenings)}
    return dict(scope) | {"headers": [*scope["headers"], *headers], "state": state}


def _refusal(status: int, code: str, detail: str, blocked: list[Screening] | tuple[()]) -> JSONResponse:
    pictures = [
        {
            "field": each.field,
            "name": each.name,
            "record_id": each.answer.record_id,
            "reasons": [{"code": why.code, "en": why.en, "zh": why.zh} for why in each.answer.reasons],
        }
        for each in blocked
    ]
    content = {"type": f"urn:zhentu:{code}", "status": status, "code": code, "detail": detail, "pictures": pictures}
    return JSONResponse(content, status, media_type="application/problem+json")
