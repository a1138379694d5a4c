"""Every picture the comparison learns from, looked at once and kept: made ones, and real views of the same goods.

    python -m zhentu_training.compare.sights --pictures ../shared/data --views runs/views --run runs/compare
    python -m zhentu_training.compare.sights ... --taught 300 --more ../more      # and products that only fit

One file a unit (a product's made pictures, or a handful of real ones), so that an interrupted run goes on where it was.
A split is by group of products; a unit is wholly in one split.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from zhentu.detect.canvas import Canvas, Points, canvas_of, view_of
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.models import Manifest
from zhentu.detect.views import whole_view
from zhentu.intake.decode import decode
from zhentu_training.commands import errors_said_plainly
from zhentu_training.compare.encoder import TokenEncoder, token_encoder
from zhentu_training.compare.pairs import ALTERED, Framing, Matted, altered, matted, view
from zhentu_training.forge.base import Materials

SPLITS = {"train": 0.6, "calibrate": 0.15, "judge": 0.25}
_KINDS = ("white_bg", "studio", "user_shot")  # where goods stand alone
_ALTERED_EACH = 4
_RARE = ("material.print", "construction", "reinvented")  # what is hardest to tell: every product that only fits has it
TAUGHT = "taught"  # source of the made products that only fit
_SEEN_ELSEWHERE = ("kamii", "hakeems", "grocery")  # shops whose goods are among the real views: one may be judged
_MADE_SHARES = {"cutout": 0.4, "catalogue": 0.4, "kamii-made": 0.2}
# Columns of a unit's file, by the names of the fields they keep; a canvas has its own, see `save`.
_WORDS = ("source", "split", "group", "product", "colour", "look", "kind")
_ARRAYS = ("tokens", "classes", "whole")


@dataclass(frozen=True, slots=True)
class Unit:
    """Pictures looked at together. made: of the one product at `files[0]`; otherwise `files` are real views."""

    name: str
    source: str
    split: str
    files: tuple[Path, ...]
    products: tuple[str, ...]
    groups: tuple[str, ...]
    colours: tuple[str, ...]
    looks: tuple[str, ...]
    made: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """What a picture shows, and which part of the set it belongs to.

    group: products that may not be parted by a split.  look: "made", or how a shop shows the goods.  kind: match, or
    how the goods were altered.  framing: pictures of one framing are one photograph.
    """

    source: str
    split: str
    group: str
    product: str
    colour: str
    look: str
    kind: str
    framing: int


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One picture, looked at. found: whether its goods were found.

    tokens: float16 (blocks, places, D), raw.  classes: float32 (blocks, D), raw.  whole: class tokens of the whole
    picture, for the baseline; empty outside the judged split.
    """

    subject: Subject
    found: bool
    canvas: Canvas
    tokens: np.ndarray
    classes: np.ndarray
    whole: np.ndarray


def split_of(group: str, groups: list[str]) -> str:
    """The split of a group among its source's groups, by rank of a hash: shares hold also for few groups."""
    ranked = sorted(groups, key=lambda each: hashlib.sha256(each.encode()).digest())
    place = (ranked.index(group) + 0.5) / len(ranked)
    if place < SPLITS["train"]:
        return "train"
    return "calibrate" if place < SPLITS["train"] + SPLITS["calibrate"] else "judge"


def all_units(pictures: Path, views: Path, made: int, seed: int) -> list[Unit]:
    """Units in an order that mixes all sources, so that a part of them is already a fair sample."""
    units = [*_made_units(pictures, views, made, seed), *_real_units(views)]
    return sorted(units, key=lambda unit: hashlib.sha256(unit.name.encode()).digest())


def taught_units(pictures: Path, more: Path | None, made: int, count: int, seed: int) -> Iterator[Unit]:
    """Products beyond those of `_made_units`, a third of them cut-outs; they only fit, so no split changes by them.

    more: another folder of the same form, whose pictures are taken first where a source is in both.
    """
    rng = np.random.default_rng(seed)
    candidates, cutouts = _candidates(pictures, rng)
    used = round(made * _MADE_SHARES["catalogue"])
    left = [path for path in candidates[used:] if not any(shop in path.as_posix().lower() for shop in _SEEN_ELSEWHERE)]
    if more:
        others = [path for path in _in_turn(more, rng) if "ai" not in path.parts]
        others = [path for path in others if not any(shop in path.as_posix().lower() for shop in _SEEN_ELSEWHERE)]
        left = [path for both in zip_longest(left, others) for path in both if path]
    left_cutouts = cutouts[round(made * _MADE_SHARES["cutout"]) :][: count // 3]
    for path in (*left_cutouts, *left[: count - len(left_cutouts)]):
        group = f"{TAUGHT}/{'-'.join(path.parts[-3:])}"
        name = f"{TAUGHT}-{hashlib.sha256(group.encode()).hexdigest()[:12]}-0"
        yield Unit(name, TAUGHT, "train", (path,), (group,), (group,), ("own",), ("made",), True)


def _in_turn(pictures: Path, rng: np.random.Generator) -> list[Path]:
    """Genuine pictures of goods that stand alone. Sources take turns: else the largest would fill the set."""
    table = pd.read_csv(pictures / "manifest.csv", dtype=str, keep_default_na=False)
    table = table[(table["label"] == "genuine") & table["kind"].isin(_KINDS)]
    table = table.iloc[rng.permutation(len(table))]
    order = table.assign(turn=table.groupby("source").cumcount()).sort_values("turn", kind="stable")
    return [pictures / file for file in order["file"]]


def _candidates(pictures: Path, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
    """Pictures and cut-outs to make products of, in the order in which they are taken."""
    listed = _in_turn(pictures, rng)
    return listed, [Path(path) for path in rng.permutation(sorted((pictures / "cutouts").glob("*")))]


def _made_units(pictures: Path, views: Path, count: int, seed: int) -> Iterator[Unit]:
    rng = np.random.default_rng(seed)
    candidates, cutouts = _candidates(pictures, rng)
    real = pd.read_csv(views / "views.csv", dtype=str)
    kamii = [views / file for file in rng.permutation(real.loc[real["source"] == "kamii", "file"])]
    for paths, (name, share) in zip((cutouts, candidates, kamii), _MADE_SHARES.items(), strict=True):
        chosen = [Path(path) for path in paths[: round(count * share)]]
        groups = [f"{name}/{path.stem}" for path in chosen]
        if name == "kamii-made":  # the same style may stand among the real views
            style = real.set_index("file")["group"]
            groups = [style[path.name] for path in chosen]
            everything = sorted(set(real.loc[real["source"] == "kamii", "group"]))
        else:
            everything = groups
        for path, group in zip(chosen, groups, strict=True):
            split = split_of(group, everything)
            yield Unit(f"{name}-{path.stem}", name, split, (path,), (group,), (group,), ("own",), ("made",), True)


def _real_units(views: Path) -> Iterator[Unit]:
    table = pd.read_csv(views / "views.csv", dtype=str)
    for source, rows in table.groupby("source"):
        everything = sorted(set(rows["group"]))
        if source == "kamii":  # a style of one colour says nothing here
            colours = rows.groupby("product")["colour"].transform("nunique")
            kept = rows.loc[colours > 1, "product"].drop_duplicates().sample(frac=1, random_state=3)[:140]
            rows = rows[rows["product"].isin(kept)].groupby("product").head(2)
        for group, own in rows.groupby("group"):
            split = split_of(str(group), everything)
            for start in range(0, len(own), 8):
                part = own.iloc[start : start + 8]
                yield Unit(
                    f"{source}-{hashlib.sha256(str(group).encode()).hexdigest()[:10]}-{start:03d}", str(source), split,
                    tuple(views / file for file in part["file"]), tuple(part["product"]), tuple(part["group"]),
                    tuple(part["colour"]), tuple(part["look"]), False,
                )  # fmt: skip


def sights_of(unit: Unit, finder: GoodsFinder, encoder: TokenEncoder, materials: Materials, seed: int) -> list[Sight]:
    """All pictures of a unit, looked at; empty if the goods of a made unit cannot be trusted."""
    if unit.made:
        goods = matted(unit.files[0], finder)
        shown = [] if goods is None else list(_made(unit, goods, materials, seed))
        rows = [(rgb, 0, kind, framing) for rgb, kind, framing in shown]
    else:
        rows = [(decode(path.read_bytes()).rgb, k, "match", -1 - k) for k, path in enumerate(unit.files)]
    if not rows:
        return []
    found = [finder.find_in(rgb) for rgb, *_ in rows]
    canvases = [canvas_of(rgb, goods) for (rgb, *_), goods in zip(rows, found, strict=True)]
    tokens, classes = encoder(np.stack([view_of(canvas) for canvas in canvases]))
    whole = np.zeros((len(rows), 0), np.float32)
    if unit.split == "judge":
        _, whole = encoder(np.stack([whole_view(rgb, 224) for rgb, *_ in rows]))
    subjects = [
        Subject(
            unit.source, unit.split, unit.groups[k], unit.products[k], unit.colours[k], unit.looks[k], kind, framing
        )
        for _, k, kind, framing in rows
    ]
    return [
        Sight(subject, found[row].found, canvases[row], tokens[row], classes[row], whole[row])
        for row, subject in enumerate(subjects)
    ]


def _made(unit: Unit, goods: Matted, materials: Materials, seed: int) -> Iterator[tuple[np.ndarray, str, int]]:
    """Three matches, one of them in the first one's framing, then altered goods, half of them in that framing too."""
    rng = np.random.default_rng([seed, int(hashlib.sha256(unit.name.encode()).hexdigest()[:8], 16)])
    first = int(rng.integers(2**31))
    for framing in (first, first, int(rng.integers(2**31))):
        yield view(goods, Framing(framing), materials.scenes, rng), "match", framing
    kinds = [*rng.permutation(ALTERED)[:_ALTERED_EACH]]
    if unit.source == TAUGHT:
        kinds = [*_RARE, *(kind for kind in kinds if kind not in _RARE)]
    for kind in kinds:
        changed = altered(goods, str(kind), materials, rng)
        if changed is not None:
            framing = first if rng.random() < 0.5 else int(rng.integers(2**31))
            yield view(changed, Framing(framing), materials.scenes, rng), str(kind), framing


def save(sights: list[Sight], path: Path) -> None:
    """Write a unit's sights, whole or not at all."""
    columns: dict[str, list[object]] = {}
    for sight in sights:
        canvas = sight.canvas
        row: dict[str, object] = {name: getattr(sight.subject, name) for name in _WORDS}
        row |= {"framing": sight.subject.framing, "found": sight.found}
        row |= {name: getattr(sight, name) for name in _ARRAYS}
        row |= {"rgb": canvas.rgb, "mask": (canvas.mask * 255).round().astype(np.uint8), "light": canvas.light}
        row |= {"light_known": canvas.light_known, "scale": canvas.scale, "corner": canvas.corner}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    counts = [len(sight.canvas.points.at) for sight in sights]
    arrays = {name: np.array(values) for name, values in columns.items()}
    arrays |= {"points": np.array(counts, int)}
    if sights:
        arrays |= {"at": np.concatenate([sight.canvas.points.at for sight in sights])}
        arrays |= {"described": np.concatenate([sight.canvas.points.described for sight in sights]).astype(np.float16)}
    beside = path.with_suffix(".tmp.npz")
    np.savez(beside, **arrays)  # type: ignore[arg-type]
    beside.replace(path)


def load(path: Path) -> list[Sight]:
    """Read a unit's sights."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    ends = np.cumsum(arrays["points"])
    sights = []
    for k, end in enumerate(ends):
        own = np.s_[end - arrays["points"][k] : end]
        points = Points(arrays["at"][own], arrays["described"][own].astype(np.float32))
        canvas = Canvas(
            arrays["rgb"][k], arrays["mask"][k].astype(np.float32) / 255, arrays["light"][k],
            bool(arrays["light_known"][k]), float(arrays["scale"][k]), tuple(arrays["corner"][k]), points,
        )  # fmt: skip
        subject = Subject(**{name: str(arrays[name][k]) for name in _WORDS}, framing=int(arrays["framing"][k]))
        sights.append(Sight(subject, bool(arrays["found"][k]), canvas, *(arrays[name][k] for name in _ARRAYS)))
    return sights


@errors_said_plainly()
def main() -> None:
    """Look at every unit that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"))
    parser.add_argument("--views", type=Path, required=True, help="folder written by scripts/collect_views.py")
    parser.add_argument("--run", type=Path, default=Path("runs/compare"))
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the goods finder lies")
    parser.add_argument("--made", type=int, default=240, help="so many products are made pictures of")
    parser.add_argument("--taught", type=int, default=0, help="so many more products are made pictures of, only to fit")
    parser.add_argument("--more", type=Path, help="another folder as --pictures, for --taught")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    entry = Manifest.load(arguments.models).finder
    assert entry is not None, "the models hold no finder: run zhentu_training.compare.finder first"  # noqa: S101
    finder = GoodsFinder(entry, arguments.models, arguments.threads)
    encoder = token_encoder(arguments.threads)
    table = pd.read_csv(arguments.pictures / "manifest.csv", dtype=str)
    table = table[(table["label"] == "genuine") & table["kind"].isin(["scene", "room", "lifestyle"])]
    materials = Materials(
        textures=tuple(sorted((arguments.pictures / "textures").glob("*"))),
        scenes=tuple(arguments.pictures / file for file in table["file"]),
    )
    folder = arguments.run / "sights"
    folder.mkdir(parents=True, exist_ok=True)
    units = all_units(arguments.pictures, arguments.views, arguments.made, arguments.seed)
    units += taught_units(arguments.pictures, arguments.more, arguments.made, arguments.taught, arguments.seed)
    for unit in tqdm(units, mininterval=10):
        path = folder / f"{unit.name}.npz"
        if not path.is_file():
            save(sights_of(unit, finder, encoder, materials, arguments.seed), path)


if __name__ == "__main__":
    main()
