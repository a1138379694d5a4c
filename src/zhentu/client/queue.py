"""Pictures that were let through while the gate was unreachable, kept until it is back: one file each."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import uuid_utils
from pydantic import ConfigDict, TypeAdapter

from zhentu.types import Listing

_VERSION = 1  # of a file; files without one are those of 0.1
_log = logging.getLogger("zhentu")


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
    """A folder of uploads; written durably before the pipeline continues. Only this process's user may read it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, upload: Upload) -> None:
        """Keep one upload."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{uuid_utils.uuid7()}.json"
        partial = path.with_suffix(".partial")
        with open(partial, "wb", opener=_private) as file:
            file.write(b'{"version":%d,"upload":%s}' % (_VERSION, _adapter().dump_json(upload)))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)

    def waiting(self) -> Iterator[tuple[Path, Upload]]:
        """Every upload, oldest first; a file that cannot be read is set aside and named in the log."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                upload = _upload_of(path.read_bytes())
            except FileNotFoundError:  # another process has sent it
                continue
            except (ValueError, KeyError) as error:
                self.set_aside(path, f"this file cannot be read: {error}")
                continue
            yield path, upload

    def answered(self, path: Path) -> None:
        """The gate has answered: delete the file."""
        path.unlink(missing_ok=True)

    def set_aside(self, path: Path, reason: str) -> None:
        """Keep a file that need not be sent again in the folder `refused`, with the reason beside it."""
        folder = self._folder / "refused"
        folder.mkdir(exist_ok=True, mode=0o700)
        (folder / f"{path.stem}.txt").write_text(reason, encoding="utf-8", errors="backslashreplace")
        path.rename(folder / path.name)
        _log.error("%s was not screened; it is in %s: %s", path.name, folder, reason.splitlines()[0])


def _upload_of(content: bytes) -> Upload:
    told = json.loads(content)
    version = told.get("version", 0) if isinstance(told, dict) else None
    if version == 0:
        return _adapter().validate_json(content)
    if version != _VERSION:
        raise ValueError(f"it has version {version!r}, this zhentu knows {_VERSION}")
    return _adapter().validate_json(json.dumps(told["upload"]))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Upload]:
    return TypeAdapter(Upload)
