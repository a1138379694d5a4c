"""`zhentu-forge IN OUT`: forge pictures from genuine ones, with masks, labels and every parameter.

    zhentu-forge pictures/ forged/ --per-picture 4
    zhentu-forge pictures/ forged/ --recipes material cutout.bad_matte --config my-forge.yaml

OUT receives the forgeries with their masks and genuine sources, `manifest.csv` (training reads it as it is),
`parameters.jsonl` (what was drawn) and `overview.jpg`. The same pictures, seed and config give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from zhentu.errors import PictureError, ZhentuError
from zhentu.intake.decode import decode
from zhentu.intake.find import find_pictures
from zhentu.types import CATEGORIES
from zhentu_training.dataset import Sample, write_manifest
from zhentu_training.forge.base import Materials, cover
from zhentu_training.forge.draws import load_sections
from zhentu_training.forge.line import PARAMETERS, Plan, Written, forge_files, forged_sample, recipes_named
from zhentu_training.forge.registry import RECIPES
from zhentu_training.picture_files import write_picture

_OVERVIEW_ROWS, _OVERVIEW_SIDE = 12, 220


class _ListRecipes(argparse.Action):
    """Print and exit, as `--version` does: no other argument is needed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print("\n".join(RECIPES))
        parser.exit()


def main() -> None:
    """Parse, forge, write."""
    parser = argparse.ArgumentParser(
        prog="zhentu-forge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="+", help="genuine pictures: files, folders, globs; the last name is OUT")
    parser.add_argument("--list", action=_ListRecipes, nargs=0, help="print the recipes' names and exit")
    parser.add_argument("--per-picture", type=int, default=4, help="forgeries of each picture (default: 4)")
    parser.add_argument("--recipes", nargs="*", default=[], help="only these recipes or families; --list shows them")
    parser.add_argument("--config", type=Path, help="changes to configs/forge.yaml")
    parser.add_argument("--seed", type=int, default=20261124, help="another seed draws other forgeries")
    parser.add_argument(
        "--split", default="train", choices=["train", "dev", "calibrate"], help="what the manifest's split column says"
    )
    parser.add_argument("--name", default="own", help="what the manifest's source column says")
    parser.add_argument("--textures", type=Path, help="folder of material swatches")
    parser.add_argument("--cutouts", type=Path, help="folder of goods with an alpha channel")
    parser.add_argument("--scenes", type=Path, help="folder of scenes; default: the pictures themselves")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: every core)")
    arguments = parser.parse_args()
    if len(arguments.source) < 2:
        parser.error("name the pictures and then the folder to write to: zhentu-forge IN OUT")
    *sources, out = arguments.source
    try:
        _run(arguments, sources, Path(out))
    except (ZhentuError, KeyError) as error:
        sys.exit(f"zhentu-forge: {error.args[0]}")


def _run(arguments: argparse.Namespace, sources: list[str], out: Path) -> None:
    paths = [Path(path) for path in find_pictures(sources)]
    good = [path for path in tqdm(paths, desc="reading", disable=None) if _readable(path)]
    plan = Plan(
        out=out.resolve(),
        per_picture=arguments.per_picture,
        seed=arguments.seed,
        materials=Materials(
            _files(arguments.textures), _files(arguments.cutouts), _files(arguments.scenes) or tuple(good)
        ),
        sections=load_sections(arguments.config),
        recipes=recipes_named(arguments.recipes),
    )
    named = (Sample.genuine(path, arguments.name, arguments.split) for path in good)
    samples = [replace(sample, path=sample.path.resolve()) for sample in named]
    shown: list[Written] = []
    out.mkdir(parents=True, exist_ok=True)
    with (out / PARAMETERS).open("w", encoding="utf-8") as parameters:
        progress = tqdm(forge_files(good, plan, arguments.workers), total=len(good), desc="forging", disable=None)
        for genuine, written in zip(tuple(samples), progress, strict=True):
            for each in written:
                samples.append(forged_sample(genuine, each))
                parameters.write(
                    f'{{"file": "{each.picture.name}", "recipe": "{each.recipe}", "parameters": {each.parameters}}}\n'
                )
            shown += written
    write_manifest(samples, out.resolve() / "manifest.csv")
    if shown:
        write_picture(out / "overview.jpg", overview(shown)[..., ::-1])
    labels = ", ".join(f"{sum(label in s.labels for s in samples)} {label.value}" for label in CATEGORIES)
    print(f"{len(shown)} pictures forged from {len(good)} in {out}: {labels}")
    if len(good) < len(paths):
        print(f"{len(paths) - len(good)} files could not be read and were left out", file=sys.stderr)


def overview(written: list[Written]) -> np.ndarray:
    """Source, forgery and mask side by side, a few of every recipe: uint8 RGB."""
    first = list({each.recipe: each for each in reversed(written)}.values())[::-1][: 3 * _OVERVIEW_ROWS]
    cells = []
    for each in first:
        paths = each.pair, each.picture, each.mask
        cell = np.hstack([cover(decode(path.read_bytes()).rgb, _OVERVIEW_SIDE, _OVERVIEW_SIDE) for path in paths])
        cv2.rectangle(cell, (0, 0), (10 * len(each.recipe) + 8, 24), (20, 20, 20), -1)
        cv2.putText(cell, each.recipe, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(np.pad(cell, ((4, 4), (6, 6), (0, 0)), constant_values=255))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % 3)
    return np.vstack([np.hstack(cells[k : k + 3]) for k in range(0, len(cells), 3)])


def _readable(path: Path) -> bool:
    try:
        decode(path.read_bytes())
    except (PictureError, OSError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return False
    return True


def _files(folder: Path | None) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.is_file())) if folder else ()


if __name__ == "__main__":
    main()
