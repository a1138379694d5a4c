from __future__ import annotations

import pytest
from sqlalchemy import select

from zhentu.errors import NotFound, UsageError
from zhentu.record.audit import entries
from zhentu.record.database import Database
from zhentu.record.keys import KeyStore, key_id_of
from zhentu.record.schema import api_keys
from zhentu.types import Role


def test_a_key_opens_until_it_is_revoked(database: Database) -> None:
    keys = KeyStore(database)
    key, token = keys.create("shop", Role.SCREEN, 5.0)
    assert keys.verify(token) == key
    keys.revoke(key.key_id)
    assert keys.verify(token) is None
    assert keys.list()[0].revoked_at is not None
    with pytest.raises(NotFound):
        keys.revoke(key.key_id)


def test_no_token_is_kept(database: Database) -> None:
    _, token = KeyStore(database).create("shop", Role.ADMIN)
    with database.begin() as connection:
        kept = str(connection.execute(select(api_keys)).all())
    assert token.split("_", 2)[2] not in kept


@pytest.mark.parametrize("token", ["", "zt", "zt_", "zt_unknown_secret", "Bearer", "zt_x_y_z" * 50, "密钥_一_二"])
def test_what_is_no_key_opens_nothing(database: Database, token: str) -> None:
    keys = KeyStore(database)
    key, good = keys.create("shop", Role.SCREEN)
    assert keys.verify(token) is None
    assert keys.verify(good + "x") is None
    assert keys.verify(f"zt_{key.key_id}_wrong") is None
    assert key_id_of(good) == key.key_id


def test_a_role_includes_the_lesser_ones() -> None:
    assert Role.ADMIN.includes(Role.SCREEN)
    assert Role.REVIEW.includes(Role.REVIEW)
    assert not Role.SCREEN.includes(Role.REVIEW)


def test_making_and_revoking_a_key_stand_in_the_audit(database: Database) -> None:
    keys = KeyStore(database)
    key, token = keys.create("shop", Role.SCREEN, actor="cli:anna")
    keys.revoke(key.key_id, "cli:bert")
    found = [(each.actor, each.act, each.subject) for each in entries(database)]
    assert found == [
        ("cli:anna", "key.create", f"key:{key.key_id}"),
        ("cli:bert", "key.revoke", f"key:{key.key_id}"),
    ]
    assert token.split("_", 2)[2] not in str([each.facts for each in entries(database)])


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[31m", "a" * 101])
def test_a_name_that_cannot_be_shown_is_refused(database: Database, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        KeyStore(database).create(name, Role.SCREEN)


def test_a_key_belongs_to_a_tenant(database: Database) -> None:
    keys = KeyStore(database)
    made, token = keys.create("shop", Role.SCREEN, tenant="shop-a.cn")
    assert made.tenant == keys.verify(token).tenant == "shop-a.cn"
    assert keys.create("house", Role.ADMIN)[0].tenant == "default"


@pytest.mark.parametrize("tenant", ["", "A", "a/b", "..", "-a", "a" * 64, "a\n"])
def test_what_is_no_name_of_a_tenant_is_refused(database: Database, tenant: str) -> None:
    with pytest.raises(UsageError, match="tenant"):
        KeyStore(database).create("shop", Role.SCREEN, tenant=tenant)


@pytest.mark.parametrize("role", [Role.REVIEW, Role.ADMIN])
def test_who_decides_for_every_tenant_belongs_to_the_house(database: Database, role: Role) -> None:
    with pytest.raises(UsageError, match="role"):
        KeyStore(database).create("shop", role, tenant="shop-a")
