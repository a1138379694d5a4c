"""An ASGI middleware: the picture parts of any upload are screened before the application sees them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zhentu.client.answer import Answer
from zhentu.client.client import AsyncClient
from zhentu.client.parts import Part, Parts, parts_of_body, parts_of_form
from zhentu.errors import BodyTooLarge, DependencyError, PictureError, UnsupportedFormat, UsageError, ZhentuError
from zhentu.types import Action, Listing

_OWN = b"x-zhentu-"
_BODILESS = ("GET", "HEAD", "OPTIONS", "TRACE")
_UNSCREENED_ZH = "文件无法检测。请上传 JPEG、PNG、WebP、AVIF、GIF、BMP 或 TIFF 图片。"
ListingOf = Callable[[Mapping[str, str]], Listing]


class Unscreened(StrEnum):
    """What happens to an upload with parts that cannot be screened."""

    REFUSE = "refuse"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Screening:
    """A picture part and what the gate says of it. In the application: `request.state.zhentu`, one for each part.

    sha256: of the picture's bytes. Names are the uploader's own and may come twice; find the part by its bytes.
    """

    field: str
    name: str
    answer: Answer
    sha256: str = ""


class ScreenUploads:
    """Refuses, marks or passes on uploads; on guarded paths nothing is called allowed unless it was screened.

    A blocked or broken picture is refused with 422 and its reasons. Others pass on with the headers `X-Zhentu-Action`
    (the gravest action; `deferred` if `on_error` let a picture through) and `X-Zhentu-Records`, and
    `request.state.zhentu` holds every Screening; such headers sent by a caller are removed. An upload without pictures
    and files gets no header.
    paths: prefixes of routes to screen; listing_of: form fields -> Listing.  max_bytes: of a request's body, which is
    held in memory.
    unscreened: what looks like a picture or a file and cannot be screened (SVG, archives, other multipart kinds)
    is refused with 415, or with `Unscreened.MARK` passes on with `X-Zhentu-Action: unscreened`, and
    `X-Zhentu-Unscreened` names the parts.  harmless: content types of files that may pass, e.g. "text/plain"; a
    picture sent under one of them is still screened.
    """

    def __init__(  # noqa: PLR0913 - options of a middleware are keywords
        self,
        app: ASGIApp,
        client: AsyncClient,
        paths: tuple[str, ...] = ("/",),
        listing_of: ListingOf | None = None,
        max_bytes: int = 64 * 1024 * 1024,
        unscreened: Unscreened = Unscreened.REFUSE,
        harmless: tuple[str, ...] = (),
    ) -> None:
        self._app, self._client, self._paths = app, client, paths
        self._listing_of = listing_of or (lambda fields: Listing(listing_id=fields.get("listing_id", "")))
        self._max_bytes, self._unscreened = max_bytes, unscreened
        self._harmless = frozenset(each.lower() for each in harmless)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0911 - one return for each answer
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope) | {"headers": [each for each in scope["headers"] if not each[0].lower().startswith(_OWN)]}
        if scope["method"] in _BODILESS or not scope["path"].startswith(self._paths):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive, self._max_bytes)
        if body is None:
            refusal = _refusal(
                413, "body_too_large", f"at most {self._max_bytes / 2**20:.0f} MiB at once", (), "一次上传的内容过多。"
            )
            await refusal(scope, receive, send)
            return
        try:
            parts = await self._parts(scope, body)
            screenings, unscreened = await self._screenings(parts)
        except (HTTPException, MultiPartException) as error:
            told = getattr(error, "detail", None) or getattr(error, "message", "the form cannot be read")
            await _refusal(400, UsageError.code, str(told), (), "表单无法读取。")(scope, receive, send)
            return
        except ZhentuError as error:
            await _told(error)(scope, receive, send)
            return
        blocked = [each for each in screenings if each.answer.action is Action.BLOCK]
        if blocked:
            await _refusal(422, "picture_blocked", "a picture may not be published", blocked, "图片不得发布。")(
                scope, receive, send
            )
            return
        if unscreened and self._unscreened is Unscreened.REFUSE:
            told = (
                f"{', '.join(unscreened)[:200]}: cannot be screened; send JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF files"
            )
            await _refusal(415, "unscreened", told, (), _UNSCREENED_ZH)(scope, receive, send)
            return
        await self._app(_marked(scope, screenings, unscreened), _replayed(body, receive), send)

    async def _parts(self, scope: Scope, body: bytes) -> Parts:
        headers = Headers(scope=scope)
        if not body:
            return Parts()
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            return Parts(unscreened=("the compressed body",))
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await parts_of_form(scope, _replayed(body, None), self._harmless)
        return await asyncio.to_thread(parts_of_body, body, kind, self._harmless)

    async def _screenings(self, parts: Parts) -> tuple[list[Screening], list[str]]:
        """The gate's answer for every picture, and the parts that it cannot screen."""
        listing = self._listing_of(parts.fields)
        found = await asyncio.gather(*(self._screening(each, listing) for each in parts.pictures))
        named = [each for each in found if isinstance(each, str)]
        return [each for each in found if isinstance(each, Screening)], [*parts.unscreened, *named]

    async def _screening(self, part: Part, listing: Listing) -> Screening | str:
        try:
            answer = await self._client.screen(part.payload, name=part.name, listing=listing)
        except UnsupportedFormat:
            if self._unscreened is Unscreened.REFUSE:
                raise
            return part.name or part.field or "the body"
        return Screening(part.field, part.name, answer, hashlib.sha256(part.payload).hexdigest())


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


def _marked(scope: Scope, screenings: list[Screening], unscreened: list[str]) -> Scope:
    headers: list[tuple[bytes, bytes]] = []
    if screenings:
        gravest = max((each.answer.action for each in screenings), key=lambda each: each.severity)
        records = ",".join(each.answer.record_id for each in screenings if each.answer.record_id)
        # What `on_error` let through was not screened yet, and is not called allowed.
        deferred = any(each.answer.assumed or each.answer.deferred for each in screenings)
        action = "deferred" if deferred and gravest is Action.ALLOW else gravest.value
        headers = [(b"x-zhentu-action", action.encode()), (b"x-zhentu-records", records.encode())]
    if unscreened:
        names = ",".join(unscreened).encode("ascii", "replace").replace(b"\r", b"?").replace(b"\n", b"?")
        marks = [(b"x-zhentu-action", b"unscreened"), (b"x-zhentu-unscreened", names[:1000])]
        headers = [*marks, *headers[1:]]
    state = dict(scope.get("state") or {}) | {"zhentu": tuple(screenings), "zhentu_unscreened": tuple(unscreened)}
    return dict(scope) | {"headers": [*scope["headers"], *headers], "state": state}


def _told(error: ZhentuError) -> JSONResponse:
    """What an uploader is told of an error: what is wrong with picture or text; of anything else, to come back."""
    # Subclasses of UsageError are about the key, the rate or the gate, which no uploader can mend.
    if isinstance(error, PictureError | BodyTooLarge) or error.code == UsageError.code:
        detail = str(error).encode("utf-8", "backslashreplace").decode()
        return _refusal(error.http_status, error.code, detail, (), error.zh)
    return _refusal(
        503, error.code, "pictures cannot be checked now; try again later", (), "图片暂时无法检测，请稍后重试。"
    )


def _refusal(status: int, code: str, detail: str, blocked: list[Screening] | tuple[()], zh: str = "") -> JSONResponse:
    pictures = [
        {
            "field": each.field,
            "name": each.name,
            "record_id": each.answer.record_id,
            "reasons": [{"code": why.code, "en": why.en, "zh": why.zh} for why in each.answer.reasons],
        }
        for each in blocked
    ]
    content = {
        "type": f"urn:zhentu:{code}",
        "status": status,
        "code": code,
        "detail": detail,
        "zh": zh,
        "pictures": pictures,
    }
    return JSONResponse(content, status, media_type="application/problem+json")
