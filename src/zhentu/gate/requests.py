"""What callers send (multipart, raw bytes or JSON), turned into submissions; every error in a call is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.datastructures import FormData, UploadFile

from zhentu.errors import PictureTooLarge, UsageError
from zhentu.gate.forms import (
    FIELDS,
    FORMS,
    check_known,
    form_of,
    json_of,
    kind_of,
    no_query,
    once,
    query_of,
    unsupported,
)
from zhentu.gate.rules import MOST_REFERENCES
from zhentu.types import Listing
from zhentu.validation import problems_of

Model = TypeVar("Model", bound=BaseModel)
_LONGEST_ARRAY, _DEEPEST = 64, 8

# PostgreSQL takes no NUL in text, and nobody needs one.
Text = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00]*$")]
Url = Annotated[str, StringConstraints(max_length=4000, pattern=r"^https?://[^\x00]+$")]
AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


class ListingFields(BaseModel):
    """What the platform knows about the goods; every field may be left out."""

    model_config = ConfigDict(extra="forbid")

    listing_id: Text = Field("", description="The platform's own id of the listing.", examples=["L-1001"])
    seller_id: Text = Field("", description="The platform's own id of the seller.", examples=["S-7"])
    goods: Text = Field("", description="Goods category; selects thresholds.", examples=["apparel"])
    title: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    declared_ai: bool | None = Field(None, description="The uploader's own declaration of AI use.")
    declared_attributes: dict[AttributeName, Text] = Field(
        default_factory=dict,
        max_length=FIELDS,
        description="What the seller says about the goods.",
        examples=[{"material": "cotton"}],
    )

    def listing(self) -> Listing:
        """The listing these fields describe."""
        return Listing(
            self.listing_id, self.seller_id, self.goods, self.title, self.declared_ai, dict(self.declared_attributes)
        )


class UrlSubmission(ListingFields):
    """One picture by URL, with its listing."""

    url: Url = Field(description="Where the picture is.", examples=["https://shop.example/a.jpg"])
    references: list[Url] = Field(
        default_factory=list, max_length=MOST_REFERENCES, description="Pictures known to show the real goods."
    )


class UrlBatch(BaseModel):
    """Pictures by URL."""

    model_config = ConfigDict(extra="forbid")

    pictures: list[UrlSubmission] = Field(min_length=1, max_length=64)


class UrlJob(UrlBatch):
    """Pictures by URL that may wait. callback_url: where the outcome is sent."""

    callback_url: Annotated[str, StringConstraints(max_length=4000, pattern=r"^(https?://[^\x00]+)?$")] = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """One picture to be screened: its bytes, or the URL they are behind."""

    name: str
    listing: Listing
    payload: bytes | None = None
    url: str = ""
    references: tuple[bytes, ...] = ()
    reference_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """The pictures of one call, in order."""

    submissions: tuple[Submission, ...]
    callback_url: str = ""


async def read_submission(request: Request, max_bytes: int) -> Submission:
    """The picture of `POST /v1/screen`. Raises UsageError, PictureTooLarge, UnsupportedFormat."""
    kind = kind_of(request)
    if kind in FORMS:
        known = {"picture", "url", "reference", "reference_url", *ListingFields.model_fields}
        files = {"picture": 1, "reference": MOST_REFERENCES}
        async with form_of(request, known, files, {"reference_url"}) as form:
            listing = _listing_of({key: form[key] for key in ListingFields.model_fields if key in form})
            payloads = await _files(form, "picture", max_bytes)
            urls = _texts(form, "url")
            references = await _files(form, "reference", max_bytes)
            reference_urls = tuple(_texts(form, "reference_url"))
        if len(payloads) + len(urls) != 1:
            raise UsageError("picture: send exactly one, as the file part `picture` or as the field `url`")
        if len(references) + len(reference_urls) > MOST_REFERENCES:
            raise UsageError(f"reference: send at most {MOST_REFERENCES}")
        name, payload = payloads[0] if payloads else (urls[0], None)
        reference_bytes = tuple(each for _, each in references)
        return Submission(name, listing, payload, urls[0] if urls else "", reference_bytes, reference_urls)
    if kind == "application/json":
        no_query(request)
        return _by_url(_parsed(UrlSubmission, await request.body()))
    if kind.startswith("image/") or kind == "application/octet-stream":
        query = query_of(request)
        check_known([name for name, _ in query], ListingFields.model_fields)
        once(query)
        listing = _listing_of(dict(query))
        payload = await request.body()
        _check_size(payload, max_bytes)
        return Submission("", listing, payload)
    raise unsupported(kind, "multipart/form-data, image/*, application/octet-stream or application/json")


async def read_picture(request: Request, max_bytes: int, fields: frozenset[str]) -> tuple[bytes, dict[str, str]]:
    """One picture and those `fields` that were given, as a form or as the raw body with a query.

    Raises UsageError, PictureTooLarge, UnsupportedFormat.
    """
    kind = kind_of(request)
    if kind == "multipart/form-data":
        async with form_of(request, {"picture", *fields}, {"picture": 1}) as form:
            payloads = await _files(form, "picture", max_bytes)
            texts = {field: found[0] for field in fields if (found := _texts(form, field))}
        if not payloads:
            raise UsageError("picture: send exactly one, as the file part `picture`")
        return payloads[0][1], texts
    if kind.startswith("image/") or kind == "application/octet-stream":
        query = query_of(request)
        check_known([name for name, _ in query], fields)
        once(query)
        payload = await request.body()
        _check_size(payload, max_bytes)
        return payload, {key: value for key, value in query if value}
    raise unsupported(kind, "multipart/form-data, image/* or application/octet-stream")


async def read_batch(request: Request, max_bytes: int, most: int, may_wait: bool) -> Batch:
    """The pictures of `POST /v1/screen/batch` and `POST /v1/jobs`. Raises as `read_submission`.

    may_wait: it is a job, which takes a callback_url.
    """
    kind = kind_of(request)
    if kind == "application/json":
        no_query(request)
        body = await request.body()
        if not may_wait:
            _no_callback(_json(body, "body: must be JSON"))
        batch = _parsed(UrlJob if may_wait else UrlBatch, body)
        _check_count(len(batch.pictures), most)
        return Batch(tuple(_by_url(each) for each in batch.pictures), getattr(batch, "callback_url", ""))
    if kind != "multipart/form-data":
        raise unsupported(kind, "multipart/form-data or application/json")
    known = {"picture", "listings", "callback_url"}  # the last is known to a batch as well, which says where it belongs
    async with form_of(request, known, {"picture": most}) as form:
        if not may_wait:
            _no_callback(form)
        payloads = await _files(form, "picture", max_bytes, numbered=True)
        listings = _texts(form, "listings")
        callbacks = _texts(form, "callback_url")
    _check_count(len(payloads), most)
    described = _listings(listings[0] if listings else "", len(payloads))
    if callbacks and not callbacks[0].startswith(("http://", "https://")):
        raise UsageError("callback_url: must be an http or https URL")
    return Batch(
        tuple(Submission(name, listing, payload) for (name, payload), listing in zip(payloads, described, strict=True)),
        callbacks[0] if callbacks else "",
    )


def _no_callback(fields: Any) -> None:
    if isinstance(fields, Mapping) and "callback_url" in fields:
        raise UsageError("callback_url: a batch is answered at once and calls nobody back; POST /v1/jobs does")


def _by_url(fields: UrlSubmission) -> Submission:
    return Submission(fields.url, fields.listing(), None, fields.url, (), tuple(fields.references))


async def _files(form: FormData, field: str, max_bytes: int, numbered: bool = False) -> list[tuple[str, bytes]]:
    """Names and bytes of a field's files. numbered: errors name the position, counted from 0 as in the answer."""
    read = []
    for position, part in enumerate(form.getlist(field)):
        where = f"{field}.{position}" if numbered else field
        if not isinstance(part, UploadFile):
            raise UsageError(f"{where}: must be a file part with a file name")
        if (part.size or 0) > max_bytes:
            raise _too_large(max_bytes, f"{where}: " if numbered else "")
        read.append((_name(part.filename), await part.read()))
    return read


def _texts(form: FormData, field: str) -> list[str]:
    texts = []
    for part in form.getlist(field):
        if not isinstance(part, str):
            raise UsageError(f"{field}: must be text, not a file")
        texts.append(part)
    return [each for each in texts if each]


def _listing_of(values: dict[str, Any], within: str = "") -> Listing:
    """The listing of these values. within: what stands before a field's name in an error."""
    attributes = values.get("declared_attributes")
    if isinstance(attributes, str):
        values = values | {
            "declared_attributes": _json(attributes or "{}", f"{within}declared_attributes: must be a JSON object")
        }
    if values.get("declared_ai") == "":
        values = values | {"declared_ai": None}
    try:
        return ListingFields.model_validate(values).listing()
    except ValidationError as error:
        raise UsageError("; ".join(within + each for each in problems_of(error, whole="body"))) from error


def _listings(text: str, count: int) -> list[Listing]:
    if not text:
        return [Listing()] * count
    content = _json(text, "listings: must be a JSON array")
    if not isinstance(content, list) or len(content) != count:
        raise UsageError(f"listings: must be a JSON array with one object for each of the {count} pictures")
    for position, each in enumerate(content):
        if not isinstance(each, dict):
            raise UsageError(f"listings.{position}: must be a JSON object")
    return [_listing_of(each, f"listings.{position}.") for position, each in enumerate(content)]


def _parsed(model: type[Model], body: bytes) -> Model:
    _json(body, "body: must be JSON")
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise UsageError("; ".join(problems_of(error, whole="body"))) from error


def _json(text: str | bytes, told: str) -> Any:
    """Parse a JSON text that is no larger than any call needs. Raises UsageError.

    Checked before the models see it: they would build an error for every unknown key.
    """
    content = json_of(text, told)
    _check_extent(content)
    return content


def _check_extent(content: Any) -> None:
    level = [content]
    for _ in range(_DEEPEST):
        if any(isinstance(each, dict | list) and len(each) > _LONGEST_ARRAY for each in level):
            raise UsageError(f"body: an object or array has more than {_LONGEST_ARRAY} members; send less at once")
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [each for members in inner for each in members if isinstance(each, dict | list)]
        if not level:
            return
    raise UsageError(f"body: objects are nested more than {_DEEPEST} deep")


def _check_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise UsageError(f"picture: {count} were sent; send 1 to {most}")


def _check_size(payload: bytes, max_bytes: int) -> None:
    if len(payload) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int, where: str = "") -> PictureTooLarge:
    return PictureTooLarge(f"{where}the picture has more than {max_bytes / 2**20:.0f} MiB; send it smaller")


def _name(filename: str | None) -> str:
    return (filename or "").replace("\x00", "")[:300]
