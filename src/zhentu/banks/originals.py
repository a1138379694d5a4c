"""Brands' own pictures, kept so that a copy can be shown beside, and compared with, what it was made from."""

from __future__ import annotations

from sqlalchemy import insert, select

from zhentu.banks.bank import Banks
from zhentu.banks.entries import NewEntry
from zhentu.banks.hashing import fingerprint_of
from zhentu.banks.schema import bank_pictures
from zhentu.banks.store import BankStore
from zhentu.errors import PictureNotFound
from zhentu.thumbnails import as_jpeg, within
from zhentu.types import BankKind, Picture

_SIDE = 1600  # pixels
_QUALITY = 90


def add_picture(banks: Banks, bank: str, picture: Picture, by: str, entry: NewEntry | None = None) -> tuple[int, ...]:
    """Add a picture to a bank, its entry as `entry` says (default: made from the picture alone); returns the ids added.

    Only a brand's own pictures are kept, re-encoded; other banks hold only fingerprints. Raises UsageError.
    """
    added = banks.add(bank, [entry or NewEntry.of(fingerprint_of(picture), by)], by)
    if added and banks.store.bank(bank).kind is BankKind.BRAND_ORIGINAL:
        with banks.store.database.begin() as connection:
            connection.execute(
                insert(bank_pictures).values(entry_id=added[0], jpeg=as_jpeg(within(picture.rgb, _SIDE), _QUALITY))
            )
    return added


def original(store: BankStore, entry_id: int) -> bytes:
    """The JPEG of a brand original. Raises PictureNotFound if only its hash was registered."""
    with store.database.begin() as connection:
        query = select(bank_pictures.c.jpeg).where(bank_pictures.c.entry_id == entry_id)
        jpeg = connection.execute(query).scalar()
    if jpeg is None:
        raise PictureNotFound(f"bank entry {entry_id} came without its picture")
    return bytes(jpeg)
