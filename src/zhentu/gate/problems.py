"""Errors as RFC 9457 problem details, and as OpenAPI knows them: every code has an example."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import JSONResponse

from zhentu import errors
from zhentu.decide.error_words import error_words, words_of_code
from zhentu.errors import Overloaded, RateLimited, Unauthenticated, UsageError, ZhentuError
from zhentu.gate.schemas import ProblemAnswer
from zhentu.printable import printable

UNSIGNED = "callback_url: this gate has no secret to sign callbacks with; set ZHENTU_WEBHOOK_SECRET"
MEDIA_TYPE = "application/problem+json"

_EXAMPLES: dict[type[ZhentuError], str] = {
    errors.UsageError: "goods: String should have at most 300 characters",
    errors.Unauthenticated: "an API key is needed: Authorization: Bearer zt_...; see `zhentu keys create`",
    errors.Forbidden: "this needs the role admin, and the key 'shop' has screen",
    errors.RecordNotFound: "no record '0190' in the store",
    errors.NotFound: "pictures are not kept here; set ZHENTU_STORE_PICTURES to keep them for heatmaps",
    errors.Misdirected: "host 'evil.example' is not one that this gate answers to; see gate.allowed_hosts",
    errors.HeadTooLarge: "request line and headers have more than 32 KiB; send less",
    errors.BodyTooSlow: "the body did not arrive within 30 s; send it faster or in smaller parts",
    errors.IdempotencyConflict: "this Idempotency-Key was used for another request; use a new key",
    errors.ReviewConflict: "this decision has already been appealed; an appeal is decided once",
    errors.BodyTooLarge: "the request has more than 60 MiB; send less at once",
    errors.PictureTooLarge: "the picture has 31.2 MiB, the limit is 30.0 MiB; send it smaller",
    errors.UnsupportedFormat: "not a picture zhentu reads; send one of JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF",
    errors.PictureEmpty: "the picture has zero bytes; upload it again",
    errors.PictureTruncated: "the file ends before the picture does; upload it again",
    errors.PictureCorrupt: "the picture cannot be decoded; export it again",
    errors.PictureTooSlow: "the picture could not be read within 5 s; export it again as a plain JPEG",
    errors.PictureTooSmall: "the picture is 5x5 pixels, the shorter side must have 32; send a larger one",
    errors.FetchError: "shop.example did not answer within 5 s",
    errors.FetchRefused: "shop.example has an address that is not public; zhentu does not go there",
    errors.LabelUnwritable: "zhentu paints labels into JPEG, PNG, WEBP, AVIF, GIF, TIFF, not into BMP; convert it",
    errors.DependencyError: "the C2PA key cannot sign; check c2pa.certificates, c2pa.key and c2pa.algorithm",
    errors.RateLimited: "key 'shop' may ask 100 times a second; try again in 0.2 s",
    errors.ConfigError: "policy.yaml: 1 problem\n  - mode: 'on' is not one of off, shadow, enforce",
    errors.ZhentuError: "an unexpected error; it is in the log under this request's id",
    errors.Overloaded: "66 pictures are waiting, the limit is 66; try again",
    errors.DeadlineExceeded: "not screened within 10 s; try again",
    errors.StoreError: "the record store cannot be reached",
    errors.ModelError: "the model failed; see the log",
}


_STATUSES = {
    each.code: each.http_status
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, ZhentuError)
}


def status_of(code: str) -> int:
    """The HTTP status that belongs to an error's code, for errors of which only the code was kept."""
    return _STATUSES.get(code, ZhentuError.http_status)


def problem_of(error: ZhentuError) -> ProblemAnswer:
    """What a caller is told of an error."""
    return ProblemAnswer(
        type=f"urn:zhentu:{error.code}",
        title=error.code.replace("_", " "),
        status=error.http_status,
        detail=printable(str(error), lines=True),  # it may quote text that UTF-8 cannot hold
        code=error.code,
        zh=printable(error_words(error).zh),
    )


def response_of(error: ZhentuError) -> JSONResponse:
    """The answer to a request that failed, with Retry-After or WWW-Authenticate where they are due."""
    headers = {}
    if isinstance(error, Overloaded | RateLimited):
        headers["Retry-After"] = str(max(math.ceil(error.retry_after_s), 1))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem_of(error).model_dump(), error.http_status, headers, media_type=MEDIA_TYPE)


def documented(*kinds: type[ZhentuError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for these errors and for those that any route may give, one example per code."""
    always: tuple[type[ZhentuError], ...] = (
        errors.UsageError,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.RateLimited,
        errors.ZhentuError,
    )
    by_status: dict[int | str, dict[str, Any]] = {}
    everything: tuple[type[ZhentuError], ...] = (
        *kinds,
        *always,
        errors.BodyTooLarge,
        errors.BodyTooSlow,
        errors.HeadTooLarge,
        errors.Misdirected,
        errors.Overloaded,
        errors.StoreError,
    )
    for kind in dict.fromkeys(everything):
        entry = by_status.setdefault(
            kind.http_status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}, "examples": {}}},
            },
        )
        entry["description"] = ", ".join(filter(None, (entry["description"], kind.code)))
        entry["content"][MEDIA_TYPE]["examples"][kind.code] = {
            "value": _example(kind).model_dump(),
        }
        if issubclass(kind, Overloaded | RateLimited):
            entry["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return by_status


def of_http(status: int, detail: str) -> ZhentuError:
    """An error of the framework itself (no such path, wrong method, unreadable body) as one of our own."""

    class HttpError(UsageError):
        """An error the framework raised, under its own status."""

        code = {404: "not_found", 405: "method_not_allowed"}.get(status, "usage_error")
        http_status = status

    return HttpError(detail)


def _example(kind: type[ZhentuError]) -> ProblemAnswer:
    return ProblemAnswer(
        type=f"urn:zhentu:{kind.code}",
        title=kind.code.replace("_", " "),
        status=kind.http_status,
        detail=_EXAMPLES[kind],
        code=kind.code,
        zh=words_of_code(kind.code).zh,
    )
