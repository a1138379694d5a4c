"""Build the training set: real pictures as they are, and forgeries of the genuine ones, each beside its own source.

    python -m zhentu_training.prepare --pictures ../shared/data --out runs/set --per-picture 3

A stopped run continues where it was; how forgeries are made and written is in `forge/line.py`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from zhentu.errors import UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training import limits
from zhentu_training.commands import errors_said_plainly
from zhentu_training.dataset import DISPUTED, Origin, Sample, read_manifest, write_manifest
from zhentu_training.duplicates import BYTES, LOOKS, looks_of, name_doubles, same_files, same_looks, without_duplicates
from zhentu_training.edits import cases_of, pairs_of, strips_of
from zhentu_training.foldered import collected, rows_of
from zhentu_training.forge.base import Materials
from zhentu_training.forge.draws import load_sections
from zhentu_training.forge.line import Plan, forge_files, forged_sample, recipes_named, stem_of
from zhentu_training.limits import limit_of, within
from zhentu_training.progress import track
from zhentu_training.reading import some_of

_SAVE_EVERY = 50  # genuine pictures; a killed run goes on from the last saved manifest


def real_samples(pictures: Path) -> list[Sample]:
    """Rows of a picture folder: of its manifest.csv, or as `zhentu_training run` takes it. Raises UsageError."""
    rows = collected(pictures)
    if not rows:
        return [sample for sample in rows_of(pictures) if sample.split != DISPUTED]
    samples = []
    for row in rows:
        if row["label"] == "pair":
            continue
        genuine = row["label"] == "genuine"
        samples.append(
            Sample(
                path=(pictures / row["file"]).resolve(),
                split=row["split"],
                source=row["source"],
                product=_product(row),
                kind=row["kind"],
                goods=row["goods"],
                generator=row["generator"],
                labels=frozenset() if genuine else frozenset({Category.AI_GENERATED}),
                known=frozenset(CATEGORIES) if genuine else frozenset({Category.AI_GENERATED}),
                mask=None,
                pair=None,
                recipe="",
            )
        )
    return samples


def _product(row: dict[str, str]) -> str:
    """Variants of the same goods (colours, views) share a name in the shops' demo sets; those stay together."""
    return f"{row['source']}/{row['goods'] or Path(row['file']).stem}"


def real_ones(folders: Sequence[Path], out: Path) -> tuple[list[Sample], list[tuple[Sample, Sample]]]:
    """Real pictures and edited pairs of picture folders, each look once; and what was left out, beside its double."""
    samples = [sample for folder in folders for sample in real_samples(folder)]
    for folder in folders:
        samples += [*pairs_of(folder), *cases_of(folder), *strips_of(folder, out / "strips")]
    samples = readable_ones(list({sample.path: sample for sample in samples}.values()), out)
    return without_duplicates(samples, [*same_files(samples), *same_looks(samples, out / "looks.csv")])


def readable_ones(samples: Sequence[Sample], out: Path) -> list[Sample]:
    """The samples whose picture can be read; the others are named in unreadable.csv in `out`. Raises UsageError."""
    if missing := [str(sample.path) for sample in samples if not sample.path.is_file()]:
        raise UsageError(f"{len(missing)} files are missing: {some_of(missing)}; take out their rows")
    looks = looks_of([sample.path for sample in samples], out / "looks.csv")
    unreadable = [sample.path for sample in samples if sample.path not in looks]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "unreadable.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["path"], *([path] for path in unreadable)])
    if unreadable:
        print(f"{len(unreadable)} pictures cannot be read and are left out, see {out / 'unreadable.csv'}")
    return [sample for sample in samples if sample.path in looks]


def forge_missing(
    samples: list[Sample], genuine: Sequence[Sample], plans: Mapping[str, Plan], manifest: Path, workers: int
) -> list[Sample]:
    """Forge from those genuine pictures of which the manifest holds no forgery yet; write all rows, return the forged.

    plans: by split. The manifest is saved again and again: a killed run goes on from there.
    """
    manifest = manifest.resolve()  # absolute paths compare, whatever folder the command was started from
    folders, stems = {plan.out for plan in plans.values()}, {stem_of(s.path.read_bytes()): s for s in genuine}
    known = [s for s in read_manifest(manifest) if s.path.parent in folders] if manifest.is_file() else []
    # Forgeries of earlier calls stay, for other splits say; not those of pictures that left the set.
    honest = {stem_of(s.path.read_bytes()) for s in samples if known and not s.forged and s.origin is Origin.REAL}
    forged = [sample for sample in known if sample.path.name.split("_")[0] in honest]
    done = {sample.path.name.split("_")[0] for sample in forged}
    waiting = [sample for stem, sample in stems.items() if stem not in done]
    for split, plan in plans.items():
        own = [sample for sample in waiting if sample.split == split]
        outcomes = forge_files([sample.path for sample in own], plan, workers)
        written_of = track(zip(own, outcomes, strict=True), f"forging {split}", total=len(own))
        for count, (sample, written) in enumerate(written_of, start=1):
            forged += [forged_sample(sample, each) for each in written]
            if count % _SAVE_EVERY == 0:
                write_manifest(samples + forged, manifest)
    write_manifest(samples + forged, manifest)
    return forged


def main(argv: Sequence[str] | None = None) -> None:
    """Write `manifest.csv`, the forged pictures, their masks and sources into --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pictures",
        type=Path,
        nargs="+",
        default=[Path("../shared/data")],
        help="folders as of `zhentu_training run`, or with manifest.csv",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/set"))
    parser.add_argument("--per-picture", type=int, default=3, help="forgeries of each; 0 = forge none")
    parser.add_argument("--split", choices=["train", "dev", "both"], default="both")
    parser.add_argument("--recipes", nargs="*", default=[], help="only these recipes or families")
    parser.add_argument("--forge-config", type=Path, help="changes to configs/forge.yaml")
    parser.add_argument("--dev-config", type=Path, default=Path("configs/forge-dev.yaml"), help="changes for dev rows")
    parser.add_argument("--per-source", type=int, nargs=2, metavar=limits.METAVAR, help=f"{limits.HELP}; default: all")
    parser.add_argument("--limit", type=int, default=0, help="forge from so many genuine pictures only")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _prepare(arguments)


def _prepare(arguments: argparse.Namespace) -> None:
    folder, limit = arguments.out / "forged", limit_of(arguments)
    samples, alike = real_ones(arguments.pictures, arguments.out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    same = [gone.path.read_bytes() == first.path.read_bytes() for gone, first in alike]
    doubles = [
        (gone.path, first.path, BYTES if each else LOOKS) for (gone, first), each in zip(alike, same, strict=True)
    ]
    name_doubles(arguments.out / "doubles.csv", doubles)
    print(
        f"{len(alike)} pictures are left out, {sum(same)} the same files as others and {len(same) - sum(same)} looking "
        f"like others, see {arguments.out / 'doubles.csv'}"
    )
    samples, over = within(samples, limit)
    if over:
        print(over)
    genuine = [s for s in samples if not s.forged and s.recipe == "" and arguments.split in ("both", s.split)]
    np.random.default_rng(arguments.seed).shuffle(genuine)
    genuine = genuine[: arguments.limit or None] if arguments.per_picture else []
    scenes = [
        s.path for s in samples if s.split == "train" and not s.forged and s.kind in ("scene", "room", "lifestyle")
    ]
    materials = Materials(
        textures=tuple(path for root in arguments.pictures for path in sorted((root / "textures").glob("*"))),
        cutouts=tuple(path for root in arguments.pictures for path in sorted((root / "cutouts").glob("*"))),
        scenes=tuple(scenes),
    )
    train = Plan(
        folder.resolve(),
        arguments.per_picture,
        arguments.seed,
        materials,
        load_sections(arguments.forge_config),
        _recipes(arguments.recipes),
    )
    plans = {"train": train, "dev": replace(train, sections=load_sections(arguments.dev_config))}
    manifest = arguments.out / "manifest.csv"
    forged = forge_missing(samples, genuine, plans, manifest, arguments.workers)
    print(f"{len(samples)} real and {len(forged)} forged pictures in {manifest}")
    if not any(Category.AI_GENERATED in sample.labels for sample in samples):
        print("none of them is AI-made: ai_generated cannot be learnt from this set")


def _recipes(names: Sequence[str]) -> tuple[str, ...]:
    try:
        return recipes_named(names)
    except KeyError as error:
        raise UsageError(str(error.args[0])) from error


if __name__ == "__main__":
    main()
