"""The store and the banks in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from zhentu.banks.bank import Banks
from zhentu.banks.store import BankStore
from zhentu.errors import StoreError
from zhentu.record.database import Database
from zhentu.record.history import ModelHistory
from zhentu.record.store import RecordStore
from zhentu.settings import Settings

_log = logging.getLogger(__name__)


def build_store(settings: Settings, patient: bool = False) -> RecordStore:
    """The record store. patient: for work that rather waits for a store that is away than stops. Raises StoreError."""
    patience_s = settings.store.patience_s if patient else 0.0
    return RecordStore(Database(settings.store_url, settings.store.auto_migrate, patience_s))


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The store's database, closed afterwards. Raises StoreError."""
    database = Database(settings.store_url, settings.store.auto_migrate)
    try:
        yield database
    finally:
        database.close()


def chosen_model(settings: Settings) -> str:
    """The model chosen for the store with `zhentu model use`, "" if none is. Raises StoreError.

    A store that is not there yet has chosen none, and is not made for the question.
    """
    if _is_missing_file(settings.store_url):
        return ""
    with open_database(settings) as database:
        return ModelHistory(database).current() or ""


def with_chosen_model(settings: Settings, required: bool = True) -> Settings:
    """The settings with the model in force, by one rule for every command.

    It is the one chosen for the store, as its gates have it, else the one the settings name, else the manifest's.
    required: raise StoreError if the store does not answer, because what follows needs it; otherwise it is passed over.
    """
    try:
        chosen = chosen_model(settings)
    except StoreError as error:
        if required:
            raise
        _log.warning("the store was not asked which model is in force: %s", error)
        chosen = ""
    if not chosen:
        return settings
    if settings.models.active not in (None, "", chosen):
        _log.warning(
            "%s was chosen for this store and goes before models.active %s; `zhentu model use default` takes it back",
            chosen,
            settings.models.active,
        )
    return settings.changed({"models.active": chosen})


def _is_missing_file(url: str) -> bool:
    try:
        parsed = make_url(url)
    except ValueError:
        return False  # whoever opens it says what is wrong with it
    return parsed.drivername.startswith("sqlite") and bool(parsed.database) and not Path(str(parsed.database)).exists()


def build_banks(at: Settings | RecordStore) -> Banks:
    """The banks, loaded; on the store's own connections where there is one. Raises StoreError."""
    return Banks(BankStore(at.database if isinstance(at, RecordStore) else build_store(at).database))
