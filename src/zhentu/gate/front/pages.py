"""`/` of an open gate: the page, its check of one picture, and the samples. Checked pictures are forgotten at once."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from zhentu.bootstrap.labels import label_spec
from zhentu.detect.heatmap import overlay
from zhentu.errors import NotFound, Overloaded, Unauthenticated, UsageError, ZhentuError
from zhentu.gate.budget import Hold
from zhentu.gate.capacity import Ticket
from zhentu.gate.context import Gate, TheGate, hold_of, unless_gone
from zhentu.gate.forms import own_query
from zhentu.gate.front.views import TRIAL_CODE, render_page, render_problem, render_tried
from zhentu.gate.labelling import STATES, labelled_answer
from zhentu.gate.requests import Submission, read_picture, read_submission
from zhentu.intake.extent import check_together
from zhentu.review.web.desk import Desk, desk_of, own_site
from zhentu.review.web.files import static_file
from zhentu.review.web.language import LANGUAGES, language_of
from zhentu.review.web.pages import begun
from zhentu.samples import read_sample
from zhentu.thumbnails import as_jpeg, within
from zhentu.types import Inquiry, PictureFile, Record

router = APIRouter(include_in_schema=False)

_SIDE = 880  # pixels of the longer side of what is shown
_QUALITY = 86
# The page shows pictures from its own memory (blob:); nothing else is loaded from, or sent to, any other origin.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def visited(request: Request, gate: TheGate, desk: Annotated[Desk, Depends(desk_of)]) -> Gate:
    """The gate, for a browser that was let in with the token that `zhentu serve` printed.

    Raises NotFound behind keys, Unauthenticated without the token, Forbidden for other sites' pages.
    """
    if not gate.settings.gate.open:
        raise NotFound("the front page exists in open mode only; with keys, sign in at /review")
    own_site(request)
    desk.reviewer(request)
    return gate


OpenGate = Annotated[Gate, Depends(visited)]


@dataclass(frozen=True, slots=True)
class Tried:
    """One picture checked: the record (kept nowhere) and the JPEGs to show, by "picture" and by category."""

    record: Record
    shown: dict[str, bytes]


@router.get("/", response_class=HTMLResponse)
def front(request: Request, gate: TheGate, desk: Annotated[Desk, Depends(desk_of)], token: str = "") -> Response:
    """The page. token: from the address that `zhentu serve` prints; it becomes a cookie and leaves the address.

    With keys, or without the token, a redirect to the sign-in page.
    """
    if not gate.settings.gate.open:
        return RedirectResponse("/review", 303, HEADERS)
    if token:
        return begun(request, desk, token, "/")
    try:
        desk.reviewer(request)
    except Unauthenticated:
        return RedirectResponse("/review/sign-in", 303, HEADERS)
    page = render_page(gate.settings, gate.active.screener.policy, language_of(request))
    return HTMLResponse(page, 200, HEADERS)


@router.post("/try", dependencies=[Depends(own_query)])
async def try_one(request: Request, gate: OpenGate) -> JSONResponse:
    """Check one picture as `POST /v1/screen` does, and keep nothing.

    The answer: `html` by language, `images` (JPEG in base64) by "picture" and category, `action`, `state` (of the label
    owed, or null), and `source` (base64), the bytes of a picture that was given as a URL.
    """
    try:
        gate.capacity.admit()
        submission = await read_submission(request, gate.settings.decode.max_bytes)
        inquiry = await _inquiry(gate, submission, hold_of(request))
        tried = await unless_gone(request, gate.capacity.run(lambda ticket: _tried(gate, inquiry, ticket)))
    except ZhentuError as error:
        request.state.code = error.code
        retry = {"Retry-After": str(max(round(error.retry_after_s), 1))} if isinstance(error, Overloaded) else {}
        return JSONResponse({"html": render_problem(error)}, error.http_status, HEADERS | retry)
    request.state.action = tried.record.decision.applied.value
    html = {
        each: render_tried(tried.record, submission, str(request.base_url), gate.settings, each) for each in LANGUAGES
    }
    state = tried.record.decision.ai_state
    answer = {
        "html": html,
        "images": {name: _base64(jpeg) for name, jpeg in tried.shown.items()},
        "action": tried.record.decision.applied.value,
        "state": None if state is None else int(state),
        "source": _base64(inquiry.file.payload) if submission.payload is None else None,
    }
    return JSONResponse(answer, headers=HEADERS)


@router.post("/try/label", dependencies=[Depends(own_query)])
async def label_one(request: Request, gate: OpenGate) -> Response:
    """Label one picture as `POST /v1/labels/apply` does; a gate without a platform's code writes TRIAL_CODE."""
    gate.capacity.admit()
    payload, given = await read_picture(request, gate.settings.decode.max_bytes, frozenset({"state"}))
    if given.get("state") not in STATES:
        raise UsageError("state: must be 1 (is), 2 (possibly) or 3 (suspected)")
    code = gate.settings.label.propagator or TRIAL_CODE
    spec = label_spec(gate.settings.changed({"label.propagator": code}), "")
    return await labelled_answer(request, gate, payload, STATES[given["state"]], spec, "")


@router.get("/try/samples/{name}")
def sample(gate: OpenGate, name: str) -> Response:
    """A sample picture."""
    try:
        content = read_sample(name)
    except KeyError as error:
        raise NotFound(f"no sample {name[:80]!r}") from error
    return Response(content, media_type="image/jpeg", headers=HEADERS | {"Cache-Control": "private, max-age=3600"})


@router.get("/try/static/{name}")
def static(name: str) -> Response:
    """The page's script and style."""
    return static_file("zhentu.gate.front", name, HEADERS)


async def _inquiry(gate: Gate, submission: Submission, hold: Hold) -> Inquiry:
    """The inquiry, with the bytes behind every URL. Raises FetchError, FetchRefused, PictureError, Overloaded."""
    file = None if submission.payload is None else PictureFile.of(submission.payload)
    sent = tuple(PictureFile.of(each) for each in submission.references)
    file, fetched = await gate.service.fetched(submission, file, "", hold)
    check_together([each.payload for each in (*sent, *fetched)], gate.settings.decode.max_pixels)
    return Inquiry(file, submission.name, submission.listing, (*sent, *fetched), with_heatmaps=True)


def _tried(gate: Gate, inquiry: Inquiry, ticket: Ticket) -> Tried:
    screening = gate.active.screener.screen(inquiry)
    ticket.check()
    record, picture = screening.record, screening.picture
    shown = {"picture": as_jpeg(within(picture.rgb, _SIDE), _QUALITY)}
    for heatmap in record.verdict.heatmaps if record.verdict else ():
        shown[heatmap.category.value] = as_jpeg(overlay(picture, heatmap, _SIDE), _QUALITY)
    return Tried(record, shown)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
