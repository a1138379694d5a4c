"""Pictures as reviewers see them: found by their sha256, decoded, and re-encoded. Nothing is served raw.

A record's path is whatever the uploader called the file. It is opened only inside folders that the settings name, and
shown only if its bytes have the record's sha256, so that no name leads to another file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import insert, select

from zhentu.banks.hashing import fingerprint_of
from zhentu.detect.heatmap import overlay
from zhentu.errors import NotFound, PictureError, PictureNotFound
from zhentu.filenames import text_to_name
from zhentu.intake.decode import DecodeLimits, read_file
from zhentu.intake.ports import IN_PROCESS, DecoderPort
from zhentu.record.database import Database, now
from zhentu.record.pictures import PictureStore
from zhentu.review.schema import reference_pictures
from zhentu.thumbnails import as_jpeg, within
from zhentu.types import Category, Fingerprint, Picture, Record, Verdict

PREVIEW_SIDE = 1400  # pixels: enough to judge fringes, but no substitute for the original
REFERENCE_SIDE = 1600
QUALITY = 88  # of their JPEGs

Fetch = Callable[[Record], bytes | None]


class Looker(Protocol):
    """What makes heatmaps."""

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture."""
        ...


@dataclass(frozen=True, slots=True)
class FolderFetch:
    """Finds a record's picture among files: by its path as given, and below each folder. Without folders, nowhere."""

    folders: tuple[Path, ...]
    limits: DecodeLimits

    def __call__(self, record: Record) -> bytes | None:
        """The bytes with the record's sha256, None if no file has them."""
        named = Path(text_to_name(record.path))
        for folder in self.folders:
            root = folder.resolve()
            for candidate in (root / named, root / named.name):
                path = candidate.resolve()
                if not path.is_relative_to(root) or not path.is_file():
                    continue
                try:
                    payload = read_file(path, self.limits)
                except (PictureError, PictureNotFound):
                    continue
                if hashlib.sha256(payload).hexdigest() == record.picture_sha256:
                    return payload
        return None


@dataclass(frozen=True, slots=True)
class KeptFetch:
    """Finds a record's picture in the gate's picture store."""

    store: PictureStore

    def __call__(self, record: Record) -> bytes | None:
        """The bytes, None if they are not kept. Raises StoreError."""
        try:
            return self.store.get(record.picture_sha256, record.tenant)
        except NotFound:
            return None


class ReviewPictures:
    """Previews, heatmaps and references. fetches: asked in order for a record's bytes.

    detector: returns the detector in force, which makes heatmaps; None = there are none.
    """

    def __init__(
        self,
        database: Database,
        fetches: Sequence[Fetch],
        limits: DecodeLimits,
        detector: Callable[[], Looker | None] = lambda: None,
        decoder: DecoderPort = IN_PROCESS,
    ) -> None:
        self._database, self._fetches, self.limits, self._detector = database, tuple(fetches), limits, detector
        self.decoder = decoder

    def picture(self, record: Record) -> Picture:
        """The decoded picture of a record. Raises PictureNotFound if its bytes are gone, PictureError."""
        frame = record.verdict.frame if record.verdict else None
        return self.decoder.frame(self.original(record), frame, self.limits)

    def original(self, record: Record) -> bytes:
        """The bytes that were screened, only for training: they are never shown. Raises PictureNotFound."""
        for fetch in self._fetches:
            payload = fetch(record)
            if payload is not None and hashlib.sha256(payload).hexdigest() == record.picture_sha256:
                return payload
        raise PictureNotFound(
            "the picture's bytes are not kept here; set ZHENTU_REVIEW_PICTURES to the folders they lie in, "
            "or ZHENTU_STORE_PICTURES"
        )

    def fingerprint_of(self, record: Record) -> Fingerprint | None:
        """The fingerprint of a record's picture. Raises PictureNotFound, PictureError."""
        return fingerprint_of(self.picture(record))

    def preview(self, record: Record, most: int = 0) -> bytes:
        """JPEG, at most `most` (0: 1400) pixels a side. Raises PictureNotFound, PictureError."""
        return as_jpeg(within(self.picture(record).rgb, most or PREVIEW_SIDE), QUALITY)

    def heatmap(self, record: Record, category: Category) -> bytes:
        """JPEG of the same size as the preview, warm where the model saw the category.

        Raises PictureNotFound, PictureError, and NotFound if no model makes heatmaps.
        """
        detector = self._detector()
        if detector is None:
            raise NotFound("no model is loaded here, so there are no heatmaps")
        picture = self.picture(record)
        for heatmap in detector.detect(picture, with_heatmaps=True).heatmaps:
            if heatmap.category is category:
                return as_jpeg(overlay(picture, heatmap, PREVIEW_SIDE), QUALITY)
        raise NotFound(f"the model makes no heatmap for {category.value}")

    def keep_reference(self, picture: Picture) -> None:
        """Keep an appeal's photo, re-encoded, under the sha256 of what was sent."""
        jpeg = as_jpeg(within(picture.rgb, REFERENCE_SIDE), QUALITY)
        with self._database.begin() as connection:
            held = select(reference_pictures.c.sha256).where(reference_pictures.c.sha256 == picture.sha256)
            if connection.execute(held).scalar() is None:
                connection.execute(
                    insert(reference_pictures).values(sha256=picture.sha256, jpeg=jpeg, created_at=now())
                )

    def reference(self, sha256: str) -> bytes:
        """The JPEG of a reference. Raises PictureNotFound."""
        with self._database.begin() as connection:
            query = select(reference_pictures.c.jpeg).where(reference_pictures.c.sha256 == sha256)
            jpeg = connection.execute(query).scalar()
        if jpeg is None:
            raise PictureNotFound(f"no reference picture {sha256!r}")
        return bytes(jpeg)
