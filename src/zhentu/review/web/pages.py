"""`/review`: the page, its pictures and its actions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Depends, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from zhentu.banks.originals import original
from zhentu.decide.error_words import error_words
from zhentu.errors import (
    NotFound,
    PictureError,
    PictureNotFound,
    RecordNotFound,
    RecordUnreadable,
    Unauthenticated,
    UsageError,
    ZhentuError,
)
from zhentu.review.items import Filters, Order, QueueCounts, ReviewItem, ReviewOutcome
from zhentu.review.learning import statistics
from zhentu.review.sessions import Reviewer
from zhentu.review.statement import statement_of
from zhentu.review.web.desk import COOKIE, Desk, desk_of, own_site
from zhentu.review.web.files import static_file
from zhentu.review.web.language import changed_to, language_of
from zhentu.review.web.plots import daily_plot, precision_plot
from zhentu.review.web.unlike import Side, unlike
from zhentu.review.web.views import appeal_rows, brand_match, render, view_of
from zhentu.review.web.why import what_next
from zhentu.types import Category

_log = logging.getLogger(__name__)
router = APIRouter(prefix="/review", include_in_schema=False)

_THUMBNAIL = 220
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Here = Annotated[Desk, Depends(desk_of)]


def _filters(  # noqa: PLR0913 - each is a field of the page's form
    category: str = "",
    goods: str = "",
    seller: str = "",
    kind: str = "",
    group: str = "",
    job: str = "",
    tenant: str = "",
    score_from: str = "",
    score_to: str = "",
    order: str = "",
) -> Filters:
    """The filters of a query, as the page's form sends them, empty fields and all. Raises UsageError."""
    try:
        return Filters(
            category=category,
            goods=goods[:200],
            seller_id=seller[:200],
            kind=kind,
            group_id=group[:36],
            job_id=job[:36],
            tenant=tenant[:63],
            score_from=float(score_from or 0),
            score_to=float(score_to or 1),
            order=Order(order or Order.PRIORITY),
        )
    except ValueError as error:
        raise UsageError(f"filter: {error}") from error


Filtered = Annotated[Filters, Depends(_filters)]


class Verdict(BaseModel):
    """What the page sends for a decision. group: also decide every near-duplicate."""

    model_config = ConfigDict(extra="forbid")

    outcome: ReviewOutcome
    category: str = ""
    note: str = Field(default="", max_length=4000)
    group: bool = False


@router.get("", response_class=HTMLResponse)
def page(request: Request, desk: Here, filters: Filtered) -> Response:
    """The page itself; its script prefetches the next item."""
    try:
        reviewer = desk.reviewer(request)
    except Unauthenticated:
        return RedirectResponse("/review/sign-in", 303)
    counts = desk.queue.counts(filters)
    return _html(
        request, "page.html.j2", reviewer=reviewer, filters=filters, filtered=filters != Filters(), counts=counts
    )


@router.get("/sign-in", response_class=HTMLResponse)
def sign_in_page(request: Request, desk: Here, token: str = "") -> Response:
    """The sign-in page. token: of open mode, from the address that `zhentu serve` prints."""
    if token and desk.open_token:
        return begun(request, desk, token, "/review")
    return _html(request, "sign_in.html.j2", problem="")


@router.post("/sign-in")
def sign_in(request: Request, desk: Here, key: Annotated[str, Form()] = "") -> Response:
    """Exchange a key for a session."""
    own_site(request)
    return begun(request, desk, key, "/review")


def begun(request: Request, desk: Desk, key: str, target: str) -> Response:
    """A session for a key and a redirect to `target`; the sign-in page again if the key is wrong."""
    try:
        secret = desk.sign_in(key)
    except ZhentuError as error:
        return _html(request, "sign_in.html.j2", status=error.http_status, problem=_told(error, request))
    answer = RedirectResponse(target, 303, _HEADERS)
    # Behind a proxy that terminates TLS only the browser knows: it sends the page's origin with the form.
    secure = "https" in (request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme)
    answer.set_cookie(COOKIE, secret, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, desk: Here, csrf: Annotated[str, Form()] = "") -> Response:
    """End the session."""
    desk.changing(request, csrf)
    desk.sessions.sign_out(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/review/sign-in", 303, _HEADERS)
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.get("/language/{language}")
def speak(request: Request, language: str) -> Response:
    """Change the page's language and go back."""
    answer = changed_to(language, request)
    answer.headers.update(_HEADERS)
    return answer


@router.get("/items")
def items(request: Request, desk: Here, filters: Filtered, count: int = 2) -> JSONResponse:
    """Lease the next items and return them as fragments of the page."""
    reviewer = desk.reviewer(request)
    own_site(request)
    count = min(count, 4)
    claimed = desk.queue.claim(reviewer.name, filters, count)
    if len(claimed) < count:
        desk.filler.fill(steps=1)
        claimed = desk.queue.claim(reviewer.name, filters, count)
    language, fragments = language_of(request), list[dict[str, str]]()
    while claimed:
        fragments = [fragment for item in claimed if (fragment := _fragment(desk, item, language)) is not None]
        if len(fragments) == len(claimed):
            break
        claimed = desk.queue.claim(
            reviewer.name, filters, count
        )  # items that could not be shown are closed, and others take their place
    counts = desk.queue.counts(filters)
    answer = {
        "items": fragments,
        "empty": "" if fragments else _empty(desk, filters, counts, language),
        "open": counts.open,
        "appeals": counts.appeals_open,
        "overdue": counts.appeals_overdue,
    }
    # New records are taken in after the answer, so that nobody waits for their pictures to be decoded.
    return JSONResponse(answer, headers=_HEADERS, background=BackgroundTask(desk.filler.fill, steps=1))


def _fragment(desk: Desk, item: ReviewItem, language: str) -> dict[str, str] | None:
    """An item as the page needs it; None if it cannot be shown, and it is closed."""
    try:
        html = render("item.html.j2", language, view=view_of(desk, item))
    except RecordNotFound:
        desk.queue.close(item.item_id, "its record was pruned")
        return None
    except RecordUnreadable as error:
        _log.error("item %s cannot be shown: %s", item.item_id, error)
        desk.queue.close(item.item_id, str(error))
        return None
    return {"id": item.item_id, "group": item.group_id, "category": item.category, "html": html}


@router.post("/items/{item_id}/decide")
def decide(request: Request, desk: Here, item_id: str, verdict: Annotated[Verdict, Body()]) -> JSONResponse:
    """Decide one item, or its whole group."""
    reviewer = desk.changing(request)
    if verdict.group:
        group_id = desk.queue.item(item_id).group_id
        made = desk.queue.decide_group(group_id, reviewer.name, verdict.outcome, verdict.category, verdict.note)
    else:
        made = (desk.queue.decide(item_id, reviewer.name, verdict.outcome, verdict.category, verdict.note),)
    desk.banks.refresh()  # the seller's next upload of an allowed picture may come at once
    decided = [each.item_id for each in made]
    return JSONResponse({"decided": decided, "outcome": verdict.outcome.value}, headers=_HEADERS)


@router.post("/items/{item_id}/skip")
def skip(request: Request, desk: Here, item_id: str) -> JSONResponse:
    """Give an item back."""
    desk.queue.skip(item_id, desk.changing(request).name)
    return JSONResponse({"skipped": item_id}, headers=_HEADERS)


@router.post("/undo")
def undo(request: Request, desk: Here) -> JSONResponse:
    """Take the last decision back."""
    undone = desk.queue.undo(desk.changing(request).name)
    desk.banks.refresh()
    return JSONResponse({"undone": [each.item_id for each in undone]}, headers=_HEADERS)


@router.post("/renew")
def renew(request: Request, desk: Here) -> JSONResponse:
    """Renew the reviewer's leases."""
    return JSONResponse({"renewed": desk.queue.renew(desk.changing(request).name)}, headers=_HEADERS)


@router.get("/items/{item_id}/preview.jpg")
def preview(request: Request, desk: Here, item_id: str, small: bool = False) -> Response:
    """The picture, re-encoded."""
    item = _seen(request, desk, item_id)
    record = desk.store.get(item.record_id)
    key = (item.picture_sha256, "small" if small else "large")
    side = _THUMBNAIL if small else 0
    return _picture(lambda: desk.kept.get(key, lambda: desk.pictures.preview(record, side)))


@router.get("/items/{item_id}/heatmap.jpg")
def heatmap(request: Request, desk: Here, item_id: str, category: Category) -> Response:
    """A heatmap of where the model saw a category."""
    item = _seen(request, desk, item_id)
    record = desk.store.get(item.record_id)
    return _picture(
        lambda: desk.kept.get((item.picture_sha256, category.value), lambda: desk.pictures.heatmap(record, category))
    )


@router.get("/items/{item_id}/references/{sha256}.jpg")
def reference(request: Request, desk: Here, item_id: str, sha256: str) -> Response:
    """A photo that came with the appeal of this item."""
    _seen(request, desk, item_id)
    appeal = desk.appeals.for_item(item_id)
    if appeal is None or sha256 not in appeal.references:
        raise PictureNotFound(f"no reference picture {sha256!r} of this item")
    return _picture(lambda: desk.pictures.reference(sha256))


@router.get("/items/{item_id}/original.jpg")
def brand_original(request: Request, desk: Here, item_id: str) -> Response:
    """The brand original that this item's picture matches."""
    item = _seen(request, desk, item_id)
    match = brand_match(desk, desk.store.get(item.record_id))
    if match is None:
        raise PictureNotFound("this item matches no brand original")
    return _picture(lambda: original(desk.banks.store, match.entry_id))


@router.get("/items/{item_id}/unlike/{side}.jpg")
def unlike_places(request: Request, desk: Here, item_id: str, side: Side) -> Response:
    """The picture or its closest reference, warm where nothing similar was found in the other."""
    item = _seen(request, desk, item_id)
    key = (item.item_id, f"unlike {side.value}")
    return _picture(lambda: desk.kept.get(key, lambda: unlike(desk, item, side)))


@router.get("/items/{item_id}/statement.json")
def statement(request: Request, desk: Here, item_id: str) -> JSONResponse:
    """The statement of reasons of a decided item."""
    item = _seen(request, desk, item_id)
    return JSONResponse(statement_of(desk.store.get(item.record_id), desk.queue, desk.appeals), headers=_HEADERS)


@router.get("/appeals", response_class=HTMLResponse)
def appeals_page(request: Request, desk: Here) -> Response:
    """Every appeal, open ones first, in the order they are due."""
    reviewer = _signed_in(request, desk)
    if isinstance(reviewer, Response):
        return reviewer
    return _html(
        request,
        "appeals.html.j2",
        reviewer=reviewer,
        appeals=appeal_rows(desk, reviewer.name),
        counts=desk.queue.counts(),
    )


@router.get("/dashboard", response_class=HTMLResponse)
def dashboard(request: Request, desk: Here) -> Response:
    """Agreement, precision per model version, and how much was done."""
    reviewer = _signed_in(request, desk)
    if isinstance(reviewer, Response):
        return reviewer
    found = statistics(desk.store.database)
    plots = {"daily": daily_plot(found), "precision": precision_plot(found)}
    return _html(request, "dashboard.html.j2", reviewer=reviewer, found=found, plots=plots, counts=desk.queue.counts())


@router.get("/static/{name}")
def static(name: str) -> Response:
    """The page's script and style."""
    return static_file("zhentu.review.web", name, _HEADERS)


def _told(error: ZhentuError, request: Request) -> str:
    return error_words(error).zh if language_of(request) == "zh" else str(error)


def _seen(request: Request, desk: Desk, item_id: str) -> ReviewItem:
    desk.reviewer(request)
    own_site(request)
    return desk.queue.item(item_id)


def _signed_in(request: Request, desk: Desk) -> Reviewer | Response:
    try:
        return desk.reviewer(request)
    except Unauthenticated:
        return RedirectResponse("/review/sign-in", 303)


def _picture(make: Callable[[], bytes]) -> Response:
    """A picture, or a 404 that the page explains."""
    try:
        content = make()
    except (PictureNotFound, PictureError, NotFound) as error:
        return JSONResponse({"detail": str(error)}, 404, _HEADERS)
    caching = {"Cache-Control": "private, max-age=600"}
    return Response(content, media_type="image/jpeg", headers=_HEADERS | caching)


def _empty(desk: Desk, filters: Filters, counts: QueueCounts, language: str) -> str:
    """What is shown when no item comes."""
    everything = desk.queue.counts()
    screened = any(desk.store.counts_by_action().values())
    words = what_next(filters, counts, everything, screened)
    return render("empty.html.j2", language, next=words, filtered=filters != Filters())


def _html(request: Request, name: str, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(render(name, language_of(request), **values), status, _HEADERS)
