"""Forms, queries and JSON as they were sent: nothing vanishes, and what cannot be taken is refused by name.

Starlette keeps the last of a repeated field, reads text that is not UTF-8 as Latin-1, and leaves unknown fields to the
route. A declaration that is lost that way is a wrong decision nobody hears of.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi import Request, Response, params
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, Headers
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from zhentu.errors import UnsupportedFormat, UsageError
from zhentu.gate.rules import PROBES, dependants

FIELDS = 64
_MULTIPART, _URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"
FORMS = (_MULTIPART, _URLENCODED)


def kind_of(request: Request) -> str:
    """The content type without its parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(kind: str, accepted: str) -> UnsupportedFormat:
    """The error about a content type that this route does not take."""
    return UnsupportedFormat(f"content type {kind[:60] or 'none'!r}: send {accepted}")


@asynccontextmanager
async def form_of(
    request: Request, known: Collection[str], files: Mapping[str, int], many: Collection[str] = ()
) -> AsyncIterator[FormData]:
    """The form of a request. files: how many files each field takes.  many: fields that may be repeated.

    Raises UsageError for unknown and repeated fields, too many files, text that is not UTF-8, and for a query.
    """
    no_query(request)
    form = await _parsed(request, known, files)
    try:
        once(form.multi_items(), {*many, *files})
        yield form
    finally:
        await form.close()


def no_query(request: Request, known: Collection[str] = ()) -> None:
    """Refuse query parameters beside a body that holds the fields. Raises UsageError."""
    unknown = sorted({name for name, _ in query_of(request)} - set(known))
    if unknown:
        names = ", ".join(repr(each[:60]) for each in unknown[:5])
        raise UsageError(f"query: {names} would be ignored here; put every field into the body")


def query_of(request: Request) -> list[tuple[str, str]]:
    """The query's parameters in their order. Raises UsageError if one is not UTF-8."""
    text = request.scope.get("query_string", b"").decode("latin-1")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError as error:  # also of too many
        raise UsageError(f"query: must be percent-encoded UTF-8: {error}") from error


def once(fields: Iterable[tuple[str, Any]], many: Collection[str] = ()) -> None:
    """Raise UsageError for a field that came more than once and takes one value: which of them counts is a guess."""
    for name, count in Counter(name for name, _ in fields).items():
        if count > 1 and name not in many:
            raise UsageError(f"{name[:60]}: was sent {count} times; send it once")


def check_known(names: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError for the first unknown name."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"{unknown[0][:60]}: unknown field{_meant(unknown[0], known)}")


def _meant(name: str, known: Collection[str]) -> str:
    """The end of a sentence about an unknown name: what was probably meant, and what there is."""
    if not known:
        return "; there are none here"
    close = get_close_matches(name[:60], known, 1)
    return f"{f'; did you mean {close[0]}?' if close else ';'} known are {', '.join(sorted(known))}"


def own_query() -> None:
    """A dependency that marks a route: it reads its query itself, because what may stand there is up to the body."""


def checked(request: Request) -> None:
    """A dependency of the whole application, so of every route: nothing of a query vanishes, and texts can be kept.

    Of a body, what FastAPI has read; our own readers look for themselves. Raises UsageError.
    """
    _check_query(request)
    for name, part in request._form.multi_items() if request._form is not None else ():
        check_text(name, part if isinstance(part, str) else part.filename or "")
    for name, text in _texts_in(getattr(request, "_json", None)):
        check_text(name, text)


def check_text(name: str, text: str) -> None:
    """Raise UsageError for a text that cannot be kept: UTF-8 holds no half of a pair, and PostgreSQL no NUL."""
    if "\x00" in text:
        raise UsageError(f"{name[:60]}: has a NUL character; leave it out")
    try:
        f"{name}{text}".encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{name[:60]}: has a lone surrogate, which is no character; send UTF-8") from error


def _texts_in(content: Any) -> Iterator[tuple[str, str]]:
    """Every text of a JSON value, and every key, with the outermost key it stands under."""
    waiting = [("body", content)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, list):
            waiting += [(name, each) for each in value]
        elif isinstance(value, dict):
            for key, each in value.items():
                yield name, key
                waiting.append((key if name == "body" else name, each))


def _check_query(request: Request) -> None:
    """A misspelt filter would list everything.

    Probes ignore a query: what balancers and scrapers append changes no answer, and must not make a gate look dead.
    """
    route = request.scope.get("route")
    if not request.scope.get("query_string") or not isinstance(route, APIRoute) or route.path in PROBES:
        return
    parts = [route.dependant, *dependants(route.dependant)]
    if any(each.call is own_query for each in parts):
        return
    fields = [field for each in parts for field in each.query_params]
    known, query = [each.alias for each in fields], query_of(request)
    if any(each.body_params for each in parts):
        no_query(request, known)
    for name in sorted({name for name, _ in query} - set(known)):
        raise UsageError(f"query: {name[:60]!r} is unknown here{_meant(name, known)}")
    once(query, [each.alias for each in fields if _is_list(each.field_info.annotation)])


def json_of(text: str | bytes, told: str) -> Any:
    """Parse JSON in which no object has a key twice. told: what it must be. Raises UsageError."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{told}: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once(pairs)
    return dict(pairs)


class FormRoute(APIRoute):
    """A route whose body FastAPI reads by its signature, with the same care about what would vanish."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler behind these checks. Raises UsageError, UnsupportedFormat."""
        handler, fields = super().get_route_handler(), self.dependant.body_params
        is_form = any(isinstance(each.field_info, params.Form) for each in fields)
        needs_file = any(isinstance(each.field_info, params.File) and each.field_info.is_required() for each in fields)
        accepted = _MULTIPART if needs_file else " or ".join(FORMS)
        known = {each.alias for each in fields}
        many = {each.alias for each in fields if _is_list(each.field_info.annotation)}

        async def careful(request: Request) -> Response:
            if is_form:
                kind = kind_of(request)
                if kind not in accepted.split(" or "):
                    raise unsupported(kind, accepted)
                form = await _parsed(request, known, {})
                request._form = form
                try:
                    once(form.multi_items(), many)
                except UsageError:
                    await form.close()
                    raise
            elif fields and "json" in kind_of(request):
                json_of(await request.body(), "body: must be JSON")
            return await handler(request)

        return careful


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(each) for each in get_args(annotation))


async def _parsed(request: Request, known: Collection[str], files: Mapping[str, int]) -> FormData:
    parser: _Parts | _Pairs
    if kind_of(request) == _MULTIPART:
        parser = _Parts(request.headers, request.stream(), known, files)
    else:
        parser = _Pairs(request.headers, request.stream(), known)
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise UsageError(f"form: {error.message}") from error


class _Parts(MultiPartParser):
    """Starlette's parser of multipart forms; it stops at the first field or file that is not taken."""

    def __init__(
        self,
        headers: Headers,
        stream: AsyncGenerator[bytes, None],
        known: Collection[str],
        files: Mapping[str, int],
    ) -> None:
        super().__init__(headers, stream, max_files=1000, max_fields=FIELDS)
        self._known, self._most, self._counts = known, files, Counter[str]()

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        name = self._current_part.field_name
        check_known([name], self._known)
        if self._current_part.file is not None:
            check_text(f"{name}: the file's name", (self._current_part.file.filename or "").replace("\x00", ""))
            self._counts[name] += 1
            if self._counts[name] > self._most.get(name, self.max_files):
                raise UsageError(f"{name}: too many files, the limit is {self._most[name]}; send at most that many")

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            try:
                part.data.decode(self._charset).encode()  # some charsets hold what UTF-8, and so the store, does not
            except (UnicodeError, LookupError) as error:
                raise UsageError(f"{part.field_name}: is not {self._charset} text; send UTF-8") from error
        super().on_part_end()


class _Pairs(FormParser):
    """Starlette's parser of urlencoded forms, reading UTF-8 and nothing else."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], known: Collection[str]) -> None:
        super().__init__(headers, stream, max_fields=FIELDS)
        self._known = known

    def on_field_end(self) -> None:
        super().on_field_end()  # counts the fields
        name, value = (
            unquote_to_bytes(bytes(each).replace(b"+", b" ")) for each in (self._field_name, self._field_value)
        )
        shown = name.decode(errors="replace")
        check_known([shown], self._known)
        try:
            self._items[-1] = (shown, value.decode())
        except UnicodeDecodeError as error:
            raise UsageError(f"{shown}: is not UTF-8 text; send UTF-8") from error
