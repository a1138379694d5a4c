"""A picture set of the package's samples for a network of random weights: the whole line in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from zhentu.detect.models import samples_folder
from zhentu.types import CATEGORIES, Category
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import EDIT, Sample, write_manifest

SPEC = load_spec(Path("configs/train-smoke.yaml"))


def genuine(name: str, source: str, path: Path | None = None) -> Sample:
    return Sample(
        path or samples_folder() / name, "train", source, name, "", "", "",
        frozenset(), frozenset(CATEGORIES), None, None, "",
    )  # fmt: skip


def smoke_samples(folder: Path) -> list[Sample]:
    """Genuine pictures of two shops, AI-made ones of two galleries, own forgeries with masks, one edited pair."""
    names = [path.name for path in sorted(samples_folder().glob("genuine_*.jpg"))]
    samples = [genuine(name, f"shop {k % 2}") for k, name in enumerate(names)]
    for k, label in enumerate(CATEGORIES):
        path = samples_folder() / f"forged_{label.value}.jpg"
        made = replace(samples[k], path=path, labels=frozenset({label}))
        if label is Category.AI_GENERATED:
            only = frozenset({label})
            samples += [replace(made, known=only, source="gallery 0"), _brighter(made, folder)]
        else:
            mask = folder / f"mask{k}.png"
            height, width = cv2.imread(str(path)).shape[:2]
            drawn = np.zeros((height, width), np.uint8)
            drawn[: height // 2] = 255
            cv2.imwrite(str(mask), drawn)
            samples.append(replace(made, mask=mask, pair=samples[k].path, recipe="scene.swap"))
    before = replace(samples[0], path=_copy(samples[0].path, folder, 12), source="edit pairs", recipe=EDIT)
    labels = frozenset({Category.AI_GENERATED, Category.SCENE_DISTORTION})
    after = _copy(samples[1].path, folder, -20)
    return [*samples, before, replace(before, path=after, labels=labels, known=labels, pair=before.path)]


def _brighter(sample: Sample, folder: Path) -> Sample:
    only = frozenset({Category.AI_GENERATED})
    return replace(sample, path=_copy(sample.path, folder, 40), known=only, source="gallery 1")


def _copy(path: Path, folder: Path, change: int) -> Path:
    rgb = cv2.imread(str(path)).astype(np.int16)
    target = folder / f"{path.stem}_{change}.png"
    cv2.imwrite(str(target), np.roll((rgb + change).clip(0, 255), 7, 1).astype(np.uint8))
    return target


def smoke_manifest(folder: Path) -> Path:
    write_manifest(smoke_samples(folder), folder / "manifest.csv")
    return folder / "manifest.csv"


def smoke_spec() -> TrainSpec:
    return SPEC
