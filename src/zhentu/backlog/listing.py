"""Objects of a store, one by one: a picture, or the reason why it is not one. S3 has its own file, s3.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from zhentu.intake.find import Entry, Sniffer, Taking, by_content, named_like_a_picture
from zhentu.intake.skipped import Skipped, SkipReason

if TYPE_CHECKING:
    import fsspec

_HADOOP_MARKER = "_$folder$"
_PAGE = 1_000  # entries looked into at a time; as many as an object store lists at once
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a store. url: to read it by.  size: bytes, None if the store does not say."""

    url: str
    size: int | None = None


def take_objects(objects: Iterable[StoredObject], taking: Taking, first_bytes: Sniffer) -> Iterator[Entry]:
    """Objects as entries; those with an unclear name are looked into, several at a time."""
    pending = iter(objects)
    with ThreadPoolExecutor(_AT_ONCE, "look") as threads:
        while page := list(islice(pending, _PAGE)):
            judged = [_by_name(each, taking) for each in page]
            unclear = [each.url for each, entry in zip(page, judged, strict=True) if entry is None]
            looked = threads.map(lambda url: by_content(url, first_bytes), unclear)
            for entry in judged:
                yield entry if entry is not None else next(looked)


def _by_name(found: StoredObject, taking: Taking) -> Entry | None:
    if skipped := taking.excluded(found.url):
        return skipped
    if found.url.endswith(("/", _HADOOP_MARKER)) and not found.size:
        return Skipped(found.url, SkipReason.FOLDER_MARKER)
    if named_like_a_picture(found.url):
        return found.url
    if found.size == 0:
        return Skipped(found.url, SkipReason.NOT_A_PICTURE, "empty")
    return None if taking.look_inside else Skipped(found.url, SkipReason.UNKNOWN_SUFFIX)


def list_store(system: fsspec.AbstractFileSystem, path: str) -> Iterator[StoredObject]:
    """Everything below a prefix of any other store, by its own find if keys are flat, otherwise folder by folder."""
    flat = {"gs", "gcs", "oss", "abfs", "az", "adl", "memory", "r2"}
    protocols = system.protocol if isinstance(system.protocol, tuple | list) else (system.protocol,)
    if flat.intersection(protocols):
        for name, entry in system.find(path, detail=True).items():
            yield StoredObject(system.unstrip_protocol(name), entry.get("size"))
        return
    for _, _, files in system.walk(path, detail=True, on_error="raise"):
        for entry in files.values():
            yield StoredObject(system.unstrip_protocol(str(entry["name"])), entry.get("size"))
        system.invalidate_cache()  # its listing cache would grow with the backlog
