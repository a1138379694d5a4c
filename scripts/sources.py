"""Take pictures from fetched public repositories as a table of sources lists them; see `fetch_data.py sources`.

Pictures are drawn with a fixed seed from each repository's HEAD, so the same snapshots always give the same folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

COLUMNS = ("repo", "pattern", "label", "split", "limit", "min_side", "generator", "kind", "goods", "licence", "only")
_OPTIONAL = {"min_side", "generator", "kind", "goods", "licence", "only"}
_WRITTEN = ("file", "label", "split", "source", "generator", "kind", "goods", "licence", "origin", "width", "height",
            "stored", "sha256")  # fmt: skip
_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "MPO": "jpg"}
_PICTURE = re.compile(r"\.(jpe?g|png|webp)$", re.IGNORECASE)
_SEED = 5
_LEAST_SIDE = 200  # pixels, unless the table says otherwise
_MOST_PIXELS = 120_000_000
_TILE, _COLUMNS, _TILES = 160, 8, 32  # of a contact sheet


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the table: which pictures of which repository to take, how many at most, and what they are."""

    repo: str
    pattern: re.Pattern[str]
    label: str
    split: str
    limit: int
    min_side: int
    generator: str
    kind: str
    goods: str
    licence: str
    only: str

    @property
    def folder(self) -> str:
        """The source's folder name, below its label."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.repo).strip("-").lower()


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture that was written. file: its path in the output folder.  origin: its repository and path there."""

    source: Source
    file: str
    origin: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What a source gave. commit: its HEAD, empty if it is not fetched.  found: how many pictures match."""

    source: Source
    commit: str
    found: int
    taken: int


class SourceTableError(ValueError):
    """Names every problem of a table of sources."""


def read_sources(path: Path) -> list[Source]:
    """Read the table. Raises SourceTableError naming every wrong row."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ()) and name not in _OPTIONAL]
        if missing:
            raise SourceTableError(f"{path}: missing columns {', '.join(missing)}; it has {', '.join(COLUMNS)}")
        rows = [{name: row.get(name) or "" for name in COLUMNS} for row in reader]
    sources, problems = [], []
    for number, row in enumerate(rows, start=2):
        try:
            sources.append(_source(row))
        except (ValueError, re.error) as error:
            problems.append(f"row {number} ({row['repo'] or 'no repository'}): {error}")
    lists = {each.only for each in sources if each.only and not (path.parent / each.only).is_file()}
    problems += [f"{name}: is not beside the table" for name in sorted(lists)]
    if problems:
        raise SourceTableError(f"{path}: {'; '.join(problems)}")
    return sources


def _source(row: dict[str, str]) -> Source:
    numbers = {"limit": 0, "min_side": _LEAST_SIDE}
    for name, otherwise in numbers.items():
        if not (row[name] or str(otherwise)).isdigit():
            raise ValueError(f"{name} is {row[name]!r}, it must be a whole number")
        numbers[name] = int(row[name] or otherwise)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", row["repo"]):
        raise ValueError("repo must be owner/name")
    for name in ("label", "split"):
        if not re.fullmatch(r"[\w-]+", row[name]):  # they become folders
            raise ValueError(f"{name} is {row[name]!r}, it must be one word")
    rest = {name: row[name] for name in COLUMNS if name not in ("pattern", *numbers)}
    return Source(pattern=re.compile(row["pattern"]), **numbers, **rest)  # type: ignore[arg-type]


def git_dir(mirror: Path, repo: str) -> Path | None:
    """The git directory of a fetched repository: MIRROR/owner+name, or `repo` or `.git` inside it."""
    place = mirror / repo.replace("/", "+")
    for each in (place / "repo" / ".git", place / "repo", place / ".git", place):
        if (each / "HEAD").is_file():
            return each
    return None


def collect(
    sources: list[Source], mirror: Path, out: Path, scale: float, table: Path
) -> tuple[list[Taken], list[Tally]]:
    """Write pictures, byte for byte, to OUT/<split>/<label>/<source>/NNNNN.<suffix>, skipping sources not fetched.

    scale: multiplies every limit. A blob is taken only once over all sources; both halves of edited pairs count.
    """
    taken, tallies, seen = [], [], set[tuple[bool, str]]()
    for source in sources:
        place = git_dir(mirror, source.repo)
        if place is None:
            tallies.append(Tally(source, "", 0, 0))
            continue
        found = _drawn(source, place, table)
        before = len(taken)
        for path, blob in found:
            if len(taken) - before >= round(source.limit * scale):
                break
            if (source.label == "pair", blob) in seen:
                continue
            one = _written(source, place, path, blob, out, len(taken) - before)
            if one is not None:
                seen.add((source.label == "pair", blob))
                taken.append(one)
        commit = _git(place, "rev-parse", "HEAD").decode().strip()
        tallies.append(Tally(source, commit, len(found), len(taken) - before))
    return taken, tallies


def _drawn(source: Source, place: Path, table: Path) -> list[tuple[str, str]]:
    """The matching paths and blobs, in the order in which they are drawn."""
    found = sorted((path, blob) for path, blob in _blobs(place) if source.pattern.search(path))
    if source.only:
        with (table.parent / source.only).open(encoding="utf-8", newline="") as file:
            allowed = {tuple(row[:2]) for row in csv.reader(file)}
        found = [each for each in found if (source.repo, each[0]) in allowed]
    random.Random(_SEED).shuffle(found)
    return found


def _blobs(place: Path) -> Iterator[tuple[str, str]]:
    rows = _git(place, "ls-tree", "-r", "-z", "HEAD").decode("utf-8", "replace").split("\0")
    for row in rows:
        facts, _, path = row.partition("\t")
        if facts.split()[1:2] == ["blob"] and _PICTURE.search(path):
            yield path, facts.split()[2]


def _git(place: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", f"--git-dir={place}", *arguments], check=True, capture_output=True).stdout


def _written(source: Source, place: Path, path: str, blob: str, out: Path, number: int) -> Taken | None:
    """Write one picture; None if its blob is missing, too small, or not a complete picture of a known format."""
    try:
        payload = _git(place, "cat-file", "blob", blob)
        with Image.open(io.BytesIO(payload)) as picture:
            (width, height), form = picture.size, picture.format or ""
            if form not in _SUFFIXES or min(width, height) < source.min_side or width * height > _MOST_PIXELS:
                return None
            picture.load()
    except (subprocess.CalledProcessError, UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None  # an LFS pointer, a truncated file, an HTML page named .jpg
    except Image.DecompressionBombError:
        return None
    file = f"{source.split}/{source.label}/{source.folder}/{number:05d}.{_SUFFIXES[form]}"
    target = out / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(payload)
    return Taken(source, file, f"{source.repo}:{path}", width, height, hashlib.sha256(payload).hexdigest())


def write_manifest(taken: list[Taken], path: Path) -> str:
    """Write manifest.csv for `zhentu_training.prepare`; returns the digest of all pictures and their labels."""
    whole = hashlib.sha256()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_WRITTEN)
        for each in taken:
            s = each.source
            writer.writerow([each.file, s.label, s.split, s.repo, s.generator, s.kind, s.goods, s.licence, each.origin,
                             each.width, each.height, "original bytes", each.sha256])  # fmt: skip
            whole.update(f"{each.file}\0{s.label}\0{each.sha256}\n".encode())
    return whole.hexdigest()


def write_counts(tallies: list[Tally], path: Path) -> None:
    """Write how many pictures each source gave, and from which commit."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["repo", "label", "split", "commit", "found", "taken"])
        writer.writerows([t.source.repo, t.source.label, t.source.split, t.commit, t.found, t.taken] for t in tallies)


def write_sheets(taken: list[Taken], out: Path) -> int:
    """Write a contact sheet (JPEG) of the first 32 pictures of each source and label; returns how many sheets."""
    by_source: dict[str, list[Taken]] = {}
    for each in taken:
        by_source.setdefault(f"{each.source.split}_{each.source.label}_{each.source.folder}", []).append(each)
    (out / "sheets").mkdir(parents=True, exist_ok=True)
    for name, pictures in by_source.items():
        shown = pictures[:_TILES]
        size = (_TILE * min(len(shown), _COLUMNS), _TILE * -(-len(shown) // _COLUMNS))
        sheet = Image.new("RGB", size, "white")
        for place, each in enumerate(shown):
            with Image.open(out / each.file) as picture:
                tile = ImageOps.contain(picture.convert("RGB"), (_TILE, _TILE))
            sheet.paste(tile, (place % _COLUMNS * _TILE, place // _COLUMNS * _TILE))
        sheet.save(out / "sheets" / f"{name}.jpg", quality=80)
    return len(by_source)
