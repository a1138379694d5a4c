"""Which pictures a scan means: files, folders and globs of this machine, manifests, any fsspec URL, an SQL query.

Everything is yielded one by one: nothing here grows with the backlog. The ledger sorts and removes duplicates on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from zhentu.backlog.items import Item
from zhentu.backlog.listing import StoredObject, list_store, take_objects
from zhentu.backlog.manifests import OnSheet, SheetForm, is_manifest, read_manifest, read_query
from zhentu.backlog.reading import Reader, filesystem_of, is_url
from zhentu.errors import UsageError
from zhentu.intake.find import Entry, Taking, local_entries, named_like_a_picture, nothing_found
from zhentu.intake.skipped import Skipped, SkipReason

Listed = Item | Skipped
QUERY = "sql:"


@dataclass(frozen=True, slots=True)
class Found:
    """An item and its sort key: the number of its source and, within a folder, its path."""

    source: int
    sort_by: str
    item: Item


@dataclass(frozen=True, slots=True)
class Finding:
    """How sources are listed.

    database: SQLAlchemy URL of "sql:" sources.  goods: goods category of pictures whose sheet gives none.  sheet: how
    CSV sheets are written, if not to be guessed.  reader: reads first bytes and sheets.  on_sheet: told how
    each sheet is read.
    """

    database: str = ""
    goods: str = ""
    taking: Taking = field(default_factory=Taking)
    sheet: SheetForm = field(default_factory=SheetForm)
    reader: Reader = field(default_factory=Reader)
    on_sheet: OnSheet | None = None


def find_items(sources: Iterable[str], finding: Finding | None = None) -> Iterator[Found | Skipped]:
    """Every picture of the sources, and everything else in them with the reason why it is left out.

    In the order given; entries of folders, globs and prefixes are to be sorted by `sort_by`. A file or object that is
    named or matched by a glob is included whatever it is; inside folders and prefixes its name or first bytes decide. A
    named file or URL that ends like a sheet is a manifest; "sql:SELECT ..." runs on the database.
    Raises UsageError naming a source that has no picture or cannot be read at all.
    """
    finding = finding or Finding()
    for number, source in enumerate(sources):
        found, passed = 0, Counter[SkipReason]()
        for sort_by, entry in _expand(source, finding):
            if isinstance(entry, Skipped):
                passed[entry.reason] += 1
                yield replace(entry, source=number)
                continue
            found += 1
            if finding.goods and not entry.listing.goods:
                entry = replace(entry, listing=replace(entry.listing, goods=finding.goods))
            yield Found(number, sort_by, entry)
        if not found:
            raise nothing_found(source, passed)


def _expand(source: str, finding: Finding) -> Iterator[tuple[str, Listed]]:
    if source.startswith(QUERY):
        if not finding.database:
            raise UsageError("a query needs --database, the SQLAlchemy URL to run it on")
        with closing(read_query(finding.database, source.removeprefix(QUERY), finding.on_sheet)) as items:  # type: ignore[type-var]
            yield from (("", item) for item in items)
    elif is_url(source):
        yield from _expand_url(source, finding)
    else:
        yield from _expand_local(source, finding)


def _expand_local(source: str, finding: Finding) -> Iterator[tuple[str, Listed]]:
    if Path(source).is_file() and is_manifest(source):
        with Path(source).open("rb") as stream:
            for entry in read_manifest(stream, source, finding.sheet, finding.on_sheet):
                yield "", _beside(entry, Path(source).parent)
    else:
        yield from map(_entry, local_entries(source, finding.taking))


def _expand_url(source: str, finding: Finding) -> Iterator[tuple[str, Listed]]:
    from zhentu.backlog.s3 import is_s3  # with fsspec, which only addresses need

    try:
        if is_manifest(source):
            with finding.reader.open_sheet(source) as stream:
                folder = source.rsplit("/", 1)[0]
                for entry in read_manifest(stream, source, finding.sheet, finding.on_sheet):
                    yield "", _under(entry, folder)
            return
        system, path = filesystem_of(source)
        if is_s3(system):
            yield from _expand_s3(system, source, finding)
        elif any(mark in source for mark in "*[") and not system.exists(path):
            for match in system.glob(path):
                yield _entry(system.unstrip_protocol(match))
        elif named_like_a_picture(source):
            yield _entry(source)
        else:
            yield from _taken(list_store(system, path), finding)
    except FileNotFoundError:
        return  # reported as a source that matches nothing
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: cannot be listed: {error}") from error


def _expand_s3(system: object, source: str, finding: Finding) -> Iterator[tuple[str, Listed]]:
    from zhentu.backlog.s3 import glob_s3, list_s3, object_there

    if any(mark in source for mark in "*[") and not object_there(system, source):
        for stored in glob_s3(system, source):
            yield _entry(finding.taking.excluded(stored.url) or stored.url)
        return
    meant = named_like_a_picture(source)
    try:
        listed = not source.endswith("/") and object_there(system, source)
        if listed:
            yield _entry(source)
        for each in _taken(list_s3(system, source), finding):
            listed = True
            yield each
    except PermissionError:
        if not meant:
            raise
        listed = False  # without the right to list one may still read
    if meant and not listed:
        yield _entry(source)  # named explicitly; if it is missing, its row says so


def _taken(objects: Iterable[StoredObject], finding: Finding) -> Iterator[tuple[str, Listed]]:
    return map(_entry, take_objects(objects, finding.taking, finding.reader.first_bytes))


def _entry(entry: Entry) -> tuple[str, Listed]:
    """The entry with the path that the ledger sorts by."""
    return (entry.path, entry) if isinstance(entry, Skipped) else (entry, Item(entry))


def _beside(entry: Listed, folder: Path) -> Listed:
    """Relative paths of a manifest are relative to the manifest."""

    def place(path: str) -> str:
        return path if is_url(path) else str(folder / path)

    return _placed(entry, place)


def _under(entry: Listed, folder: str) -> Listed:
    def place(path: str) -> str:
        return path if is_url(path) or path.startswith("/") else f"{folder}/{path}"

    return _placed(entry, place)


def _placed(entry: Listed, place: Callable[[str], str]) -> Listed:
    if isinstance(entry, Skipped):
        return entry
    return replace(entry, path=place(entry.path), references=tuple(map(place, entry.references)))
