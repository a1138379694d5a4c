"""Pictures packed for a machine with a GPU: small shards of web copies with one native crop each.

    python -m zhentu_training.carry --manifest runs/set/manifest.csv --out runs/carry --config NEXT.yaml

A machine that is lent for minutes has little bandwidth: shards are under 60 MiB. Each holds, per picture: the
web copy's own JPEG (long side 512, quality 88), from which the whole look and the web crops are cut, and the window
around the native crop as JPEG 95 without chroma subsampling. `zhentu_training.gpu` reads them with torch and OpenCV
alone, so that nothing else needs to be installed there.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from zhentu.detect.views import ViewSpec, choose_boxes, whole_view
from zhentu.errors import PictureError, UsageError
from zhentu.intake.decode import decode
from zhentu_training import limits
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.crossval import folds_for
from zhentu_training.dataset import Sample
from zhentu_training.encoder_weights import write_encoder
from zhentu_training.features import pictures_of, taught_native
from zhentu_training.gpu.plan import ENCODER, MASK, WEB, WINDOW
from zhentu_training.limits import limit_of, within
from zhentu_training.locate import read_mask
from zhentu_training.model import BackboneSpec, build_backbone
from zhentu_training.progress import track
from zhentu_training.tiers import TIERS, shrunk

WEB_QUALITY, CROP_QUALITY = 88, 95
AROUND = 16  # pixels of the native picture kept around the crop, for crops that are moved while training
_SHARD_BYTES = 56 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """One picture as packed.

    web, crop: JPEG bytes.  web_box, crop_box: left and top of the serving crop in the web copy, in the crop's window.
    native: left, top, width, height of the crop's window as shares of the picture.
    mask: uint8 (64, 64), how much of each cell is forged.
    """

    web: bytes
    crop: bytes
    web_box: tuple[int, int]
    crop_box: tuple[int, int]
    native: tuple[float, float, float, float]
    mask: np.ndarray


def parcel_of(sample: Sample, spec: ViewSpec) -> Parcel | None:
    """Pack one picture; None if it cannot be read."""
    try:
        picture = decode(sample.path.read_bytes())
    except (PictureError, OSError):
        return None
    rgb = np.ascontiguousarray(taught_native(picture.rgb, picture.format, sample.path.name))
    height, width = rgb.shape[:2]
    box = choose_boxes(whole_view(rgb, spec.whole_size), height, width, spec)[0]
    left, top = max(box.x - AROUND, 0), max(box.y - AROUND, 0)
    right, bottom = min(box.x + box.w + AROUND, width), min(box.y + box.h + AROUND, height)
    window = _at_least(rgb[top:bottom, left:right], spec.crop_size)
    web = TIERS["web"](picture.rgb)
    web_box = choose_boxes(whole_view(web, spec.whole_size), web.shape[0], web.shape[1], spec)[0]
    mask = np.zeros((MASK, MASK), np.uint8)
    if sample.mask is not None:
        mask = (cv2.resize(read_mask(sample, height, width), (MASK, MASK), interpolation=cv2.INTER_AREA) * 255).astype(
            np.uint8
        )
    return Parcel(
        _jpeg(shrunk(picture.rgb, WEB), WEB_QUALITY),
        _jpeg(window, CROP_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        (web_box.x, web_box.y),
        (box.x - left, box.y - top),
        (left / width, top / height, (right - left) / width, (bottom - top) / height),
        mask,
    )


def _at_least(rgb: np.ndarray, size: int) -> np.ndarray:
    """Mirrored below and to the right where it is smaller, as `native_crop` does."""
    below, right = (max(size - side, 0) for side in rgb.shape[:2])
    return np.asarray(cv2.copyMakeBorder(rgb, 0, below, 0, right, cv2.BORDER_REFLECT))


def _jpeg(rgb: np.ndarray, quality: int, sampling: int = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def write_shards(
    samples: Sequence[Sample], fold: np.ndarray, spec: TrainSpec, out: Path, workers: int
) -> Iterator[Path]:
    """Write the parcels in shards no larger than a call may carry; yields each file when it is complete.

    Raises UsageError if the crops do not fit into what is packed of a picture.
    """
    side = spec.views.crop_size
    if side + 2 * AROUND > WINDOW:
        raise UsageError(f"views.crop_size: {WINDOW - 2 * AROUND} pixels at most are packed (got {side})")
    place = {sample.path: k for k, sample in enumerate(samples)}
    kept: list[tuple[int, Parcel]] = []
    size = number = 0
    with ProcessPoolExecutor(workers) as pool:
        parcels = pool.map(partial(parcel_of, spec=spec.views), samples, chunksize=8)
        for k, parcel in enumerate(track(parcels, "packing", total=len(samples))):
            if parcel is None:
                continue
            if size + len(parcel.web) + len(parcel.crop) > _SHARD_BYTES:
                yield _write(kept, samples, fold, place, side, out / f"shard-{number}.npz")
                kept, size, number = [], 0, number + 1
            kept.append((k, parcel))
            size += len(parcel.web) + len(parcel.crop)
    if kept:
        yield _write(kept, samples, fold, place, side, out / f"shard-{number}.npz")


def _write(
    kept: Sequence[tuple[int, Parcel]],
    samples: Sequence[Sample],
    fold: np.ndarray,
    place: dict[Path, int],
    crop_size: int,
    path: Path,
) -> Path:
    chosen = [samples[k] for k, _ in kept]
    targets, known = (np.stack(part) for part in zip(*(sample.targets() for sample in chosen), strict=True))
    masked = [k for k, (_, parcel) in enumerate(kept) if parcel.mask.any()]
    arrays = {
        "number": np.array([k for k, _ in kept]),
        "name": np.array([str(sample.path) for sample in chosen]),
        "source": np.array([sample.source for sample in chosen]),
        "origin": np.array([sample.origin.value for sample in chosen]),
        "recipe": np.array([sample.recipe for sample in chosen]),
        "pair": np.array([place.get(sample.pair, -1) if sample.pair else -1 for sample in chosen]),
        "fold": fold[[k for k, _ in kept]],
        "targets": targets,
        "known": known,
        "web_box": np.array([parcel.web_box for _, parcel in kept]),
        "crop_box": np.array([parcel.crop_box for _, parcel in kept]),
        "native": np.array([parcel.native for _, parcel in kept], np.float32),
        "cropped": np.array(crop_size),
        "masked": np.array(masked, int),
        "masks": np.stack([kept[k][1].mask for k in masked]) if masked else np.zeros((0, MASK, MASK), np.uint8),
    }
    for name in ("web", "crop"):
        payloads = [getattr(parcel, name) for _, parcel in kept]
        arrays[f"{name}_ends"] = np.cumsum([len(payload) for payload in payloads])
        arrays[f"{name}_bytes"] = np.frombuffer(b"".join(payloads), np.uint8)
    np.savez(path, **arrays)
    return path


def begun_from(backbone: BackboneSpec, weights: str | None) -> BackboneSpec:
    """The encoder that tuning begins from: unless told otherwise CLIP's, where the config names the shipped one.

    That has seen the project's pictures, so folds tuned from it would be judged by what it knows of them.
    """
    if weights is None:
        weights = "package" if backbone.weights == "shipped" else backbone.weights
    return replace(backbone, weights=weights)


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Pack a manifest's pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"))
    parser.add_argument(
        "--per-source",
        type=int,
        nargs=2,
        metavar=limits.METAVAR,
        default=[160, 220],
        help=f"{limits.HELP}; default: %(default)s",
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--begin-from", choices=["package", "shipped"], help="package: CLIP; shipped: for pictures it never saw"
    )
    arguments = parser.parse_args(argv)
    spec = load_spec(arguments.config)
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    samples, over = within(pictures_of(arguments.manifest), limit_of(arguments))
    if over:
        print(over)
    fold = folds_for(samples, arguments.siblings, arguments.manifest[0].with_name("looks.csv"), spec)
    for stale in arguments.out.glob("shard-*.npz"):  # of an earlier call, perhaps for other crops
        stale.unlink()
    for path in write_shards(samples, fold, spec, arguments.out, arguments.workers):
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB", flush=True)
    # The other machine needs no package: the frozen encoder is sent, too.
    backbone = build_backbone(begun_from(spec.backbone, arguments.begin_from))
    write_encoder({name: value.numpy() for name, value in backbone.state_dict().items()}, arguments.out / ENCODER)
    counts = Counter(f"{sample.origin.value} {'forged' if sample.forged else 'genuine'}" for sample in samples)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
