"""Picture files of this machine: what names, folders and globs stand for, and what else is there.

The name decides if it has a picture's suffix; otherwise the first bytes do. Nothing is skipped silently: an entry is a
path, or `Skipped` with the reason.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from zhentu.errors import UsageError, ZhentuError
from zhentu.intake.skipped import Skipped, SkipReason
from zhentu.intake.sniff import PICTURES, SNIFF_BYTES, kind_of

_SUFFIX = re.compile(  # with what content networks append: cup.jpg!q90, cup.jpg@600w, cup.jpg_400x400
    r"\.(jpe?g|jfif|jpe|mpo|png|apng|a?webp|avifs?|gif|bmp|dib|tiff?|hei[cf]s?|hif|jxl|svgz?|jp2|ico|psd)"
    r"(?:[!@~_][^/]*)?\s*$",
    re.IGNORECASE,
)
Entry = str | Skipped
Sniffer = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Taking:
    """What a listing includes.

    exclude: patterns of paths that are left out.  look_inside: whether the first bytes of objects with an unclear name
    are read, one ranged read each; those of local files always are.  own: what zhentu wrote at a path, "" of others.
    """

    exclude: tuple[str, ...] = ()
    look_inside: bool = True
    own: Callable[[str], str] = lambda _: ""

    def excluded(self, path: str) -> Skipped | None:
        """The path as skipped if a pattern matches it or its base name, or if zhentu wrote it."""
        for pattern in self.exclude:
            if fnmatchcase(path, pattern) or fnmatchcase(path.rsplit("/", 1)[-1], pattern):
                return Skipped(path, SkipReason.EXCLUDED, pattern)
        what = self.own(path)
        return Skipped(path, SkipReason.OWN_OUTPUT, what) if what else None


def find_pictures(sources: Iterable[str], taking: Taking = Taking()) -> list[str]:
    """The paths that sources stand for, each once; those of a folder or glob are sorted. For a handful of pictures.

    Raises UsageError naming a source that matches nothing or a folder that cannot be read.
    """
    found: list[str] = []
    for source in sources:
        entries = list(local_entries(source, taking))
        for each in entries:
            if isinstance(each, Skipped) and each.reason.incomplete:
                raise UsageError(f"{each.path}: the folder cannot be read: {each.detail}")
        paths = sorted(each for each in entries if not isinstance(each, Skipped))
        if not paths:
            raise nothing_found(source, Counter(each.reason for each in entries if isinstance(each, Skipped)))
        found += paths
    return list(dict.fromkeys(found))


def local_entries(source: str, taking: Taking) -> Iterator[Entry]:
    """What a name, folder or glob stands for, one by one, in no order. Links to folders are not followed.

    A file that is named or matched by a glob is included whatever it is, even a broken link: its row says so.
    """
    if Path(source).is_dir():
        yield from walk_folder(source, taking)
    elif os.path.lexists(source):
        yield str(Path(source))
    elif "**" in source:
        yield from glob_folders(source, taking)
    else:
        for match in glob.iglob(source):
            if Path(match).is_dir():
                yield from walk_folder(match, taking)
            else:
                path = str(Path(match))
                yield taking.excluded(path) or path


def nothing_found(source: str, passed: Counter[SkipReason]) -> UsageError:
    """The error for a source without a picture. passed: what it holds instead."""
    counts = ", ".join(f"{count} {reason.value}" for reason, count in passed.most_common())
    held = f" (it holds {counts})" if counts else ""
    return UsageError(f"{source}: no pictures found{held}; name a file, a folder, a glob, a manifest or a URL")


def named_like_a_picture(path: str) -> bool:
    """Whether the name has a picture's suffix."""
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
    """plain: a regular file and not a link, according to the folder, so that most files need no further call."""
    if not plain:
        try:
            if Path(path).is_dir():
                return _linked_folder(path)
            if not stat.S_ISREG(Path(path).stat().st_mode):
                return Skipped(path, SkipReason.SPECIAL_FILE, "a pipe, socket or device")
        except OSError as error:
            if error.errno == errno.ELOOP:
                return Skipped(path, SkipReason.SYMLINK_LOOP, "the link leads back to itself")
            return path  # a dangling link: its row says so
    return path if named_like_a_picture(path) else by_content(path, _first_bytes_of_file)


def glob_folders(pattern: str, taking: Taking) -> Iterator[Entry]:
    """Files that a pattern with `**` matches, or that lie in a folder it matches; links to folders are not followed.

    Python's own glob follows them, endlessly if they form a loop.
    """
    from fsspec.utils import glob_translate  # its import costs more than a folder is searched in

    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    root = fixed or ("/" if pattern.startswith("/") else ".")
    matches = re.compile(glob_translate(str(Path(pattern)))).match
    for entry in walk_folder(root, taking):
        path = entry.path if isinstance(entry, Skipped) else entry
        if any(map(matches, (path, *map(str, Path(path).parents)))):
            meant = isinstance(entry, Skipped) and entry.reason is SkipReason.NOT_A_PICTURE and matches(path)
            yield path if meant else entry


def _linked_folder(path: str) -> Skipped:
    target = Path(path).resolve()
    if target in (Path(path).parent.resolve(), *Path(path).parent.resolve().parents):
        return Skipped(path, SkipReason.SYMLINK_LOOP, f"leads to {target}, a folder above it")
    return Skipped(path, SkipReason.LINKED_FOLDER, f"leads to {target}; name that folder to scan it too")


def _first_bytes_of_file(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(SNIFF_BYTES)


def by_content(path: str, first_bytes: Sniffer) -> Entry:
    """A picture if its first bytes are one's; unreadable files are included, so that their row says why."""
    try:
        kind = kind_of(first_bytes(path))
    except (OSError, ZhentuError):
        return path
    return path if kind in PICTURES else Skipped(path, SkipReason.NOT_A_PICTURE, kind.value)
