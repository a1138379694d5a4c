"""Tokens of every picture by the encoder that was tuned without its fold: what can be refitted without a GPU.

    python -m zhentu_training.unfold --tuned HOME --shards runs/carry --manifest runs/set/manifest.csv

HOME holds what `zhentu_training.gpu.tune` sent back, and `runs/held-out` gets shards as `zhentu_training.features`
writes them: `fit` and `crossval` read them with `--shards runs/carry`, so that folds stay those of the tuning. Heads,
fusion, calibration, thresholds and early exits are then fitted and judged on pictures that no encoder has seen. It may
be stopped and started again. A fold whose weights did not come home is left out, and named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zhentu.errors import UsageError, ZhentuError
from zhentu_training.adopt import check_sizes, encoder_of, one_share
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import Sample
from zhentu_training.features import Share, encoder_graph, extract, open_encoder, pictures_of
from zhentu_training.folds import packed_folds
from zhentu_training.gpu.home import weights_in
from zhentu_training.tiers import TIERS

_OF = "encoders.txt"  # in the folder of features: which encoders they are of


@dataclass(frozen=True, slots=True)
class Encoders:
    """Of the folds of a design. tuned: what came home.  shards: of `carry`.  share: of the way to the tuned ones."""

    tuned: Path
    design: str
    shards: Path
    share: float

    def of(self, fold: int) -> dict[str, np.ndarray] | None:
        """By timm's names; None if its weights did not come home."""
        kept = weights_in(self.tuned, f"{self.design}-{fold}")
        return encoder_of(self.shards, kept, self.share) if kept else None


def mark(features: Path, encoders: Encoders, spec: TrainSpec) -> None:
    """Note in a folder of features whose they are. Raises UsageError if it holds those of others."""
    sizes = f"looks of {spec.views.whole_size} and {spec.views.crop_size} px"
    words, marker = f"{encoders.design} at {encoders.share}, {sizes}", features / _OF
    features.mkdir(parents=True, exist_ok=True)
    there = marker.read_text(encoding="utf-8") if marker.is_file() else words
    if there != words:
        raise UsageError(f"{features}: holds tokens of {there}, not of {words}; name another folder with --features")
    marker.write_text(words, encoding="utf-8")


def unfold(
    encoders: Encoders, samples: Sequence[Sample], spec: TrainSpec, features: Path, roads: Sequence[str], share: Share
) -> list[int]:
    """Write the tokens of each fold; returns the folds whose weights are not there. Raises UsageError."""
    check_sizes(encoders.tuned, encoders.design, spec)
    mark(features, encoders, spec)
    folds, missing = packed_folds(encoders.shards), []
    for fold in sorted(set(folds.values())):
        arrays = encoders.of(fold)
        if arrays is None:
            missing.append(fold)
            continue
        graph = encoder_graph(spec, features / f"encoder-{fold}.onnx", arrays)
        encode = open_encoder(graph, share.workers)
        paths = [sample.path for sample in samples if folds.get(str(sample.path)) == fold]
        for road in roads:
            for path in extract(paths, road, features, encode, spec.views, share):
                print(f"{path}: cannot be read, left out")
        graph.unlink()
    return missing


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Write the tokens, and say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", type=Path, required=True, help="what zhentu_training.gpu.tune sent back")
    parser.add_argument("--design", default="full", help="of zhentu_training.gpu.plan")
    parser.add_argument("--shards", type=Path, required=True, help="of zhentu_training.carry")
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path, default=Path("runs/held-out"))
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--share", type=one_share, default=0.5, help="of the way to the tuned one, as adopted")
    parser.add_argument("--roads", nargs="+", default=["native", "web"], choices=list(TIERS))
    parser.add_argument("--workers", type=int, default=1, help="pictures looked at side by side, a thread each")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    samples, share = pictures_of(arguments.manifest), Share(workers=arguments.workers)
    encoders = Encoders(arguments.tuned, arguments.design, arguments.shards, arguments.share)
    try:
        spec = load_spec(arguments.config)
        missing = unfold(encoders, samples, spec, arguments.features, arguments.roads, share)
    except ZhentuError as error:
        sys.exit(str(error))
    if missing:
        print(f"folds {missing}: {arguments.tuned} holds no weights of {arguments.design} for them; left out")


if __name__ == "__main__":
    main()
