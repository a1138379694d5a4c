"""Pictures that were let through while the gate could not be asked, kept until it can: one file each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import uuid_utils
from pydantic import ConfigDict, TypeAdapter

from zhentu.types import Listing


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture to be screened. idempotency_key: the same at every attempt, so that it is screened once."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    picture: bytes
    name: str
    listing: Listing
    references: tuple[bytes, ...]
    idempotency_key: str


class UploadQueue:
    """A folder of uploads; written durably before the pipeline goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, upload: Upload) -> None:
        """Keep one upload."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid_utils.uuid7()}.json"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(_adapter().dump_json(upload))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)

    def waiting(self) -> Iterator[tuple[Path, Upload]]:
        """Every upload, oldest first."""
        for path in sorted(self._folder.glob("*.json")):
            yield path, _adapter().validate_json(path.read_bytes())


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Upload]:
    return TypeAdapter(Upload)
