"""Fit the heatmaps: which cells of a picture were forged, learnt from the masks of forgeries.

    python -m zhentu_training.locate --manifest runs/set/manifest.csv --run runs/reference --models models

Writes the network into the models folder, where it serves the heatmaps of every model. One fold of the sources is left
out, for judging the heatmaps (`zhentu_training.evaluate`); which pictures those are is in located.csv of the run
folder. It reads no encoder: the network is fitted anew in minutes, whatever becomes of the detector's graph.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pandas as pd
import torch

from zhentu.detect.entries import LocatorEntry, TrainingData
from zhentu.detect.locator import Locator
from zhentu.detect.models import Manifest
from zhentu.detect.traces import CELLS, FIGURES, traces_of
from zhentu.errors import PictureError, ZhentuError
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.crossval import folds_for
from zhentu_training.dataset import Sample, digest, read_manifest
from zhentu_training.placing import PlaceNetwork, train
from zhentu_training.progress import track
from zhentu_training.tiers import TIERS

LOCATED = "located.csv"
JUDGED_FOLD = 0
_SHARD = 64  # pictures
_PARITY = 1e-3  # largest difference of a log-odds between torch and the graph


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Forgeries with masks. traces float16 (n, CELLS, CELLS, FIGURES), shares float16 (n, CELLS, CELLS).

    shares: how much of each cell is forged.  taught: bool (n, 5), the categories that a forgery shows.
    """

    traces: np.ndarray
    shares: np.ndarray
    taught: np.ndarray


def read_mask(sample: Sample, height: int, width: int) -> np.ndarray:
    """A forgery's mask over its picture, float32 (height, width) in [0, 1]; zero for a picture that has none."""
    if sample.mask is None:
        return np.zeros((height, width), np.float32)
    mask = cv2.imread(str(sample.mask), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(mask.astype(np.float32) / 255, (width, height), interpolation=cv2.INTER_LINEAR)


def look(sample: Sample, road: str) -> tuple[np.ndarray, np.ndarray]:
    """Traces of a picture on a road, and how much of each cell is forged."""
    rgb = TIERS[road](decode(sample.path.read_bytes()).rgb)
    mask = cv2.resize(read_mask(sample, *rgb.shape[:2]), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return traces_of(rgb).astype(np.float16), mask.astype(np.float16)


def collect(samples: Sequence[Sample], roads: Sequence[str], kept: Path) -> Lessons:
    """All samples on all roads. kept: folder of shards, so that a stopped run continues."""
    kept.mkdir(parents=True, exist_ok=True)
    parts = []
    starts = [(road, start) for road in roads for start in range(0, len(samples), _SHARD)]
    for road, start in track(starts, "traces", unit="shard"):
        shard = samples[start : start + _SHARD]
        key = [road, FIGURES, *(str(sample.path) for sample in shard)]
        path = kept / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.npz"
        if not path.is_file():
            traces, shares = (np.stack(part) for part in zip(*(look(s, road) for s in shard), strict=True))
            half_written = path.with_suffix(".tmp")
            with half_written.open("wb") as file:
                np.savez(file, traces=traces, shares=shares)
            half_written.replace(path)
        with np.load(path) as kept_part:
            parts.append((kept_part["traces"], kept_part["shares"], np.stack([_shown(s) for s in shard])))
    return Lessons(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _shown(sample: Sample) -> np.ndarray:
    return np.array([category in sample.labels for category in CATEGORIES])


def readable(samples: Sequence[Sample]) -> list[Sample]:
    """Those whose picture and mask can be read."""
    found = []
    for sample in samples:
        try:
            decode(sample.path.read_bytes())
        except (PictureError, OSError):
            continue
        if sample.mask is None or cv2.imread(str(sample.mask), cv2.IMREAD_GRAYSCALE) is not None:
            found.append(sample)
    return found


def write_graph(network: PlaceNetwork, path: Path) -> None:
    """The network as ONNX, "traces" (1, CELLS, CELLS, FIGURES) -> "maps" (1, 5, CELLS, CELLS)."""
    torch.onnx.export(
        network,
        (torch.zeros((1, CELLS, CELLS, FIGURES)),),
        str(path),
        input_names=["traces"],
        output_names=["maps"],
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    onnx.checker.check_model(str(path))


def put_into(models: Path, network: PlaceNetwork, taught: Sequence[Sample], spec: TrainSpec) -> LocatorEntry:
    """Write graph and manifest, in place of the locator that was there. Raises ZhentuError if they disagree."""
    manifest = Manifest.load(models)
    name = f"{spec.name}-places"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{name}-{spec.locate.version}.onnx"
        write_graph(network, path)
        entry = LocatorEntry(
            name=name,
            version=spec.locate.version,
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            training_data=TrainingData(digest(list(taught)), len(taught), len({s.source for s in taught})),
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            licence="Apache-2.0",
        )
        _check(network, Locator(entry, path.parent), taught[0])
        if manifest.locator is not None:
            (models / manifest.locator.file).unlink(missing_ok=True)
        (models / path.name).write_bytes(path.read_bytes())
    replace(manifest, locator=entry).save(models)
    return entry


@torch.inference_mode()
def _check(network: PlaceNetwork, locator: Locator, sample: Sample) -> None:
    rgb = decode(sample.path.read_bytes()).rgb
    expected = torch.sigmoid(network(torch.from_numpy(traces_of(rgb))[None]))[0].numpy()
    if not (off := float(np.abs(expected - locator.find(rgb)).max())) < _PARITY:
        raise ZhentuError(f"torch and ONNX Runtime disagree by {off:.4f}: nothing was written")


def main(argv: Sequence[str] | None = None) -> None:
    """Fit on forgeries with masks, one fold of sources left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--run", type=Path, required=True, help="of zhentu_training.fit, or an empty folder")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--config", type=Path, help="default: that of the run folder, else configs/train.yaml")
    parser.add_argument("--features", type=Path, default=Path("runs/features"), help="where traces are kept")
    parser.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"))
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _locate(arguments)


def _locate(arguments: argparse.Namespace) -> None:
    own = arguments.run / "train.yaml"
    spec = load_spec(arguments.config or (own if own.is_file() else Path("configs/train.yaml")))
    samples = [sample for manifest in arguments.manifest for sample in read_manifest(manifest)]
    fold = folds_for(samples, arguments.siblings, arguments.manifest[0].with_name("looks.csv"), spec)
    masked = [(sample, each) for sample, each in zip(samples, fold, strict=True) if sample.mask and sample.forged]
    if not masked:
        sys.exit("no forgery with a mask in the manifest: forge some first (zhentu_training.prepare)")
    order = np.random.default_rng(spec.seed).permutation(len(masked))
    teach = [masked[k][0] for k in order if masked[k][1] != JUDGED_FOLD or len(set(fold)) == 1]
    judged = [str(sample.path) for sample, each in masked if each == JUDGED_FOLD]
    chosen = readable(teach[: spec.locate.pictures])
    lessons = collect(chosen, spec.locate.roads, arguments.features / "traces")
    network = train(lessons.traces, lessons.shares, lessons.taught, spec.locate.epochs, spec.seed)
    entry = put_into(arguments.models, network, chosen, spec)
    arguments.run.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"judged": judged}).to_csv(arguments.run / LOCATED, index=False)
    print(f"{len(chosen)} forgeries teach, {len(judged)} judge; wrote {arguments.models / entry.file}")


if __name__ == "__main__":
    main()
