"""Build the training set: real pictures as they are, and forgeries of the genuine ones, each beside its own source.

    python -m training.prepare --pictures ../shared/data --out runs/set --per-picture 3

Every forgery and the genuine picture it was made from are written with the same encoder, so that a pair differs by the
forgery alone. The set can be rebuilt bit for bit: each picture's draws are seeded by the seed and its own path.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from training.dataset import Sample, read_manifest, write_manifest
from training.forge.base import Forgery, Materials, NotApplicable
from training.forge.masks import foreground_mask
from training.forge.registry import forge
from zhentu.intake.decode import decode
from zhentu.types import LABELS, Label

# Share of draws per recipe family; within a family every recipe is equally likely.
FAMILY_WEIGHTS = {
    "reconstruct": 0.22,
    "material": 0.2,
    "effect": 0.18,
    "scene": 0.14,
    "cutout": 0.14,
    "negatives": 0.12,
}
MAX_SIDE = 640  # pixels; larger genuine pictures are cut to a native window before forging
JPEG_QUALITY = 96
_SAVE_EVERY = 50  # genuine pictures; a killed run goes on from the last saved manifest
PAIR_LABELS = {  # what the AI edit of a genuine -> edited pair shows besides being generated
    "material": {Label.MATERIAL_MISMATCH},
    "colour": {Label.MATERIAL_MISMATCH},
    "retouch": {Label.EXAGGERATED_EFFECT},
    "background": {Label.SCENE_DISTORTION},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one worker needs to forge from one genuine picture."""

    out: Path
    per_picture: int
    seed: int
    materials: Materials
    families: tuple[tuple[str, tuple[str, ...]], ...]


def real_samples(pictures: Path) -> list[Sample]:
    """Rows of the picture folder's own manifest.csv."""
    table = pd.read_csv(pictures / "manifest.csv", dtype=str, keep_default_na=False)
    samples = []
    for row in table.to_dict("records"):
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
                labels=frozenset() if genuine else frozenset({Label.AI_GENERATED}),
                known=frozenset(LABELS) if genuine else frozenset({Label.AI_GENERATED}),
                mask=None,
                pair=None,
                recipe="",
            )
        )
    return samples


def edited_pairs(pictures: Path) -> list[Sample]:
    """Genuine -> AI-edited pairs of `extras.csv`; every fourth is kept for development."""
    table = pd.read_csv(pictures / "extras.csv", dtype=str, keep_default_na=False)
    samples = []
    for row in table[table["kind"] == "pair"].to_dict("records"):
        before, after = ((pictures / name).resolve() for name in row["file"].split("|"))
        number = int(before.stem.split("_")[0])
        kind, _, generator = row["detail"].partition("/")
        extra = {label for word, labels in PAIR_LABELS.items() if word in row["detail"].lower() for label in labels}
        labels = frozenset({Label.AI_GENERATED} | extra)
        genuine = Sample(
            path=before,
            split="dev" if number % 4 == 0 else "train",
            source="edited-pairs",
            product=f"pair-{number}",
            kind=f"pair: {kind}",
            goods="",
            generator="",
            labels=frozenset(),
            known=frozenset(LABELS),
            mask=None,
            pair=None,
            recipe="pair",
        )
        samples += [
            genuine,
            replace(genuine, path=after, generator=generator, labels=labels, known=labels, pair=before),
        ]
    return samples


def forged_samples(sample: Sample, plan: Plan) -> list[Sample]:
    """Forge one genuine picture several ways; writes pictures and masks, returns their rows."""
    rgb = decode(sample.path.read_bytes()).rgb
    stem = _stem(sample)
    rng = np.random.default_rng([plan.seed, zlib.crc32(stem.encode())])
    rgb = _window(rgb, rng)
    mask = foreground_mask(rgb)
    rows: list[Sample] = []
    weights = np.array([FAMILY_WEIGHTS[family] for family, _ in plan.families])
    attempts = 0
    while len(rows) < plan.per_picture and attempts < 4 * plan.per_picture:
        attempts += 1
        _, recipes = plan.families[rng.choice(len(plan.families), p=weights / weights.sum())]
        name = str(rng.choice(recipes))
        try:
            forgery = forge(name, rgb, int(rng.integers(2**31)), plan.materials, mask)
        except NotApplicable:
            continue
        rows.append(_write(forgery, rgb, sample, f"{stem}_{len(rows)}", plan.out))
    return rows


def _write(forgery: Forgery, rgb: np.ndarray, sample: Sample, name: str, out: Path) -> Sample:
    path, mask, pair = out / f"{name}.jpg", out / f"{name}_mask.png", out / f"{name}_pair.jpg"
    _save(path, forgery.rgb)
    source = rgb if forgery.source is None else forgery.source
    _save(pair, source)
    cv2.imwrite(str(mask), (forgery.mask * 255).round().astype(np.uint8))
    return replace(
        sample,
        path=path,
        labels=forgery.labels,
        known=frozenset(LABELS),
        mask=mask,
        pair=pair,
        recipe=forgery.recipe,
        generator=forgery.recipe if Label.AI_GENERATED in forgery.labels else "",
    )


def _save(path: Path, rgb: np.ndarray) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)


def _window(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = rgb.shape[:2]
    y, x = int(rng.integers(max(height - MAX_SIDE, 0) + 1)), int(rng.integers(max(width - MAX_SIDE, 0) + 1))
    return np.ascontiguousarray(rgb[y : y + MAX_SIDE, x : x + MAX_SIDE])


def _product(row: dict[str, str]) -> str:
    """Variants of the same goods (colours, views) share a name in the shops' demo sets; those stay together."""
    return f"{row['source']}/{row['goods'] or Path(row['file']).stem}"


def _families(names: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.split(".")[0], []).append(name)
    return tuple((family, tuple(recipes)) for family, recipes in families.items())


def main() -> None:
    """Write `manifest.csv`, the forged pictures, their masks and sources into --out."""
    from training.forge.registry import RECIPES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/set"))
    parser.add_argument("--per-picture", type=int, default=3)
    parser.add_argument("--split", choices=["train", "dev", "both"], default="both")
    parser.add_argument("--recipes", nargs="*", default=[], help="only these recipes or families")
    parser.add_argument("--limit", type=int, default=0, help="forge from so many genuine pictures only")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    names = [
        n for n in RECIPES if not arguments.recipes or n in arguments.recipes or n.split(".")[0] in arguments.recipes
    ]
    pictures = arguments.pictures
    folder = arguments.out / "forged"
    folder.mkdir(parents=True, exist_ok=True)
    samples = real_samples(pictures) + edited_pairs(pictures)
    genuine = [s for s in samples if not s.forged and s.recipe == "" and arguments.split in ("both", s.split)]
    np.random.default_rng(arguments.seed).shuffle(genuine)  # type: ignore[arg-type]
    genuine = genuine[: arguments.limit or None]
    scenes = [
        s.path for s in samples if s.split == "train" and not s.forged and s.kind in ("scene", "room", "lifestyle")
    ]
    materials = Materials(
        textures=tuple(sorted((pictures / "textures").glob("*"))),
        cutouts=tuple(sorted((pictures / "cutouts").glob("*"))),
        scenes=tuple(scenes),
    )
    plan = Plan(folder.resolve(), arguments.per_picture, arguments.seed, materials, _families(names))
    manifest = arguments.out / "manifest.csv"
    # Absolute paths keep the folder's rows comparable, whatever folder the command was started from.
    forged = [s for s in read_manifest(manifest.resolve()) if s.path.parent == plan.out] if manifest.is_file() else []
    done = {sample.path.name.split("_")[0] for sample in forged}
    waiting = [sample for sample in genuine if _stem(sample) not in done]
    with ProcessPoolExecutor(arguments.workers, initializer=_single_thread) as pool:
        rows = pool.map(partial(forged_samples, plan=plan), waiting, chunksize=2)
        for count, produced in enumerate(tqdm(rows, total=len(waiting), desc="forging"), start=1):
            forged.extend(produced)
            if count % _SAVE_EVERY == 0:
                write_manifest(samples + forged, manifest.resolve())
    write_manifest(samples + forged, manifest.resolve())
    print(f"{len(samples)} real and {len(forged)} forged pictures in {manifest}")


def _stem(sample: Sample) -> str:
    return hashlib.sha256(str(sample.path).encode()).hexdigest()[:16]


def _single_thread() -> None:
    cv2.setNumThreads(1)
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        pass


if __name__ == "__main__":
    main()
