"""Folders of this machine and prefixes of object stores, entry by entry: a picture, or a reason why it is none.

The name decides where it says that a picture is meant; elsewhere the first bytes do. S3 has its own file, s3.py.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import fsspec
from fsspec.utils import glob_translate

from zhentu.backlog.items import Item
from zhentu.backlog.skipped import Skipped, SkipReason
from zhentu.errors import ZhentuError
from zhentu.intake.sniff import PICTURES, SNIFF_BYTES, kind_of

_SUFFIX = re.compile(  # with what content networks write behind it: cup.jpg!q90, cup.jpg@600w, cup.jpg_400x400
    r"\.(jpe?g|jfif|jpe|mpo|png|apng|a?webp|avifs?|gif|bmp|dib|tiff?|hei[cf]s?|hif|jxl|svgz?|jp2|ico|psd)"
    r"(?:[!@~_][^/]*)?\s*$",
    re.IGNORECASE,
)
_HADOOP_MARKER = "_$folder$"
_PAGE = 1_000  # entries looked into together; as many as an object store lists at once
_AT_ONCE = 16
Entry = Item | Skipped
Sniffer = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Taking:
    """What a listing takes.

    exclude: patterns of paths that are left out.  look_inside: whether objects whose name says nothing are asked for
    their first bytes, one ranged read each; files of this machine always are.
    """

    exclude: tuple[str, ...] = ()
    look_inside: bool = True

    def excluded(self, path: str) -> Skipped | None:
        """The path as skipped where a pattern matches it, or its own name."""
        for pattern in self.exclude:
            if fnmatchcase(path, pattern) or fnmatchcase(path.rsplit("/", 1)[-1], pattern):
                return Skipped(path, SkipReason.EXCLUDED, pattern)
        return None


def named_like_a_picture(path: str) -> bool:
    """Whether the name says that a picture is meant."""
    return _SUFFIX.search(path) is not None


def walk_folder(folder: str, taking: Taking) -> Iterator[Entry]:
    """Everything below a folder; links to folders are not followed, and a folder that cannot be read is skipped."""
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as found:
                for each in found:
                    path = str(Path(here, each.name))
                    if each.is_dir(follow_symlinks=False):
                        pending.append(path)
                    else:
                        yield taking.excluded(path) or _local(path, plain=each.is_file(follow_symlinks=False))
        except OSError as error:
            yield Skipped(here, SkipReason.UNREADABLE_FOLDER, f"{error.strerror or error}; allow it or leave it out")


def _local(path: str, plain: bool) -> Entry:
    """plain: a regular file and no link, as the folder itself says, so that nothing need be asked of most files."""
    if not plain:
        try:
            if Path(path).is_dir():
                return _linked_folder(path)
            if not stat.S_ISREG(Path(path).stat().st_mode):
                return Skipped(path, SkipReason.SPECIAL_FILE, "a pipe, socket or device")
        except OSError as error:
            if error.errno == errno.ELOOP:
                return Skipped(path, SkipReason.SYMLINK_LOOP, "the link leads back to itself")
            return Item(path)  # a link that leads nowhere: its row says so
    return Item(path) if named_like_a_picture(path) else by_content(path, _first_bytes_of_file)


def glob_folders(pattern: str, taking: Taking) -> Iterator[Entry]:
    """Files that a pattern with `**` matches, or that lie in a folder it matches; links to folders are not followed.

    Python's own glob follows them, round and round where they lead back.
    """
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    root = fixed or ("/" if pattern.startswith("/") else ".")
    matches = re.compile(glob_translate(str(Path(pattern)))).match
    for entry in walk_folder(root, taking):
        names = (entry.path, *map(str, Path(entry.path).parents))
        if any(map(matches, names)):
            meant = isinstance(entry, Skipped) and entry.reason is SkipReason.NOT_A_PICTURE and matches(entry.path)
            yield Item(entry.path) if meant else entry


def _linked_folder(path: str) -> Skipped:
    target = Path(path).resolve()
    if target in (Path(path).parent.resolve(), *Path(path).parent.resolve().parents):
        return Skipped(path, SkipReason.SYMLINK_LOOP, f"leads to {target}, a folder above it")
    return Skipped(path, SkipReason.LINKED_FOLDER, f"leads to {target}; name that folder to scan it too")


def _first_bytes_of_file(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(SNIFF_BYTES)


def by_content(path: str, first_bytes: Sniffer) -> Entry:
    """A picture where the first bytes are one's; what cannot be read is taken, so that its row says why."""
    try:
        kind = kind_of(first_bytes(path))
    except (OSError, ZhentuError):
        return Item(path)
    return Item(path) if kind in PICTURES else Skipped(path, SkipReason.NOT_A_PICTURE, kind.value)


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a store. url: as it is read again.  size: bytes, None where the store does not say."""

    url: str
    size: int | None = None


def take_objects(objects: Iterable[Object], taking: Taking, first_bytes: Sniffer) -> Iterator[Entry]:
    """Objects as entries; those whose name says nothing are looked into, some at a time together."""
    pending = iter(objects)
    with ThreadPoolExecutor(_AT_ONCE, "look") as threads:
        while page := list(islice(pending, _PAGE)):
            judged = [_by_name(each, taking) for each in page]
            unclear = [each.url for each, entry in zip(page, judged, strict=True) if entry is None]
            looked = threads.map(lambda url: by_content(url, first_bytes), unclear)
            for entry in judged:
                yield entry if entry is not None else next(looked)


def _by_name(found: Object, taking: Taking) -> Entry | None:
    if skipped := taking.excluded(found.url):
        return skipped
    if found.url.endswith(("/", _HADOOP_MARKER)) and not found.size:
        return Skipped(found.url, SkipReason.FOLDER_MARKER)
    if named_like_a_picture(found.url):
        return Item(found.url)
    if found.size == 0:
        return Skipped(found.url, SkipReason.NOT_A_PICTURE, "empty")
    return None if taking.look_inside else Skipped(found.url, SkipReason.UNKNOWN_SUFFIX)


def list_store(system: fsspec.AbstractFileSystem, path: str) -> Iterator[Object]:
    """Everything below a prefix of any other store, by its own find where keys are flat, folder by folder elsewhere."""
    flat = {"gs", "gcs", "oss", "abfs", "az", "adl", "memory", "r2"}
    protocols = system.protocol if isinstance(system.protocol, tuple | list) else (system.protocol,)
    if flat.intersection(protocols):
        for name, entry in system.find(path, detail=True).items():
            yield Object(system.unstrip_protocol(name), entry.get("size"))
        return
    for _, _, files in system.walk(path, detail=True, on_error="raise"):
        for entry in files.values():
            yield Object(system.unstrip_protocol(str(entry["name"])), entry.get("size"))
        system.invalidate_cache()  # its listing cache would grow with the backlog
