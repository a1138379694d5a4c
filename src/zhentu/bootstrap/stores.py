"""The store and the banks in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zhentu.banks.bank import Banks
from zhentu.banks.store import BankStore
from zhentu.record.database import Database
from zhentu.record.store import RecordStore
from zhentu.settings import Settings


def build_store(settings: Settings) -> RecordStore:
    """The record store. Raises StoreError."""
    return RecordStore(Database(settings.store_url, settings.store.auto_migrate))


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The store's database, closed afterwards. Raises StoreError."""
    database = Database(settings.store_url, settings.store.auto_migrate)
    try:
        yield database
    finally:
        database.close()


def build_banks(at: Settings | RecordStore) -> Banks:
    """The banks, loaded; on the store's own connections where there is one. Raises StoreError."""
    return Banks(BankStore(at.database if isinstance(at, RecordStore) else build_store(at).database))
