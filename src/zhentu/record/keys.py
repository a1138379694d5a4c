"""API keys: shown once, kept hashed, with a role. Also what people sign in to the review page with.

A key is `zt_<key id>_<secret>`. The secret is 32 random bytes, so one SHA-256 is enough (slow hashes are for guessable
passwords) and checking a key takes microseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, insert, select, update

from zhentu.errors import NotFound, UsageError
from zhentu.printable import printable
from zhentu.record import audit
from zhentu.record.database import Database, aware, now
from zhentu.record.schema import api_keys
from zhentu.types import DEFAULT_TENANT, Role

_PREFIX = "zt"
_LONGEST_NAME = 100
_TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is stored of a key. rate_per_s: its own rate limit, None = the gate's setting.  tenant: whose key it is."""

    key_id: str
    name: str
    role: Role
    secret_sha256: str
    rate_per_s: float | None
    created_at: datetime
    revoked_at: datetime | None
    tenant: str = DEFAULT_TENANT

    def opens_with(self, token: str) -> bool:
        """Whether `token` is this key and it is not revoked; takes the same time for every wrong secret."""
        same = hmac.compare_digest(self.secret_sha256, _digest(_secret_of(token)))
        return same and self.revoked_at is None


class KeyStore:
    """The table of API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        role: Role,
        rate_per_s: float | None = None,
        actor: str = "zhentu",
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[ApiKey, str]:
        """A new key and its token, which is not kept and cannot be shown again. actor: who made it, for the audit.

        Raises UsageError for a name that cannot be shown, or a tenant that cannot have such a key: what reviewers
        and administrators decide applies to every tenant, so they are the operator's.
        """
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise UsageError(f"name {printable(name)[:60]!r}: 1 to {_LONGEST_NAME} characters that can be printed")
        _check_tenant(tenant, role)
        secret = secrets.token_urlsafe(32)
        key = ApiKey(secrets.token_hex(6), name, role, _digest(secret), rate_per_s, now(), None, tenant)
        with self._database.begin() as connection:
            connection.execute(
                insert(api_keys).values(
                    key_id=key.key_id,
                    name=name,
                    role=role.value,
                    secret_sha256=key.secret_sha256,
                    rate_per_s=rate_per_s,
                    created_at=key.created_at,
                    tenant=tenant,
                )
            )
            facts = {"name": name, "role": role.value, "rate_per_s": rate_per_s, "tenant": tenant}
            audit.append(connection, actor, "key.create", f"key:{key.key_id}", facts)
        return key, f"{_PREFIX}_{key.key_id}_{secret}"

    def list(self) -> tuple[ApiKey, ...]:
        """Every key, oldest first."""
        with self._database.begin() as connection:
            return tuple(_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at)))

    def revoke(self, key_id: str, actor: str = "zhentu") -> None:
        """Revoke a key. actor: who did it, for the audit. Raises NotFound."""
        with self._database.begin() as connection:
            done = connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=now())
            )
            if done.rowcount:
                audit.append(connection, actor, "key.revoke", f"key:{key_id}", {})
        if not done.rowcount:
            raise NotFound(f"no key {key_id!r} in use; see `zhentu keys list`")

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this identifier, revoked or not."""
        with self._database.begin() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).first()
        return None if row is None else _key(row)

    def verify(self, token: str) -> ApiKey | None:
        """The key of a token, None if it is unknown, wrong or revoked."""
        found = self.find(key_id_of(token))
        if found is None:
            hmac.compare_digest(
                _NOBODY, _digest(_secret_of(token))
            )  # an unknown key takes as long to check as a wrong one
            return None
        return found if found.opens_with(token) else None


def key_id_of(token: str) -> str:
    """The public part of a token; empty if it does not look like one."""
    parts = token.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX and len(parts[1]) <= 16 else ""


def _check_tenant(tenant: str, role: Role) -> None:
    if not _TENANT.fullmatch(tenant):
        raise UsageError(
            f"tenant {printable(tenant)[:60]!r}: 1 to 63 lowercase letters, digits, dots, hyphens and underscores, "
            "the first a letter or digit"
        )
    if tenant != DEFAULT_TENANT and role is not Role.SCREEN:
        raise UsageError(
            f"role {role.value}: what reviewers and administrators decide applies to every tenant, so their keys "
            f"belong to the tenant {DEFAULT_TENANT!r}; keys of other tenants have the role {Role.SCREEN.value}"
        )


def _secret_of(token: str) -> str:
    return token.split("_", 2)[-1]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        name=row.name,
        role=Role(row.role),
        secret_sha256=row.secret_sha256,
        rate_per_s=row.rate_per_s,
        created_at=aware(row.created_at),
        revoked_at=aware(row.revoked_at) if row.revoked_at else None,
        tenant=row.tenant,
    )
