"""What the review page works with: built once by bootstrap and passed to every request."""

from __future__ import annotations

import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import Request

from zhentu.banks.bank import Banks
from zhentu.errors import Forbidden, Unauthenticated
from zhentu.ports import ComparerPort
from zhentu.record.store import RecordStore
from zhentu.review.appeals import Appeals
from zhentu.review.fill import Filler
from zhentu.review.pictures import ReviewPictures
from zhentu.review.queue import ReviewQueue
from zhentu.review.sessions import ProxySignIn, Reviewer, Sessions
from zhentu.types import Role

COOKIE = "zhentu_review"
PROXY_SECRET = "x-zhentu-proxy-secret"  # noqa: S105 - the name of a header
_KEPT = 96  # encoded previews and heatmaps that are cached, some 200 kB each


class PictureCache:
    """A cache of encoded pictures: a reviewer's browser asks for the same ones within seconds."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
        """The bytes cached under a key, made if there are none."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a request needs. open_token: lets a browser in as admin in open mode; empty with keys."""

    store: RecordStore
    queue: ReviewQueue
    appeals: Appeals
    pictures: ReviewPictures
    banks: Banks
    filler: Filler
    sessions: Sessions
    comparer: Callable[[], ComparerPort | None] = lambda: None
    proxy: ProxySignIn | None = None
    open_token: str = ""
    kept: PictureCache = field(default_factory=PictureCache)

    def reviewer(self, request: Request) -> Reviewer:
        """Who is asking. Raises Unauthenticated if nobody is signed in."""
        if self.open_token:
            if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._derived("cookie").encode()):
                return Reviewer("open", Role.ADMIN, self._derived("csrf"))
            raise Unauthenticated("sign in with the token that `zhentu serve` printed")
        if self.proxy is not None:
            # The address of the connection itself; headers about its origin are not believed.
            peer = request.client.host if request.client else ""
            secret = request.headers.get(PROXY_SECRET, "")
            name = self.proxy.name(request.headers.get(self.proxy.header, ""), peer, secret)
            if name:
                return self.sessions.vouched(name)
        found = self.sessions.find(request.cookies.get(COOKIE, ""))
        if found is None:
            raise Unauthenticated("sign in first")
        return found

    def sign_in(self, key: str) -> str:
        """The cookie's value for a key, or for the open mode's token. Raises Unauthenticated, Forbidden."""
        if not self.open_token:
            return self.sessions.sign_in(key)
        if not hmac.compare_digest(key.strip().encode(), self.open_token.encode()):
            raise Unauthenticated("this is not the token that `zhentu serve` printed at its start")
        return self._derived("cookie")

    def _derived(self, purpose: str) -> str:
        return hmac.digest(self.open_token.encode(), purpose.encode(), "sha256").hex()

    def changing(self, request: Request, csrf: str = "") -> Reviewer:
        """Who asks for a change; the request must come from our own page. Raises Unauthenticated, Forbidden.

        csrf: from a form; scripts send it as X-CSRF-Token.
        """
        found = self.reviewer(request)
        own_site(request)
        given = csrf or request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(given.encode(), found.csrf.encode()):
            raise Forbidden("the page is out of date; reload it")
        return found


def own_site(request: Request) -> None:
    """Refuse requests from another site's page. Raises Forbidden.

    A browser says where a request comes from in Sec-Fetch-Site, which no page can set, or at least in Origin.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is None and origin is not None:
        same = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
        site = "same-origin" if same else "cross-site"
    if site not in (None, "same-origin", "none"):
        raise Forbidden("this request comes from another site")


def desk_of(request: Request) -> Desk:
    """The desk of the application."""
    desk: Desk = request.app.state.desk
    return desk
