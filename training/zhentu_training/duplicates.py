"""Pictures that look the same by PDQ, as in the banks: they count once and are judged together."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from zhentu.banks.hashing import MATCH_DISTANCE, colour_distance, colour_signature, pdq_hash
from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu.types import LEAST_QUALITY
from zhentu_training.dataset import Origin, Sample
from zhentu_training.progress import track

_COLOURS_APART = 0.25  # the banks' own limit for near-duplicates
_ROWS = 1024  # compared at once
_KEPT_EVERY = 256  # pictures

BYTES, LOOKS = "same bytes", "same look"  # how a picture that is left out repeats another
Look = tuple[bytes, int, bytes]  # PDQ, its quality, colours


def looks_of(paths: Sequence[Path], kept: Path | None = None) -> dict[Path, Look]:
    """PDQ, quality and colours of each picture that can be read. kept: a CSV of earlier ones, which grows."""
    known: dict[Path, Look] = {}
    if kept is not None and kept.is_file():
        with kept.open(encoding="utf-8", newline="") as file:
            for name, pdq, quality, colour in csv.reader(file):
                known[Path(name)] = bytes.fromhex(pdq), int(quality), bytes.fromhex(colour)
    waiting = [path for path in dict.fromkeys(paths) if path not in known]
    with ThreadPoolExecutor(2) as pool:
        for start in track(range(0, len(waiting), _KEPT_EVERY), "hashes", unit=f"{_KEPT_EVERY} pictures"):
            some = waiting[start : start + _KEPT_EVERY]
            found = {path: look for path, look in zip(some, pool.map(_look_at, some), strict=True) if look is not None}
            known |= found
            if kept is not None:
                _append(found, kept)
    return {path: known[path] for path in paths if path in known}


def _append(found: dict[Path, Look], kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    rows = [(path, pdq.hex(), quality, colour.hex()) for path, (pdq, quality, colour) in found.items()]
    with kept.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _look_at(path: Path) -> Look | None:
    try:
        rgb = decode(path.read_bytes()).rgb
    except PictureError:
        return None
    pdq, quality = pdq_hash(rgb)
    return pdq, quality, colour_signature(rgb)


def same_looks(samples: Sequence[Sample], kept: Path | None = None) -> list[tuple[int, int]]:
    """Pairs of places in `samples` of pictures that look the same; the project's own forgeries are left out."""
    places = [k for k, sample in enumerate(samples) if sample.origin is not Origin.OWN]
    looks = looks_of([samples[k].path for k in places], kept)
    places = [k for k in places if samples[k].path in looks and looks[samples[k].path][1] >= LEAST_QUALITY]
    if not places:
        return []
    hashes = np.frombuffer(b"".join(looks[samples[k].path][0] for k in places), np.uint8).reshape(len(places), -1)
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    pairs = []
    for start in range(0, len(places), _ROWS):
        distance = (signs.shape[1] - signs[start : start + _ROWS] @ signs.T) / 2
        for i, j in np.argwhere(distance <= MATCH_DISTANCE):
            one, other = places[start + int(i)], places[int(j)]
            if one < other and samples[one].path != samples[other].path:
                colours = [looks[samples[k].path][2] for k in (one, other)]
                if colour_distance(*colours) <= _COLOURS_APART:
                    pairs.append((one, other))
    return pairs


def same_files(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Pairs of places in `samples` of pictures that are one file's bytes under two paths, the first one first.

    Also those that are too plain for a PDQ, or cannot be decoded. The project's own forgeries are left out.
    """
    first: dict[str, int] = {}
    pairs = []
    for place, sample in enumerate(samples):
        if sample.origin is Origin.OWN or not sample.path.is_file():
            continue
        with sample.path.open("rb") as file:
            one = first.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), place)
        if one != place and samples[one].path != sample.path:
            pairs.append((one, place))
    return pairs


def name_doubles(path: Path, rows: Iterable[tuple[Path, Path, str]]) -> None:
    """Write which pictures were left out, for which others, and whether their bytes or their looks are the same."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("left out", "same as", "how"), *rows])


def without_duplicates(
    samples: Sequence[Sample], pairs: Sequence[tuple[int, int]]
) -> tuple[list[Sample], list[tuple[Sample, Sample]]]:
    """The samples with each look once (its first picture), and those left out, each with what it resembles.

    If a genuine picture resembles an AI-made one, a label is wrong or the AI edited a real picture: both stay. So
    does each half of an edited pair.
    """
    gone: dict[int, int] = {}
    for one, other in sorted(pairs):
        alike = samples[one].labels == samples[other].labels
        real = all(samples[k].origin is Origin.REAL for k in (one, other))
        if alike and real and one not in gone:
            gone.setdefault(other, one)
    left = [sample for k, sample in enumerate(samples) if k not in gone]
    return left, [(samples[other], samples[one]) for other, one in gone.items()]
