from __future__ import annotations

import base64
import gzip
import json

import pytest
from conftest import encoded, photo
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from zhentu.client import Answer, AnswerReason, ScreenUploads, Unscreened
from zhentu.client.client import AsyncClient
from zhentu.errors import BodyTooLarge, PictureTruncated, Unauthenticated, UnsupportedFormat, UsageError
from zhentu.types import Action, Listing, OnError

PICTURE = encoded(photo(), "PNG")
BASE64 = base64.b64encode(PICTURE).decode()
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 2000
JXL = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 2000
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


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
            "unscreened": request.headers.get("x-zhentu-unscreened"),
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
    body = app(client, harmless=("text/plain",)).post("/upload", files=files, data={"listing_id": "L1"}).json()
    assert body == {
        "action": "label",
        "records": "r1",
        "unscreened": None,
        "screenings": 1,
        "files": {"photo": len(PICTURE), "note": 4},
    }
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


class ReadsPngOnly(FakeClient):
    """Says of anything else what the gate says."""

    async def screen(self, picture: bytes, *, name: str, listing: Listing) -> Answer:
        if not picture.startswith(b"\x89PNG"):
            raise UnsupportedFormat("not a picture zhentu reads")
        return await super().screen(picture, name=name, listing=listing)


@pytest.mark.parametrize("kind", ["", "image/heic", "application/octet-stream", "text/plain", "application/zip"])
@pytest.mark.parametrize("payload", [HEIC, JXL, SVG, b"II+\0" + b"\0" * 60, b"PK\3\4" + b"\0" * 60, b"%PDF-1.7\n\xff"])
def test_a_file_that_cannot_be_screened_is_refused_or_marked_and_never_allowed(payload: bytes, kind: str) -> None:
    files = {"photo": ("IMG_1.dat", payload, kind)}
    assert app(ReadsPngOnly()).post("/upload", files=files).status_code == 415
    marked = app(ReadsPngOnly(), unscreened=Unscreened.MARK).post("/upload", files=files).json()
    assert (marked["action"], marked["unscreened"], marked["screenings"]) == ("unscreened", "IMG_1.dat", 0)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--X\r\nContent-Type: image/png\r\n\r\n" + PICTURE + b"\r\n--X--\r\n", "multipart/mixed; boundary=X"),
        (gzip.compress(b"anything"), "application/gzip"),
        (SVG, "image/svg+xml"),
        (json.dumps({"icon": SVG.decode()}).encode(), "application/json"),
        (json.dumps({"photo": base64.b64encode(HEIC).decode()}).encode(), "application/json"),
        (HEIC, ""),
    ],
)
def test_a_body_that_cannot_be_taken_apart_is_refused(body: bytes, kind: str) -> None:
    assert app(ReadsPngOnly()).post("/upload", content=body, headers={"content-type": kind}).status_code == 415


def test_a_compressed_body_is_refused() -> None:
    headers = {"content-type": "image/png", "content-encoding": "gzip"}
    assert app(FakeClient()).post("/upload", content=gzip.compress(PICTURE), headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"goods": {"photos": [f"data:image/png;base64,{BASE64}"]}}).encode(), "application/json"),
        (json.dumps({"photo": "look: " + BASE64}).replace("/", "\\/").encode(), "application/vnd.shop+json"),
        ("\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76)).encode(), "text/plain"),
        (PICTURE, "text/plain"),
        (PICTURE, "application/x-www-form-urlencoded"),
        (PICTURE, ""),
        (
            f'--X\r\nContent-Disposition: form-data; name="p"\r\n\r\n{BASE64}\r\n--X--\r\n'.encode(),
            "multipart/form-data; boundary=X",
        ),
        (
            b'--X\r\nContent-Disposition: form-data; name="p"\r\n\r\n' + PICTURE + b"\r\n--X--\r\n",
            "multipart/form-data; boundary=X",
        ),
        (
            b"--X\r\nContent-Disposition: form-data; name=\"p\"; filename*=utf-8''%E6%9D%AF.png\r\n\r\n"
            + PICTURE
            + b"\r\n--X--\r\n",
            "multipart/form-data; boundary=X",
        ),
    ],
)
def test_a_picture_is_found_wherever_it_stands(body: bytes, kind: str) -> None:
    client = FakeClient(Action.BLOCK)
    assert app(client).post("/upload", content=body, headers={"content-type": kind}).status_code == 422
    assert [picture for picture, _, _ in client.asked] == [PICTURE]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"title": "BMW model, 1:18", "note": "GIF89a is a format"}', "application/json"),
        (b"title=BM+and+II*&token=" + b"A1b2" * 40, "application/x-www-form-urlencoded"),
        ("标题：陶瓷杯".encode(), "text/plain"),
        (b"", ""),
    ],
)
def test_words_pass_without_any_mark(body: bytes, kind: str) -> None:
    answer = app(FakeClient()).post("/upload", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["action"], answer.json()["records"]) == (200, None, None)


def test_what_on_error_let_through_is_not_called_allowed() -> None:
    class Away(FakeClient):
        async def screen(self, picture: bytes, *, name: str, listing: Listing) -> Answer:
            return Answer(Action.ALLOW, assumed=True)

    body = app(Away()).post("/upload", files={"photo": ("a.png", PICTURE, "image/png")}).json()
    assert body["action"] == "deferred"


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (UsageError("title: String should have at most 2000 characters"), 400, "title"),
        (BodyTooLarge("the request has more than 60 MiB; send less at once"), 413, "60 MiB"),
        (Unauthenticated("no such key"), 503, "try again later"),
    ],
)
def test_the_uploader_is_told_what_the_uploader_can_mend(error: Exception, status: int, detail: str) -> None:
    answer = app(FakeClient(error=error)).post("/upload", files={"photo": ("a.png", PICTURE, "image/png")})
    assert (answer.status_code, answer.json()["code"]) == (status, error.code)
    assert detail in answer.json()["detail"]


def test_a_lone_surrogate_in_a_listings_text_is_the_callers_fault() -> None:
    """The real client refuses it before anything is sent, so no gate is needed."""
    client = AsyncClient("http://127.0.0.1:9", on_error=OnError.BLOCK)
    served = app(client, listing_of=lambda fields: Listing(title=json.loads(fields["title"])))
    files, form = {"photo": ("a.png", PICTURE, "image/png")}, {"title": '"\\ud800 cup"'}
    answer = served.post("/upload", files=files, data=form)
    assert (answer.status_code, answer.json()["code"]) == (400, "usage_error")
    assert "title: has a lone surrogate" in answer.json()["detail"]
    assert "无法保存的字符" in answer.json()["zh"]
