"""Who uses the page: signed in with an API key of role review or admin, or named by a reverse proxy."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from zhentu.errors import Forbidden, Unauthenticated
from zhentu.record import audit
from zhentu.record.database import Database, aware, now
from zhentu.record.keys import KeyStore
from zhentu.review.schema import review_sessions
from zhentu.types import Role

_LASTS = timedelta(hours=12)
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who is signed in. csrf: the token that every change must carry."""

    name: str
    role: Role
    csrf: str


@dataclass(frozen=True, slots=True)
class ProxySignIn:
    """Sign-in by a reverse proxy; such a person has the role review.

    header: holds the person's name.  networks: addresses of the proxy; nobody else's header counts.  secret: what
    the proxy also sends, if several programs share its address; empty = its address alone is enough.
    """

    header: str
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    secret: str = ""

    def name(self, value: str, peer: str, secret: str = "") -> str:
        """The person a proxy vouches for; empty if the request did not come from the proxy."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return ""
        if self.secret and not hmac.compare_digest(secret.encode(), self.secret.encode()):
            return ""
        return _printable(value.strip())[:_LONGEST_NAME] if any(address in each for each in self.networks) else ""


class Sessions:
    """Sign-ins by key, kept in the store: a revoked key ends its sessions, in every process."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database, self._keys, self._clock = database, KeyStore(database), clock

    def sign_in(self, token: str) -> str:
        """A session for a key: the secret that goes into the cookie. Raises Unauthenticated, Forbidden."""
        key = self._keys.verify(token.strip()[:200])
        if key is None:
            raise Unauthenticated("this key is unknown or revoked")
        if not key.role.includes(Role.REVIEW):
            raise Forbidden(f"the key {key.name!r} has the role {key.role.value}; reviewing needs review or admin")
        secret = secrets.token_urlsafe(32)
        moment = self._clock()
        name = _printable(key.name)[:_LONGEST_NAME] or key.key_id
        with self._database.begin() as connection:
            connection.execute(delete(review_sessions).where(review_sessions.c.expires_at < moment))
            connection.execute(
                insert(review_sessions).values(
                    token_sha256=_digest(secret),
                    reviewer=name,
                    role=key.role.value,
                    key_id=key.key_id,
                    csrf=secrets.token_urlsafe(32),
                    expires_at=moment + _LASTS,
                )
            )
            audit.append(connection, name, "session.open", f"key:{key.key_id}", {})
        return secret

    def vouched(self, name: str) -> Reviewer:
        """The session of a person whom a proxy vouches for, started if there is none."""
        moment = self._clock()
        columns = review_sessions.c
        with self._database.begin() as connection:
            held = (columns.reviewer == name, columns.key_id == "", columns.expires_at > moment)
            row = connection.execute(select(review_sessions).where(*held).order_by(columns.expires_at)).first()
            if row is not None:
                return Reviewer(name, Role.REVIEW, row.csrf)
            csrf = secrets.token_urlsafe(32)
            connection.execute(
                insert(review_sessions).values(
                    token_sha256=_digest(secrets.token_urlsafe(32)),  # no cookie opens this one
                    reviewer=name,
                    role=Role.REVIEW.value,
                    key_id="",
                    csrf=csrf,
                    expires_at=moment + _LASTS,
                )
            )
            audit.append(connection, name, "session.open", "proxy", {})
            return Reviewer(name, Role.REVIEW, csrf)

    def find(self, secret: str) -> Reviewer | None:
        """The session of a cookie, None if it is invalid or expired or its key was revoked."""
        if not secret:
            return None
        query = select(review_sessions).where(review_sessions.c.token_sha256 == _digest(secret))
        with self._database.begin() as connection:
            row = connection.execute(query).first()
        if row is None or aware(row.expires_at) < self._clock():
            return None
        key = self._keys.find(row.key_id)
        if key is None or key.revoked_at is not None:
            return None
        return Reviewer(row.reviewer, key.role, row.csrf)

    def sign_out(self, secret: str) -> None:
        """End a session."""
        with self._database.begin() as connection:
            connection.execute(delete(review_sessions).where(review_sessions.c.token_sha256 == _digest(secret)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _printable(name: str) -> str:
    """Check a name: `not_by` holds one per line."""
    return "".join(character for character in name if character.isprintable())
