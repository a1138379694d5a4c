from __future__ import annotations

import pytest
from conftest import encoded, photo
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from zhentu.client import Answer, AnswerReason, ScreenUploads
from zhentu.errors import PictureTruncated, Unauthenticated
from zhentu.types import Action, Listing

PICTURE = encoded(photo(), "PNG")


class FakeClient:
    def __init__(self, action: Action = Action.ALLOW, error: Exception | None = None) -> None:
        self.action, self.error, self.asked = action, error, []

    async def screen(self, picture: bytes, *, name: str, listing: Listing) -> Answer:
        if self.error:
            raise self.error
        self.asked.append((picture, name, listing))
        return Answer(self.action, "r1", reasons=(AnswerReason("c", "why", "为何"),))


async def upload(request: Request) -> JSONResponse:
    form = await request.form()
    return JSONResponse(
        {
            "action": request.headers.get("x-zhentu-action"),
            "records": request.headers.get("x-zhentu-records"),
            "screenings": len(getattr(request.state, "zhentu", ())),
            "files": {key: len(await part.read()) for key, part in form.multi_items() if not isinstance(part, str)},
        }
    )


def app(client: FakeClient, **options: object) -> TestClient:
    inner = Starlette(routes=[Route("/upload", upload, methods=["POST"]), Route("/other", upload, methods=["POST"])])
    return TestClient(ScreenUploads(inner, client, **options))


def test_an_allowed_picture_passes_on_untouched_and_marked() -> None:
    client = FakeClient(Action.LABEL)
    files = {"photo": ("a.png", PICTURE, "image/png"), "note": ("n.txt", b"text", "text/plain")}
    body = app(client).post("/upload", files=files, data={"listing_id": "L1"}).json()
    assert body == {"action": "label", "records": "r1", "screenings": 1, "files": {"photo": len(PICTURE), "note": 4}}
    assert client.asked == [(PICTURE, "a.png", Listing("L1"))]


def test_a_blocked_picture_never_reaches_the_application() -> None:
    answer = app(FakeClient(Action.BLOCK)).post("/upload", files={"photo": ("a.png", PICTURE, "image/png")})
    assert (answer.status_code, answer.json()["code"]) == (422, "picture_blocked")
    assert answer.json()["pictures"][0]["reasons"] == [{"code": "c", "en": "why", "zh": "为何"}]


def test_a_picture_in_disguise_is_screened_too() -> None:
    client = FakeClient()
    app(client).post("/upload", files={"doc": ("a.txt", PICTURE, "text/plain")})
    app(client).post("/upload", content=PICTURE, headers={"content-type": "application/octet-stream"})
    assert len(client.asked) == 2


def test_marks_sent_by_the_caller_are_removed() -> None:
    headers = {"X-Zhentu-Action": "allow", "X-Zhentu-Records": "forged"}
    body = app(FakeClient(), paths=("/upload",)).post("/other", files={"a": ("a", b"x")}, headers=headers).json()
    assert (body["action"], body["records"], body["screenings"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(PictureTruncated("cut"), 422, "picture_truncated"), (Unauthenticated("secret words"), 503, "unauthenticated")],
)
def test_a_picture_that_cannot_be_judged_is_refused(error: Exception, status: int, code: str) -> None:
    answer = app(FakeClient(error=error)).post("/upload", files={"photo": ("a.png", PICTURE, "image/png")})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret words" not in answer.text


def test_what_is_too_large_or_no_form_is_refused() -> None:
    small = app(FakeClient(), max_bytes=100).post("/upload", files={"photo": ("a.png", PICTURE, "image/png")})
    assert small.status_code == 413
    broken = app(FakeClient()).post("/upload", content=b"x", headers={"content-type": "multipart/form-data"})
    assert broken.status_code == 400
