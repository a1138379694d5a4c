"""A picture beside its closest reference, both warm where nothing similar was found in the other."""

from __future__ import annotations

from enum import StrEnum

from zhentu.banks.originals import original
from zhentu.detect.heatmap import overlay
from zhentu.errors import NotFound, PictureNotFound
from zhentu.review.items import ReviewItem
from zhentu.review.pictures import PREVIEW_SIDE, QUALITY
from zhentu.review.web.desk import Desk
from zhentu.review.web.views import brand_match
from zhentu.thumbnails import as_jpeg, within
from zhentu.types import Heatmap, Picture, Record


class Side(StrEnum):
    """Which of the two pictures."""

    PICTURE = "picture"
    REFERENCE = "reference"


def unlike(desk: Desk, item: ReviewItem, side: Side) -> bytes:
    """JPEG of one side. Raises NotFound without a comparison or references, PictureNotFound, PictureError."""
    comparer = desk.comparer()
    if comparer is None:
        raise NotFound("no comparison is installed here")
    record = desk.store.get(item.record_id)
    picture, references = desk.pictures.picture(record), _references(desk, item, record)
    found = comparer.compare(picture, references)
    closest = next(each for each in references if each.sha256 == found.reference_sha256)
    if side is Side.PICTURE:
        return _warm(picture, found.difference)
    return _warm(closest, found.reference_difference)


def _references(desk: Desk, item: ReviewItem, record: Record) -> list[Picture]:
    appeal = desk.appeals.for_item(item.item_id)
    payloads = [desk.pictures.reference(sha256) for sha256 in (appeal.references if appeal else ())]
    if not payloads:
        match = brand_match(desk, record)
        if match is None:
            raise PictureNotFound("this item has neither photos of the seller's nor a brand original")
        payloads = [original(desk.banks.store, match.entry_id)]
    return [desk.pictures.decoder.decode(payload, desk.pictures.limits) for payload in payloads]


def _warm(picture: Picture, heatmap: Heatmap | None) -> bytes:
    """The picture with the heatmap over it; unchanged if the comparison gave none for this side."""
    shown = overlay(picture, heatmap, PREVIEW_SIDE) if heatmap else within(picture.rgb, PREVIEW_SIDE)
    return as_jpeg(shown, QUALITY)
