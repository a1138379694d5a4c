"""The review desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zhentu.banks.bank import Banks
from zhentu.bootstrap.screener import limits_of
from zhentu.bootstrap.stores import build_banks, build_store
from zhentu.intake.ports import IN_PROCESS, DecoderPort
from zhentu.ports import ComparerPort
from zhentu.record.pictures import PictureStore
from zhentu.record.store import RecordStore
from zhentu.review.appeals import Appeals
from zhentu.review.fill import Filler, FillSettings
from zhentu.review.pictures import FolderFetch, KeptFetch, ReviewPictures
from zhentu.review.queue import ReviewQueue
from zhentu.review.sessions import ProxySignIn, Sessions
from zhentu.review.web.desk import Desk
from zhentu.screen import Screener
from zhentu.settings import Settings


def build_desk(
    settings: Settings,
    store: RecordStore,
    banks: Banks,
    screener: Callable[[], Screener | None] = lambda: None,
    open_token: str = "",
    decoder: DecoderPort = IN_PROCESS,
) -> Desk:
    """The review desk over a store. screener: returns the one in force, for heatmaps and comparisons.

    open_token: lets a browser in without a key, in open mode.  decoder: what decodes pictures here.
    """
    limits = limits_of(settings)
    fetches = (KeptFetch(PictureStore(settings.store.pictures)), FolderFetch(settings.review.pictures, limits))
    pictures = ReviewPictures(
        store.database,
        fetches,
        limits,
        lambda: active.detector if (active := screener()) is not None else None,
        decoder,
    )

    def comparer() -> ComparerPort | None:
        active = screener()
        return None if active is None else active.comparer

    appeals = Appeals(store, pictures, comparer, settings.appeal.days)
    proxy = None
    if settings.review.proxy_header:
        secret = settings.review.proxy_secret.get_secret_value() if settings.review.proxy_secret else ""
        proxy = ProxySignIn(settings.review.proxy_header, settings.review.proxy_networks, secret)
    return Desk(
        store,
        ReviewQueue(store.database, appeals.decided, appeals.undone),
        appeals,
        pictures,
        banks,
        Filler(
            store.database,
            pictures.fingerprint_of,
            FillSettings(settings.review.sample_ratio, settings.review.second_ratio),
        ),
        Sessions(store.database),
        comparer,
        proxy,
        open_token,
    )


@contextmanager
def open_desk(settings: Settings) -> Iterator[Desk]:
    """The desk for a command, closed afterwards; without a model. Raises StoreError."""
    store = build_store(settings)
    try:
        yield build_desk(settings, store, build_banks(store))
    finally:
        store.close()
