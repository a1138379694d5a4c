"""Fit the places' head: which patches of a picture were forged, learnt from the masks of forgeries.

    python -m zhentu_training.locate --manifest runs/set/manifest.csv --run runs/reference

One fold of the sources is left out, for judging the heatmaps (`zhentu_training.evaluate`). Writes places.npz into the
run folder: weights of both looks' heads, and the names of the pictures that were left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from zhentu.detect.views import Box, Views, make_views
from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu_training.config import LocateSpec, LookSpec, TrainSpec, load_spec
from zhentu_training.crossval import folds_for
from zhentu_training.dataset import Sample, read_manifest
from zhentu_training.features import LOOKS
from zhentu_training.fit import PLACES
from zhentu_training.heads import FittedHead, fit_head
from zhentu_training.model import Branch
from zhentu_training.progress import track

JUDGED_FOLD = 0
_FORGED, _CLEAN = 0.5, 0.02  # shares of a place that is forged; in between it teaches nothing
_SHARD = 32  # pictures


class PlaceEncoder(Branch):
    """uint8 (B, S, S, 3) -> patch tokens of some blocks side by side, (B, places, D * blocks)."""

    def __init__(self, spec: TrainSpec) -> None:
        super().__init__(spec.backbone)
        self.chosen = spec.locate.blocks
        del self.backbone.blocks[max(self.chosen) + 1 :]

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return torch.cat([patches for k, (_, patches) in enumerate(self.blocks(views)) if k in self.chosen], 2)


def forged_shares(mask: np.ndarray, views: Views, size: int, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """How much of each place is forged: of the whole look (places,), of the crops (N, places).

    mask: float32 (height, width) in [0, 1] over the picture. Places beyond the picture's border are half: they teach
    nothing.
    """
    columns_rows = grid[1], grid[0]
    whole = cv2.resize(mask, columns_rows, interpolation=cv2.INTER_AREA)
    crops = [cv2.resize(_window(mask, box, size), columns_rows, interpolation=cv2.INTER_AREA) for box in views.boxes]
    return whole.ravel(), np.stack(crops).reshape(len(crops), -1)


def _window(mask: np.ndarray, box: Box, size: int) -> np.ndarray:
    inside = mask[box.y : box.y + box.h, box.x : box.x + box.w]
    below, right = size - inside.shape[0], size - inside.shape[1]
    return cv2.copyMakeBorder(inside, 0, below, 0, right, cv2.BORDER_CONSTANT, value=_FORGED - _CLEAN)


def read_mask(sample: Sample, height: int, width: int) -> np.ndarray:
    """A forgery's mask over its picture, float32 (height, width) in [0, 1]; zero for a picture that has none."""
    if sample.mask is None:
        return np.zeros((height, width), np.float32)
    mask = cv2.imread(str(sample.mask), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(mask.astype(np.float32) / 255, (width, height), interpolation=cv2.INTER_LINEAR)


@torch.inference_mode()
def places_of(sample: Sample, encoder: PlaceEncoder, spec: TrainSpec) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tokens and forged shares of some places of the whole look and of the crops, as many forged as clean."""
    rgb = decode(sample.path.read_bytes()).rgb
    views = make_views(rgb, spec.views)
    tokens = encoder(torch.from_numpy(np.concatenate([views.whole, views.crops]))).numpy()
    shares = forged_shares(read_mask(sample, *rgb.shape[:2]), views, spec.views.crop_size, encoder.grid)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(sample.path.name.encode()).digest()[:4], "big"))
    found = []
    for told, share in ((tokens[0], shares[0]), (tokens[1:].reshape(-1, tokens.shape[2]), shares[1].ravel())):
        sides = [np.flatnonzero(share >= _FORGED), np.flatnonzero(share <= _CLEAN)]
        chosen = np.concatenate([rng.permutation(side)[: spec.locate.places] for side in sides])
        found.append((told[chosen].astype(np.float16), share[chosen] >= _FORGED))
    return found


def collect(samples: Sequence[Sample], spec: TrainSpec, kept: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places of all samples for each look: tokens float16 (n, D * blocks), forged bool (n,). kept: folder of shards."""
    kept.mkdir(parents=True, exist_ok=True)
    encoder: PlaceEncoder | None = None
    looks: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]
    for start in track(range(0, len(samples), _SHARD), "places", unit="shard"):
        shard = samples[start : start + _SHARD]
        key = [[str(s.path) for s in shard], spec.locate.blocks, spec.locate.places, spec.views.crop_count]
        path = kept / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.npz"
        if not path.is_file():
            encoder = encoder or PlaceEncoder(spec).eval()
            parts = list(zip(*(places_of(sample, encoder, spec) for sample in shard), strict=True))
            arrays: dict[str, np.ndarray] = {}
            for look, part in zip(LOOKS, parts, strict=True):
                arrays |= {f"{look}.x": np.concatenate([x for x, _ in part])}
                arrays |= {f"{look}.y": np.concatenate([y for _, y in part])}
            half_written = path.with_suffix(".tmp")
            with half_written.open("wb") as file:
                np.savez(file, **arrays)
            half_written.replace(path)
        with np.load(path) as part_of:
            for k, look in enumerate(LOOKS):
                looks[k].append((part_of[f"{look}.x"], part_of[f"{look}.y"]))
    return [(np.concatenate([x for x, _ in part]), np.concatenate([y for _, y in part])) for part in looks]


def fit_places(looks: Sequence[tuple[np.ndarray, np.ndarray]], spec: LocateSpec) -> list[FittedHead]:
    """One output for each look: the log-odds that a place is forged, at even prior."""
    heads = []
    for x, forged in looks:
        weights = np.where(forged, 0.5 / max(forged.sum(), 1), 0.5 / max((~forged).sum(), 1))[:, None]
        heads.append(
            fit_head(x.astype(np.float32), forged[:, None], weights.astype(np.float32), LookSpec(ridge=spec.ridge))
        )
    return heads


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


def main(argv: Sequence[str] | None = None) -> None:
    """Fit on forgeries with masks and as many of their originals, one fold of sources left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--run", type=Path, required=True, help="of zhentu_training.fit")
    parser.add_argument("--features", type=Path, default=Path("runs/features"), help="where places are kept")
    parser.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"))
    arguments = parser.parse_args(argv)
    spec = load_spec(arguments.run / "train.yaml")
    samples = [sample for manifest in arguments.manifest for sample in read_manifest(manifest)]
    fold = folds_for(samples, arguments.siblings, arguments.manifest[0].with_name("looks.csv"), spec)
    masked = [(sample, each) for sample, each in zip(samples, fold, strict=True) if sample.mask and sample.forged]
    if not masked:
        sys.exit("no forgery with a mask in the manifest: forge some first (zhentu_training.prepare)")
    order = np.random.default_rng(spec.seed).permutation(len(masked))
    teach = [masked[k][0] for k in order if masked[k][1] != JUDGED_FOLD or len(set(fold)) == 1]
    judged = [str(sample.path) for sample, each in masked if each == JUDGED_FOLD]
    chosen = readable(teach[: spec.locate.pictures])
    looks = collect(chosen, spec, arguments.features / "places")
    heads = fit_places(looks, spec.locate)
    arrays = {
        f"{look}.{part}": getattr(head, part)
        for look, head in zip(LOOKS, heads, strict=True)
        for part in ("weight", "bias")
    }
    np.savez(arguments.run / PLACES, judged=np.array(judged), **arrays)
    print(f"{len(chosen)} forgeries teach, {len(judged)} judge; wrote {arguments.run / PLACES}")


if __name__ == "__main__":
    main()
