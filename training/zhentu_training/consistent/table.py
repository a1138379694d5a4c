"""The figures of every picture whose goods are found, in shards that survive a kill.

    python -m zhentu_training.consistent.table --manifest runs/set/manifest.csv --out runs/consistent

A shard is at OUT/<road>/<name>.npz: `names` (paths), `found` and `figures`, float32 (n, figures), zero where no goods
were found. Pictures in any shard are not measured again. Half a second of one core a picture, most of it the figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from zhentu.detect.goods import Goods, GoodsFinder
from zhentu.detect.models import Manifest, models_folder
from zhentu.detect.views import RgbArray
from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu_training.commands import errors_said_plainly
from zhentu_training.consistent.measure import Consistency, measure
from zhentu_training.dataset import Origin, Sample
from zhentu_training.features import pictures_of, taught_native
from zhentu_training.progress import track
from zhentu_training.tiers import TIERS

_SHARD = 32  # pictures; a quarter of a minute


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Pictures measured on one road. names: of the figures; figures: float32 (n, len(names)); found: bool (n,)."""

    paths: tuple[str, ...]
    found: np.ndarray
    figures: np.ndarray
    names: tuple[str, ...]


class Finder(Protocol):
    """What finds goods: `GoodsFinder`, or the same network in another runtime."""

    def find_in(self, rgb: RgbArray) -> Goods:
        """The goods in pixels."""
        ...


def extract(paths: Sequence[Path], road: str, out: Path, finder: Finder) -> list[Path]:
    """Measure every picture that is in no shard yet; returns the unreadable ones."""
    known = set(_known(out / road))
    waiting = [path for path in dict.fromkeys(paths) if str(path) not in known]
    unread: list[Path] = []
    for start in track(range(0, len(waiting), _SHARD), f"consistency, {road}", unit=f"{_SHARD} pictures"):
        rows: dict[str, tuple[bool, Consistency]] = {}
        for path in waiting[start : start + _SHARD]:
            try:
                picture = decode(path.read_bytes())
            except PictureError:
                unread.append(path)
                continue
            native = road == "native"
            rgb = taught_native(picture.rgb, picture.format, path.name) if native else TIERS[road](picture.rgb)
            rgb = np.ascontiguousarray(rgb)
            goods = finder.find_in(rgb)
            rows[str(path)] = goods.found, measure(rgb, goods)
        if rows:
            _write(out / road, rows)
    return unread


def _write(folder: Path, rows: dict[str, tuple[bool, Consistency]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()[:16]}.npz"
    half_written = path.with_suffix(".tmp")
    measured = [each for _, each in rows.values()]
    with half_written.open("wb") as file:
        np.savez(
            file,
            paths=np.array(list(rows)),
            found=np.array([found for found, _ in rows.values()]),
            figures=np.stack([each.figures for each in measured]),
            names=np.array(measured[0].names),
        )
    half_written.replace(path)


def _known(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            yield from map(str, shard["paths"])


def read(out: Path, road: str, wanted: Sequence[str]) -> Table:
    """Those of the wanted pictures that were measured, in the order wanted. Raises ValueError if none was."""
    place = {name: k for k, name in enumerate(wanted)}
    rows: dict[int, tuple[str, bool, np.ndarray]] = {}
    names: tuple[str, ...] = ()
    for path in sorted((out / road).glob("*.npz")):
        with np.load(path) as shard:
            names = tuple(map(str, shard["names"]))
            for name, found, figures in zip(map(str, shard["paths"]), shard["found"], shard["figures"], strict=True):
                if name in place:
                    rows[place[name]] = name, bool(found), figures
    if not rows:
        raise ValueError(f"{out / road}: holds none of these {len(wanted)} pictures; run this module first")
    paths, found, figures = zip(*(rows[k] for k in sorted(rows)), strict=True)
    return Table(paths, np.array(found), np.stack(figures), names)


def some_of_each(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    """Own forgeries, their originals and real edits all; of each genuine source `most`; AI-made pictures none."""
    rng = np.random.default_rng(seed)
    taken: dict[str, int] = {}
    chosen = []
    for k in rng.permutation(len(samples)):
        sample = samples[int(k)]
        if sample.origin is Origin.REAL:
            if sample.forged or taken.get(sample.source, 0) >= most:
                continue
            taken[sample.source] = taken.get(sample.source, 0) + 1
        chosen.append(sample)
    return chosen


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Measure a manifest's pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/consistent"))
    parser.add_argument("--models", type=Path, default=models_folder(), help="whose goods finder")
    parser.add_argument("--roads", nargs="+", default=["native", "web"], choices=list(TIERS))
    parser.add_argument("--each-source", type=int, default=25, help="genuine pictures at most")
    arguments = parser.parse_args(argv)
    entry = Manifest.load(arguments.models).finder
    if entry is None:
        parser.error(f"{arguments.models} holds no goods finder: run zhentu_training.compare.finder first")
    cv2.setNumThreads(1)
    finder = GoodsFinder(entry, arguments.models)
    paths = [sample.path for sample in some_of_each(pictures_of(arguments.manifest), arguments.each_source, 3)]
    for road in arguments.roads:
        for path in extract(paths, road, arguments.out, finder):
            print(f"{path}: cannot be read, left out")


if __name__ == "__main__":
    main()
