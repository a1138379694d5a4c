"""People's own pictures as a training set: readable, each look once, from sources that can be left out.

Pictures are linked under names of their contents, because features are kept by path: a picture that is changed in
place becomes a different picture.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zhentu.errors import UsageError
from zhentu_training.dataset import DISPUTED, Origin, Sample
from zhentu_training.duplicates import BYTES, LOOKS, looks_of, name_doubles, same_looks, without_duplicates

_NAMED = 5  # pictures, in a message


def contents_of(samples: Sequence[Sample]) -> dict[Path, str]:
    """sha256 of every file the rows name. Raises UsageError naming those that are not there."""
    paths = {path for sample in samples for path in (sample.path, sample.pair, sample.mask) if path is not None}
    missing = [str(path) for path in sorted(paths) if not path.is_file()]
    if missing:
        raise UsageError(f"{len(missing)} files are missing: {', '.join(missing[:_NAMED])}")
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def digest_of(samples: Sequence[Sample], contents: dict[Path, str]) -> str:
    """What decides the set: every row, its files by content."""
    rows = []
    for sample in samples:
        files = [contents.get(path, "") if path else "" for path in (sample.path, sample.mask, sample.pair)]
        labels = [" ".join(sorted(each)) for each in (sample.labels, sample.known)]
        facts = [
            sample.split,
            sample.source,
            sample.product,
            sample.kind,
            sample.goods,
            sample.generator,
            sample.recipe,
        ]
        rows.append("\0".join([*files, *labels, *facts]))
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def take(samples: Sequence[Sample], contents: dict[Path, str], out: Path) -> tuple[list[Sample], str]:
    """Rows to train on, pictures linked below `out`; and what was left out, one line.

    unreadable.csv and doubles.csv in `out` name it. Raises UsageError if two rows contradict each other, or when
    what is left cannot be judged.
    """
    given = len(samples)
    samples = [sample for sample in samples if sample.split != DISPUTED]
    disputed, origins = given - len(samples), {_named(contents, path): path for path in contents}
    linked, again = _once(samples, contents)
    samples = [_linked(sample, contents, out / "pictures") for sample in linked]
    readable = looks_of([sample.path for sample in samples if sample.origin is not Origin.OWN], out / "looks.csv")
    unreadable = [s.path for s in samples if s.origin is not Origin.OWN and s.path not in readable]
    samples = [sample for sample in samples if sample.path not in set(unreadable)]
    samples, alone = with_sources(samples)
    left, alike = without_duplicates(samples, same_looks(samples, out / "looks.csv"))
    shown = {path: origins.get(path.name, path) for path in {s.path for s in samples} | set(unreadable)}
    _write(out / "unreadable.csv", ["path"], *([shown[path]] for path in unreadable))
    looks = ((shown[gone.path], shown[first.path], LOOKS) for gone, first in alike)
    name_doubles(out / "doubles.csv", [*((gone, first, BYTES) for gone, first in again), *looks])
    _check(left)
    facts = [f"{len(left)} of {given} pictures", f"{len(again)} the same files as others"]
    facts += [f"{len(alike)} look like others", f"{len(unreadable)} unreadable"]
    facts += [f"{disputed} disputed"] if disputed else []
    facts += [f"judged picture by picture, all of one source: {', '.join(alone)}"] if alone else []
    return left, "; ".join(facts)


def with_sources(samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    """Where all genuine or all forged pictures are of one source, each product is a source; and whose names those were.

    A source is judged by heads that never saw it. Were the only one left out, nothing would be left to learn from.
    """
    alone = set()
    for forged in (False, True):
        sources = {s.source for s in samples if s.origin is Origin.REAL and s.forged is forged}
        alone |= sources if len(sources) == 1 else {""} & sources
    found = [replace(s, source=f"{s.source}/{s.product}".strip("/")) if s.source in alone else s for s in samples]
    return found, sorted(name or "no source given" for name in alone)


def _once(samples: Sequence[Sample], contents: dict[Path, str]) -> tuple[list[Sample], list[tuple[Path, Path]]]:
    """Each content once, and the paths of the others, each with the one that stays.

    Raises UsageError if one content is labelled in two ways.
    """
    first: dict[str, Sample] = {}
    wrong, again = [], []
    for sample in samples:
        other = first.setdefault(contents[sample.path], sample)
        if other is not sample:
            again.append((sample.path, other.path))
        if other.labels != sample.labels:
            said = [" ".join(sorted(each.labels)) or "genuine" for each in (other, sample)]
            wrong.append(f"{other.path} ({said[0]}) and {sample.path} ({said[1]})")
    if wrong:
        raise UsageError(
            f"{len(wrong)} pictures stand under two labels, remove one of each: {'; '.join(wrong[:_NAMED])}"
        )
    return list(first.values()), again


def _named(contents: dict[Path, str], path: Path) -> str:
    return f"{contents[path]}{path.suffix.lower()}"


def _linked(sample: Sample, contents: dict[Path, str], folder: Path) -> Sample:
    folder.mkdir(parents=True, exist_ok=True)
    places = []
    for path in (sample.path, sample.pair):
        place = None
        if path is not None:
            place = folder.resolve() / _named(contents, path)
            if not place.is_file():
                place.unlink(missing_ok=True)  # a link whose picture was moved
                place.symlink_to(path.resolve())
        places.append(place)
    assert places[0] is not None  # noqa: S101 - a row has a picture
    return replace(sample, path=places[0], pair=places[1])


def _check(samples: Sequence[Sample]) -> None:
    for forged in (False, True):
        sources = {s.source for s in samples if s.origin is Origin.REAL and s.forged is forged}
        if len(sources) < 2:
            kind = "forged or AI-made" if forged else "genuine"
            raise UsageError(
                f"{len(sources)} {kind} pictures (or sources) are left; two are the least, to learn and to judge"
            )


def _write(path: Path, *rows: Sequence[object]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
