"""What each route requires before a byte of the body is read: a role, and how large the body may be.

The role is the one that the route's own dependency names (`Screens`, `Reviews`, `Administers`), so it is written in one
place. A route that takes more than a short form is listed in the table below; any other is limited to 64 KiB, as its
author will notice at the first upload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from zhentu.types import Role

MOST_REFERENCES = 8
PROBES = ("/livez", "/readyz", "/metrics")
_KIB, _MIB = 1024, 1024 * 1024
_WORDS = 64 * _KIB  # a body without pictures
_JSON = 1 * _MIB  # one picture by URL, with its listing and references, has 80 KiB at most
_JSON_BATCH = 3 * _MIB
_CSV = 16 * _MIB  # a quarter of a million hashes
_FORM = 64 * _KIB  # multipart framing and fields beside the pictures
_APPEAL_PHOTOS = 6


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route requires. role: None if no key is needed.  form_bytes, json_bytes: the largest body, in bytes."""

    role: Role | None
    form_bytes: int = _WORDS
    json_bytes: int = _WORDS

    def most(self, content_type: bytes) -> int:
        """The cap of a body of this content type."""
        return self.json_bytes if b"json" in content_type.partition(b";")[0].lower() else self.form_bytes


class Rules:
    """The rules of an application's routes.

    picture_bytes: the largest picture.  batch_size: pictures of a batch.  share: what one caller may hold at once.
    """

    def __init__(self, routes: Iterable[BaseRoute], picture_bytes: int, batch_size: int, share: int) -> None:
        pair = min(2 * picture_bytes, share) + _FORM  # a picture and its references
        batch = max(pair, min(batch_size * picture_bytes, share - _FORM)) + _FORM
        one = picture_bytes + _FORM
        sizes = {
            "/v1/screen": (pair, _JSON),
            "/v1/screen/batch": (batch, _JSON_BATCH),
            "/v1/jobs": (batch, _JSON_BATCH),
            "/v1/appeals": (min(_APPEAL_PHOTOS * picture_bytes, pair), _WORDS),
            "/try": (pair, _WORDS),
            "/try/label": (one, _WORDS),
            "/v1/labels/verify": (one, _WORDS),
            "/v1/labels/apply": (one, _WORDS),
            "/v1/banks/lookup": (one, _WORDS),
            "/v1/banks/{name}/entries": (one, _WORDS),
            "/v1/banks/{name}/dry-run": (one, _WORDS),
            "/v1/banks/{name}/import": (_CSV, _WORDS),
        }
        self._routes = [
            (each, Rule(_role(each), *sizes.get(each.path, ()))) for each in routes if isinstance(each, APIRoute)
        ]
        self._exact = {(method, route.path): rule for route, rule in self._routes for method in route.methods or ()}

    def of(self, scope: Scope) -> Rule:
        """The rule for a request; if no route matches, a rule that needs no key, for the 404 that follows."""
        exact = self._exact.get((scope["method"], scope["path"]))
        if exact is not None:
            return exact
        for route, rule in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return rule
        return Rule(None)


def _role(route: APIRoute) -> Role | None:
    roles = [role for each in dependants(route.dependant) if (role := getattr(each.call, "role", None)) is not None]
    return roles[0] if roles else None


def dependants(dependant: Dependant) -> Iterator[Dependant]:
    """Everything a route depends on, at any depth."""
    for each in dependant.dependencies:
        yield each
        yield from dependants(each)
