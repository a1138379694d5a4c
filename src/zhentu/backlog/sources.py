"""Which pictures a scan means: files, folders and globs of this machine, manifests, any fsspec URL, an SQL query.

Everything is yielded one by one: nothing here grows with the backlog. The ledger sorts and removes doubles, on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import fsspec

from zhentu.backlog.items import Item
from zhentu.backlog.manifests import is_manifest, read_manifest, read_query
from zhentu.backlog.reading import filesystem_of, is_url
from zhentu.errors import UsageError
from zhentu.intake.find import SUFFIXES, local_pictures, nothing_found

QUERY = "sql:"


@dataclass(frozen=True, slots=True)
class Found:
    """An item and its place: the number of its source, and within a folder its path, within a manifest nothing."""

    source: int
    sort_by: str
    item: Item


def find_items(sources: Iterable[str], database: str = "", goods: str = "") -> Iterator[Found]:
    """Every picture of the sources, in the order given; folders, globs and prefixes are to be sorted by `sort_by`.

    A file named outright, or matched by a glob, is taken whatever its suffix; inside folders the suffix decides.
    A named file or URL ending in .csv, .jsonl or .parquet is a manifest; "sql:SELECT ..." runs on `database`.
    goods: goods category of pictures whose manifest gives none.
    Links to folders are not followed. Raises UsageError naming a source that matches nothing or a folder that cannot be
    read: leaving it out in silence would make the rows look complete.
    """
    for number, source in enumerate(sources):
        empty = True
        for sort_by, item in _expand(source, database):
            empty = False
            if goods and not item.listing.goods:
                item = replace(item, listing=replace(item.listing, goods=goods))
            yield Found(number, sort_by, item)
        if empty:
            raise nothing_found(source)


def _expand(source: str, database: str) -> Iterator[tuple[str, Item]]:
    if source.startswith(QUERY):
        if not database:
            raise UsageError("a query needs --database, the SQLAlchemy URL it is run on")
        with closing(read_query(database, source.removeprefix(QUERY))) as items:  # type: ignore[type-var]
            yield from (("", item) for item in items)
    elif is_url(source):
        yield from _expand_url(source)
    else:
        yield from _expand_local(source)


def _expand_local(source: str) -> Iterator[tuple[str, Item]]:
    if Path(source).is_file() and is_manifest(source):
        with Path(source).open("rb") as stream:
            for item in read_manifest(stream, source):
                yield "", _beside(item, Path(source).parent)
    else:
        yield from map(_plain, local_pictures(source))


def _expand_url(source: str) -> Iterator[tuple[str, Item]]:
    system, path = filesystem_of(source)
    try:
        if is_manifest(source):
            with system.open(path, "rb") as stream:
                folder = source.rsplit("/", 1)[0]
                for item in read_manifest(stream, source):
                    yield "", _under(item, folder)
        elif any(mark in source for mark in "*["):
            for match in system.glob(path):
                yield _plain(system.unstrip_protocol(match))
        elif PurePosixPath(source).suffix.lower() in SUFFIXES:
            yield _plain(source)
        else:
            yield from _walk_url(system, path)
    except FileNotFoundError:
        return  # reported as a source that matches nothing
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: cannot be listed: {error}") from error


def _walk_url(system: fsspec.AbstractFileSystem, path: str) -> Iterator[tuple[str, Item]]:
    for _, _, files in system.walk(path, detail=True, on_error="raise"):
        for entry in files.values():
            name = str(entry["name"])
            if PurePosixPath(name).suffix.lower() in SUFFIXES:
                yield _plain(system.unstrip_protocol(name))
        system.invalidate_cache()  # its listing cache would grow with the backlog


def _plain(path: str) -> tuple[str, Item]:
    return path, Item(path)


def _beside(item: Item, folder: Path) -> Item:
    """Relative paths of a manifest are relative to the manifest."""

    def place(path: str) -> str:
        return path if is_url(path) else str(folder / path)

    return replace(item, path=place(item.path), references=tuple(map(place, item.references)))


def _under(item: Item, folder: str) -> Item:
    def place(path: str) -> str:
        return path if is_url(path) or path.startswith("/") else f"{folder}/{path}"

    return replace(item, path=place(item.path), references=tuple(map(place, item.references)))
