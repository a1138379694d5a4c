"""One error tree. Each error has a stable code, an HTTP status and an exit code.

ZhentuError                      internal_error           500  1
├── PictureError                 picture_error            422  1   (the picture is at fault)
│   ├── PictureEmpty             picture_empty            422  1
│   ├── PictureTooLarge          picture_too_large        413  1   (bytes, pixels, frames or side)
│   ├── PictureTooSmall          picture_too_small        422  1
│   ├── PictureTruncated         picture_truncated        422  1
│   ├── PictureCorrupt           picture_corrupt          422  1
│   ├── PictureTooSlow           picture_too_slow         422  1   (not read within its time or memory)
│   ├── UnsupportedFormat        unsupported_format       415  1
│   │   ├── SvgUnsupported       svg_unsupported          415  1   (a drawing, no pixels)
│   │   └── PdfUnsupported       pdf_unsupported          415  1   (a document)
│   └── LabelUnwritable          label_unwritable         422  1   (this format or file cannot take the label)
├── PictureNotFound              picture_not_found        404  1   (path missing or unreadable)
├── RecordUnreadable             record_unreadable        500  1   (a row that this release cannot read)
├── SourceUnreadable             source_unreadable        502  1   (the source failed, again and again)
├── UsageError                   usage_error              400  2   (the call is at fault)
│   ├── ConfigError              config_error             400  2   (every problem of a config at once)
│   ├── RecordNotFound           record_not_found         404  2
│   ├── NotFound                 not_found                404  2   (a key, job, message or heatmap)
│   ├── Unauthenticated          unauthenticated          401  2   (no key, or not a valid one)
│   ├── Forbidden                forbidden                403  2   (the key's role may not do this)
│   ├── Misdirected              host_not_allowed         421  2   (a Host that is not this gate's)
│   ├── HeadTooLarge             head_too_large           431  2   (request line and headers)
│   ├── BodyTooLarge             body_too_large           413  2   (counted while it streams in)
│   ├── BodyTooSlow              body_too_slow            408  2
│   ├── IdempotencyConflict      idempotency_conflict     409  2   (the key was used for another request)
│   ├── ReviewConflict           review_conflict          409  2   (another reviewer holds or decided the item)
│   ├── ClientGone               client_gone              499  2   (nobody is there to read an answer)
│   ├── RateLimited              rate_limited             429  2   (retry_after_s says when to come back)
│   └── FetchError               fetch_failed             422  2   (the URL did not give a picture)
│       └── FetchRefused         fetch_refused            422  2   (the URL leads where zhentu may not go)
└── DependencyError              dependency_unavailable   503  3   (something we need is not usable)
    ├── ModelError               model_unusable           503  3   (missing, wrong sha256, golden scores differ)
    ├── StoreError               store_unavailable        503  3
    └── Overloaded               overloaded               503  3   (retry_after_s says when to come back)
        └── DeadlineExceeded     deadline_exceeded        503  3   (accepted, and not screened in time)
"""

from __future__ import annotations

from typing import ClassVar, Self


class ZhentuError(Exception):
    """Root of the tree. `str(error)` names what is wrong, the limit, and what to do.

    zh: the same in Chinese, where a seller is told; empty where the general words of the code must do.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    zh: str = ""

    def in_chinese(self, zh: str) -> Self:
        """The same error, which says it in Chinese too."""
        self.zh = zh
        return self


class PictureError(ZhentuError):
    """The picture itself cannot be used."""

    code = "picture_error"
    http_status = 422


class RecordUnreadable(ZhentuError):
    """A record in the store that this release cannot read: damaged, or written by a later release."""

    code = "record_unreadable"


class PictureEmpty(PictureError):
    """Zero bytes."""

    code = "picture_empty"


class PictureTooLarge(PictureError):
    """More bytes, pixels, frames or a longer side than the limits allow."""

    code = "picture_too_large"
    http_status = 413


class PictureTooSmall(PictureError):
    """Too few pixels to judge."""

    code = "picture_too_small"


class PictureTruncated(PictureError):
    """The file ends before the picture does."""

    code = "picture_truncated"


class PictureCorrupt(PictureError):
    """The bytes claim a format but do not hold a picture of it."""

    code = "picture_corrupt"


class PictureTooSlow(PictureError):
    """Reading it took more time or memory than any honest picture needs; it must not be published unseen."""

    code = "picture_too_slow"


class UnsupportedFormat(PictureError):
    """Not one of the formats zhentu reads."""

    code = "unsupported_format"
    http_status = 415


class SvgUnsupported(UnsupportedFormat):
    """An SVG drawing."""

    code = "svg_unsupported"


class PdfUnsupported(UnsupportedFormat):
    """A PDF document."""

    code = "pdf_unsupported"


class LabelUnwritable(PictureError):
    """The label cannot be written into this file; the message says what can be done instead."""

    code = "label_unwritable"


class PictureNotFound(ZhentuError):
    """No readable file at that path."""

    code = "picture_not_found"
    http_status = 404


class SourceUnreadable(ZhentuError):
    """The source of a picture (object store, web server, disk) failed on every attempt, or refused for good."""

    code = "source_unreadable"
    http_status = 502


class UsageError(ZhentuError):
    """The call is at fault, not the picture."""

    code = "usage_error"
    http_status = 400
    exit_code = 2


class ConfigError(UsageError):
    """A configuration with one or more problems; `problems` holds one plain sentence each."""

    code = "config_error"

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  - {problem}" for problem in problems))


class RecordNotFound(UsageError):
    """No record with that identifier in the store."""

    code = "record_not_found"
    http_status = 404


class NotFound(UsageError):
    """No such key, job, message or heatmap."""

    code = "not_found"
    http_status = 404


class Unauthenticated(UsageError):
    """No API key, or one that is not valid."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(UsageError):
    """The API key is valid, but its role may not do this."""

    code = "forbidden"
    http_status = 403


class Misdirected(UsageError):
    """The request names a host that this gate does not answer for."""

    code = "host_not_allowed"
    http_status = 421


class HeadTooLarge(UsageError):
    """Request line and headers have more bytes than the limit."""

    code = "head_too_large"
    http_status = 431


class BodyTooLarge(UsageError):
    """The request has more bytes than the limit; none of it was used."""

    code = "body_too_large"
    http_status = 413


class BodyTooSlow(UsageError):
    """The request's body did not arrive in time."""

    code = "body_too_slow"
    http_status = 408


class IdempotencyConflict(UsageError):
    """The Idempotency-Key was used before, for another request."""

    code = "idempotency_conflict"
    http_status = 409


class ReviewConflict(UsageError):
    """The review item is held or was decided by somebody else, or may not be decided by this reviewer."""

    code = "review_conflict"
    http_status = 409


class ClientGone(UsageError):
    """The caller closed the connection before it was answered; its work was dropped."""

    code = "client_gone"
    http_status = 499


class RateLimited(UsageError):
    """The API key has asked for too much; come back after `retry_after_s` seconds."""

    code = "rate_limited"
    http_status = 429

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class FetchError(UsageError):
    """A URL that did not give a picture within its limits."""

    code = "fetch_failed"
    http_status = 422


class FetchRefused(FetchError):
    """A URL that leads where zhentu may not go: a scheme, port or address that is not allowed."""

    code = "fetch_refused"


class DependencyError(ZhentuError):
    """Something zhentu needs is missing or unreachable."""

    code = "dependency_unavailable"
    http_status = 503
    exit_code = 3


class ModelError(DependencyError):
    """The model file is missing, altered, or does not give its golden scores."""

    code = "model_unusable"


class StoreError(DependencyError):
    """The record store cannot be reached or written. passing: the same call may succeed later, e.g. after a restart."""

    code = "store_unavailable"

    def __init__(self, message: str, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, bool]]:
        return type(self), (str(self), self.passing)


class Overloaded(DependencyError):
    """Refused at once because the queue is full; come back after `retry_after_s` seconds."""

    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class DeadlineExceeded(Overloaded):
    """Accepted, but not screened within the deadline; nothing was kept."""

    code = "deadline_exceeded"
