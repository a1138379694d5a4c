"""The forging line: a genuine picture in; its forgeries, masks, sources and parameters out, as files.

Every draw is seeded by the run's seed and the picture's own bytes, so a set can be rebuilt bit for bit, in any order
and with any number of processes. A forgery and the genuine picture it was made from are written with the same
encoder: a pair differs by the forgery alone.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, Category
from zhentu_training.dataset import Sample
from zhentu_training.forge.base import Forgery, Materials, NotApplicable
from zhentu_training.forge.draws import Sections
from zhentu_training.forge.masks import foreground_mask
from zhentu_training.forge.registry import RECIPES, forge
from zhentu_training.picture_files import write_picture

MAX_SIDE = 640  # pixels; larger genuine pictures are cut to a native window before forging
JPEG_QUALITY = 96
PARAMETERS = "parameters.jsonl"
_ATTEMPTS = 4  # draws per wanted forgery; recipes refuse pictures they do not fit
# Then fresh processes: the networks keep memory for every picture size they meet, gigabytes in all. (Not by the pool's
# own max_tasks_per_child, which can hang in Python 3.11: github.com/python/cpython/issues/115634.)
_TASKS_PER_PROCESS = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker needs to forge from one genuine picture. recipes: names, by default all; see `recipes_named`."""

    out: Path
    per_picture: int
    seed: int
    materials: Materials
    sections: Sections
    recipes: tuple[str, ...] = tuple(RECIPES)


@dataclass(frozen=True, slots=True)
class Written:
    """One forgery on the disk. labels are empty for a hard negative. pair: the genuine picture as it was before."""

    picture: Path
    mask: Path
    pair: Path
    recipe: str
    labels: tuple[str, ...]
    parameters: str  # JSON


def recipes_named(names: Sequence[str]) -> tuple[str, ...]:
    """Recipes by their names or their families' names; all when none is given. Raises KeyError for an unknown one."""
    unknown = [n for n in names if n not in RECIPES and n not in {each.split(".")[0] for each in RECIPES}]
    if unknown:
        raise KeyError(f"unknown recipes {', '.join(unknown)}; known: {', '.join(RECIPES)}")
    return tuple(each for each in RECIPES if not names or each in names or each.split(".")[0] in names)


def forge_some(rgb: np.ndarray, plan: Plan, rng: np.random.Generator) -> Iterator[Forgery]:
    """Up to `per_picture` forgeries of uint8 RGB (H, W, 3), families drawn by their weights."""
    families: dict[str, list[str]] = {}
    for name in plan.recipes:
        families.setdefault(name.split(".")[0], []).append(name)
    weights = np.array([float(plan.sections["families"].get(family, 0)) for family in families])
    if not weights.any():
        return
    mask = foreground_mask(rgb)
    made = 0
    for _ in range(_ATTEMPTS * plan.per_picture):
        recipes = list(families.values())[rng.choice(len(families), p=weights / weights.sum())]
        name = str(rng.choice(recipes))
        with suppress(NotApplicable):
            yield forge(name, rgb, int(rng.integers(2**31)), plan.materials, mask, plan.sections)
            made += 1
        if made == plan.per_picture:
            return


def forge_file(path: Path, plan: Plan) -> list[Written]:
    """Forge one picture file. Raises PictureError if it cannot be read."""
    payload = path.read_bytes()
    stem = stem_of(payload)
    rng = np.random.default_rng([plan.seed, zlib.crc32(stem.encode())])
    rgb = _window(decode(payload).rgb, rng)
    forgeries = forge_some(rgb, plan, rng)
    return [_write(forgery, rgb, f"{stem}_{k}", plan.out) for k, forgery in enumerate(forgeries)]


def stem_of(payload: bytes) -> str:
    """How the files of a genuine picture's forgeries begin."""
    return hashlib.sha256(payload).hexdigest()[:16]


def forged_sample(sample: Sample, written: Written) -> Sample:
    """The manifest row of a forgery: its genuine picture's, product and split included, and what was done to it."""
    labels = frozenset(Category(label) for label in written.labels)
    return replace(
        sample,
        path=written.picture,
        labels=labels,
        known=frozenset(CATEGORIES),
        mask=written.mask,
        pair=written.pair,
        recipe=written.recipe,
        generator=_network_of(written) if Category.AI_GENERATED in labels else "",
    )


def _network_of(written: Written) -> str:
    """Which network made it, e.g. "reconstruct.upscaler/waifu2x": evaluation counts each alone."""
    drawn = json.loads(written.parameters)
    network = drawn.get("model") or drawn.get("kind")
    return f"{written.recipe}/{network}" if network else written.recipe


def forge_files(paths: Sequence[Path], plan: Plan, workers: int) -> Iterator[list[Written]]:
    """`forge_file` over many files in processes, in order."""
    plan.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    for start in range(0, len(paths), _TASKS_PER_PROCESS * workers):
        some = paths[start : start + _TASKS_PER_PROCESS * workers]
        with ProcessPoolExecutor(min(workers, len(some)), context, initializer=_single_thread) as pool:
            yield from pool.map(partial(forge_file, plan=plan), some)


def _write(forgery: Forgery, rgb: np.ndarray, name: str, out: Path) -> Written:
    path, mask, pair = out / f"{name}.jpg", out / f"{name}_mask.png", out / f"{name}_pair.jpg"
    _save(path, forgery.rgb)
    _save(pair, rgb if forgery.source is None else forgery.source)
    write_picture(mask, (forgery.mask * 255).round().astype(np.uint8))
    labels = tuple(sorted(label.value for label in forgery.labels))
    return Written(path, mask, pair, forgery.recipe, labels, json.dumps(dict(forgery.parameters)))


def _save(path: Path, rgb: np.ndarray) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    write_picture(path, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)


def _window(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = rgb.shape[:2]
    y, x = int(rng.integers(max(height - MAX_SIDE, 0) + 1)), int(rng.integers(max(width - MAX_SIDE, 0) + 1))
    return np.ascontiguousarray(rgb[y : y + MAX_SIDE, x : x + MAX_SIDE])


def _single_thread() -> None:
    cv2.setNumThreads(1)
    with suppress(ImportError):
        import torch

        torch.set_num_threads(1)
