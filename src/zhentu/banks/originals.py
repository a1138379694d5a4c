"""Brands' own pictures, kept so that a copy can be shown beside, and compared with, what it was made from."""

from __future__ import annotations

import cv2
import numpy as np
from sqlalchemy import insert, select

from zhentu.banks.bank import Banks
from zhentu.banks.entries import NewEntry
from zhentu.banks.hashing import fingerprint_of
from zhentu.banks.schema import bank_pictures
from zhentu.banks.store import BankStore
from zhentu.errors import PictureNotFound
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
            connection.execute(insert(bank_pictures).values(entry_id=added[0], jpeg=_jpeg(picture)))
    return added


def original(store: BankStore, entry_id: int) -> bytes:
    """The JPEG of a brand original. Raises PictureNotFound if only its hash was registered."""
    with store.database.begin() as connection:
        query = select(bank_pictures.c.jpeg).where(bank_pictures.c.entry_id == entry_id)
        jpeg = connection.execute(query).scalar()
    if jpeg is None:
        raise PictureNotFound(f"bank entry {entry_id} came without its picture")
    return bytes(jpeg)


def _jpeg(picture: Picture) -> bytes:
    scale = min(_SIDE / max(picture.width, picture.height), 1.0)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(encoded).tobytes()
