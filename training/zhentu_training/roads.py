r"""Pictures as they arrive by a road, as files that any release of zhentu can scan: all stand in one table then.

    python -m zhentu_training.roads write --manifest runs/set/manifest.csv --out runs/roads
    zhentu scan runs/roads/pictures --output runs/roads/0.2.0.csv        # with the release that is to be judged
    python -m zhentu_training.roads judge --manifest runs/set/manifest.csv --out runs/roads \
        --scanned 0.2.0=runs/roads/0.2.0.csv --features runs/features

Only pictures found as they are (genuine or AI-made) are written, none of the project's own forgeries. A picture that a
road leaves alone becomes a link to its file; any other is written as PNG, so that a reader gets the very pixels
that heads are judged on. `judge` prints a row a release and road on the pictures that all of them scored, beside the
heads of configs/train.yaml and of the plain design on the same pictures, cross-validated over sources.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from zhentu.errors import PictureError, UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training.card import markdown
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import load_designs, load_spec
from zhentu_training.crossval import figures_of, folds_for, scores_of
from zhentu_training.dataset import Origin, Sample
from zhentu_training.features import pictures_of, pixels_on
from zhentu_training.figures import Judged
from zhentu_training.picture_files import write_picture
from zhentu_training.progress import track
from zhentu_training.rows import gather
from zhentu_training.tiers import TIERS

PICTURES, SENT = "pictures", "sent.csv"


def some_of_each(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most `most` genuine and as many AI-made pictures of each source, always the same ones."""
    by_source: dict[tuple[str, bool], list[Sample]] = {}
    for sample in samples:
        if sample.origin is Origin.REAL:
            by_source.setdefault((sample.source, sample.forged), []).append(sample)
    drawn = (sorted(each, key=lambda sample: _hash(sample.path.name))[:most] for each in by_source.values())
    return [sample for each in drawn for sample in each]


def write_roads(samples: Sequence[Sample], roads: Sequence[str], out: Path) -> pd.DataFrame:
    """Write every picture on every road below `out`/pictures, those that are there already not again.

    Returns a table of file, road, picture, source and made; a picture that cannot be read has no row.
    """
    rows = []
    for sample in track(samples, "pictures"):
        for road in roads:
            try:
                file = _sent(sample.path, road, out / PICTURES)
            except PictureError as error:
                print(f"{sample.path}: {error}, left out")
                break
            made = Category.AI_GENERATED in sample.labels
            rows.append({"file": file.name, "road": road, "picture": str(sample.path), "source": sample.source,
                         "made": made})  # fmt: skip
    table = pd.DataFrame(rows, columns=["file", "road", "picture", "source", "made"])
    table.to_csv(out / SENT, index=False)
    return table


def _sent(path: Path, road: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem = _hash(f"{road} {path}")
    written, link = folder / f"{stem}.png", folder / f"{stem}{path.suffix.lower()}"
    there = next((file for file in (written, link) if file.exists()), None)
    if there is not None:
        return there
    rgb, as_stored = pixels_on(path, road)
    if as_stored:
        link.symlink_to(path.resolve())
        return link
    half_written = folder / f".{stem}.png"
    write_picture(half_written, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    half_written.replace(written)
    return written


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def scanned_scores(sent: pd.DataFrame, rows: Path) -> pd.Series:
    """`ai_generated` of each row of `sent`, NaN where the scan has no score. rows: what `zhentu scan --output` wrote.

    Raises UsageError when the scan has none of these pictures.
    """
    said = pd.read_csv(rows)
    by_name = dict(zip(said["path"].map(lambda path: Path(str(path)).name), said["ai_generated"], strict=True))
    scores = sent["file"].map(by_name).astype(float)
    if scores.isna().all():
        raise UsageError(f"{rows}: has no score of the {len(sent)} pictures that were written; scan {PICTURES}/")
    return scores


def judge(sent: pd.DataFrame, scores: Mapping[str, pd.Series]) -> pd.DataFrame:
    """One row a model and road, on the pictures that every model scored. scores: of each row of `sent`, by model."""
    everywhere = ~pd.DataFrame(dict(scores)).loc[sent.index].isna().any(axis=1)
    rows = []
    for road, part in sent[everywhere].groupby("road", sort=False):
        # A source that gives pictures of both classes counts as two.
        source = (part["source"] + part["made"].map({True: "", False: " (genuine)"})).to_numpy(str)
        for name, said in scores.items():
            judged = Judged(said[part.index].to_numpy(float), part["made"].to_numpy(bool), source)
            rows.append({"model": name, "road": road, **figures_of(judged)})
    return pd.DataFrame(rows)


def held_out_scores(sent: pd.DataFrame, arguments: argparse.Namespace) -> dict[str, pd.Series]:
    """`ai_generated` of the heads of the plain design and of the configuration, by heads that never saw the source."""
    spec = load_spec(arguments.config)
    rows = gather(pictures_of(arguments.manifest), arguments.features, list(dict.fromkeys(sent["road"])))
    fold = folds_for(rows.samples, arguments.siblings, arguments.manifest[0].with_name("looks.csv"), spec)
    fits = {design.name: design.fit for design in load_designs(arguments.designs, spec.fit)[:1]}
    found = {}
    for name, fit in {**fits, f"heads of {arguments.config.name}": spec.fit}.items():
        said = scores_of(rows, fold, fit, spec, arguments.out / "kept")[:, CATEGORIES.index(Category.AI_GENERATED)]
        keys = zip(map(str, (sample.path for sample in rows.samples)), rows.road, strict=True)
        by_key = dict(zip(keys, said, strict=True))
        found[name] = pd.Series(
            [by_key.get(key, np.nan) for key in zip(sent["picture"], sent["road"], strict=True)], sent.index, float
        )
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Write the folder, or judge what was scanned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["write", "judge"])
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/roads"))
    parser.add_argument("--roads", nargs="+", default=["native", "web"], choices=list(TIERS))
    parser.add_argument("--per-source", type=int, default=100, help="at most so many pictures of a class and source")
    parser.add_argument("--scanned", nargs="+", default=[], metavar="NAME=ROWS", help="a release, its rows")
    parser.add_argument("--unseen", type=Path, help="judge only pictures whose path lies below this folder")
    parser.add_argument("--features", type=Path, help="judge the heads of the configuration beside them")
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument(
        "--designs", type=Path, default=Path("configs/designs.yaml"), help="the first is the plain head"
    )
    parser.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"))
    with errors_said_plainly():
        _run(parser.parse_args(argv))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.step == "write":
        some = some_of_each(pictures_of(arguments.manifest), arguments.per_source)
        table = write_roads(some, arguments.roads, arguments.out)
        print(f"{len(table)} files in {arguments.out / PICTURES}; scan that folder")
        return
    sent = pd.read_csv(arguments.out / SENT)
    scores = {name: scanned_scores(sent, Path(rows)) for name, rows in (s.split("=", 1) for s in arguments.scanned)}
    if arguments.features:
        scores |= held_out_scores(sent, arguments)
    if not scores:
        raise UsageError("judge needs --scanned NAME=ROWS or --features FOLDER")
    if arguments.unseen:
        below = str(arguments.unseen.resolve())
        sent = sent[sent["picture"].map(lambda path: path.startswith(below))]
    table = judge(sent, scores)
    table.to_csv(arguments.out / "judged.csv", index=False)
    (arguments.out / "judged.md").write_text(markdown(table), encoding="utf-8")
    print(table.drop(columns=["worst AI sources", "worst genuine sources"]).to_string(index=False))


if __name__ == "__main__":
    main()
