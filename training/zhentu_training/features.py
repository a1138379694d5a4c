"""The frozen encoder's features of every picture, on every road and with both looks, in shards that survive a kill.

    python -m zhentu_training.features --manifest runs/set/manifest.csv --features runs/features
    python -m zhentu_training.features --manifest runs/set/manifest.csv --part 0/2   # one of two processes

A shard is at FEATURES/<road>/<look>/<name>.npz: `names`, the pictures' paths, and `feats`, float16 (n, blocks, 3, D):
class token, mean and spread of the patch tokens after each block. A picture's crops are averaged. Pictures in
any shard are not processed again, whoever wrote it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local

import cv2
import numpy as np
import onnx
import torch

from zhentu.detect.openvino import opened_core
from zhentu.detect.views import Views, ViewSpec, make_views
from zhentu.errors import PictureError, UsageError
from zhentu.intake.decode import decode
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import DISPUTED, Origin, Sample, read_manifest
from zhentu_training.encoder_mark import check_mark, set_mark
from zhentu_training.encoder_weights import fill
from zhentu_training.gpu.plan import PATCH
from zhentu_training.model import FeatureEncoder
from zhentu_training.pack import pack
from zhentu_training.progress import track
from zhentu_training.reading import some_of
from zhentu_training.sessions import session_of
from zhentu_training.tiers import TIERS

LOOKS = ("whole", "crops")
_SHARD = 64  # pictures; about half a minute of one core
_LOSSLESS = {"PNG", "WEBP", "BMP", "TIFF"}

Encode = Callable[[np.ndarray], np.ndarray]  # uint8 (B, S, S, 3) -> float32 (B, blocks, 3, D)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Features of pictures on one road. whole, crops: float16 (n, blocks, 3, D)."""

    names: list[str]
    whole: np.ndarray
    crops: np.ndarray


def taught_native(rgb: np.ndarray, form: str, name: str) -> np.ndarray:
    """A picture as stored; every second lossless file through JPEG 82 to 95, so that no class is told by its codec.

    form: as `Picture.format`.  name: decides which, the same in every run.
    """
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    if form not in _LOSSLESS or number % 2 == 0:
        return rgb
    quality = 82 + number // 2 % 14
    _, payload = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.cvtColor(np.asarray(cv2.imdecode(payload, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB))


def pixels_on(path: Path, road: str) -> tuple[np.ndarray, bool]:
    """Pixels of a picture on a road, uint8 (H, W, 3), and whether the road left it alone. Raises PictureError."""
    picture = decode(path.read_bytes())
    rgb = taught_native(picture.rgb, picture.format, path.name) if road == "native" else TIERS[road](picture.rgb)
    return np.ascontiguousarray(rgb), rgb is picture.rgb


def views_on(path: Path, road: str, spec: ViewSpec) -> Views:
    """What a model is shown of a picture file on a road. Raises PictureError."""
    return make_views(pixels_on(path, road)[0], spec)


def dynamic_sides(spec: ViewSpec) -> dict[int, torch.export.Dim]:
    """Axes of views (B, S, S, 3) whose length an exported graph leaves open: none where both looks have one size."""
    if spec.whole_size == spec.crop_size:
        return {}
    sides = [size // PATCH for size in (spec.whole_size, spec.crop_size)]
    side = PATCH * torch.export.Dim("patches", min=min(sides), max=max(sides))
    return {1: side, 2: side}


def encoder_graph(spec: TrainSpec, path: Path, weights: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write the encoder alone as an ONNX graph, uint8 "views" (B, S, S, 3) -> "features" (B, blocks, 3, D).

    weights: by timm's names, instead of those that the config names.
    """
    side = spec.views.whole_size
    encoder = FeatureEncoder(spec.backbone, spec.graph.sides)
    if weights is not None:
        fill(encoder.backbone, weights, "weights")
    torch.onnx.export(
        encoder.eval(),
        (torch.zeros((2, side, side, 3), dtype=torch.uint8),),
        str(path),
        input_names=["views"],
        output_names=["features"],
        dynamic_shapes={"views": {0: torch.export.Dim("views", min=1, max=64)} | dynamic_sides(spec.views)},
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    # The served weights, so that the heads learn from what they will see.
    onnx.save(pack(onnx.load(str(path))), str(path))
    return path


def open_encoder(path: Path, workers: int = 1) -> Encode:
    """Run a graph by OpenVINO where it is installed (a third faster on CPUs), else by ONNX Runtime.

    What it returns takes one thread a call, and `workers` threads may call it at once.
    """
    try:
        core = opened_core()
    except ImportError:
        session = session_of(path)
        return lambda views: np.asarray(session.run(["features"], {"views": views})[0])
    plan = {
        "INFERENCE_NUM_THREADS": workers,
        "NUM_STREAMS": workers,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(str(path), "CPU", plan)
    own = local()  # a request holds its inputs and outputs: one a thread

    def encode(views: np.ndarray) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return np.array(own.request.infer([views])[0])

    return encode


def encoded(views: Views, encode: Encode) -> np.ndarray:
    """Features of the whole look and of the crops, float16 (1 + N, blocks, 3, D)."""
    looks = [views.whole, views.crops]
    if views.whole.shape[1:] == views.crops.shape[1:]:
        looks = [np.concatenate(looks)]
    return np.concatenate([encode(each) for each in looks]).astype(np.float16)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the work is this process's: each `of`-th shard, from `part` on, by so many threads."""

    part: int = 0
    of: int = 1
    workers: int = 1


def extract(
    paths: Sequence[Path], road: str, folder: Path, encode: Encode, spec: ViewSpec, share: Share | None = None
) -> list[Path]:
    """Look at every picture that is in no shard yet; returns the unreadable ones. share: None = all, by one thread."""
    share = share or Share()
    known = set(read_names(folder, road))
    waiting = [path for path in dict.fromkeys(paths) if str(path) not in known]
    shards = [waiting[start : start + _SHARD] for start in range(0, len(waiting), _SHARD)]
    unread = []

    def look(path: Path) -> np.ndarray | None:
        try:
            return encoded(views_on(path, road, spec), encode)
        except PictureError:
            return None

    # Decoding, shrinking and the encoder all leave Python's lock to the others.
    with ThreadPoolExecutor(share.workers) as pool:
        for shard in track(shards[share.part :: share.of], f"features, {road}", unit="shard"):
            said = dict(zip(shard, pool.map(look, shard), strict=True))
            read = {path: feats for path, feats in said.items() if feats is not None}
            unread += [path for path in shard if path not in read]
            if read:
                whole = np.stack([feats[0] for feats in read.values()])
                crops = np.stack([feats[1:].astype(np.float32).mean(0).astype(np.float16) for feats in read.values()])
                write_shard(folder, road, [str(path) for path in read], whole, crops)
    return unread


def write_shard(folder: Path, road: str, names: Sequence[str], whole: np.ndarray, crops: np.ndarray) -> None:
    """One shard of each look, whole or not at all; its name is made from the pictures in it."""
    stem = hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]
    # The crops' shard is written first: a picture counts as looked at when the whole look's shard is there.
    for look, feats in (("crops", crops), ("whole", whole)):
        path = folder / road / look / f"{stem}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        half_written = path.with_suffix(".tmp")
        with half_written.open("wb") as file:
            np.savez(file, names=np.array(names), feats=feats.astype(np.float16))
        half_written.replace(path)


def read_names(folder: Path, road: str) -> Iterator[str]:
    """Names of the pictures that were looked at on a road."""
    for path in sorted((folder / road / "whole").glob("*.npz")):
        with np.load(path) as shard:
            yield from map(str, shard["names"])


def read_features(folder: Path, road: str, wanted: Sequence[str]) -> Looked:
    """Features of those of the wanted pictures that were looked at on a road, in the order wanted."""
    place = {name: k for k, name in enumerate(wanted)}
    found: list[tuple[int, Path, int]] = []
    for path in sorted((folder / road / "whole").glob("*.npz")):
        with np.load(path) as shard:
            found += [(place[name], path, row) for row, name in enumerate(map(str, shard["names"])) if name in place]
    found = sorted({k: (k, path, row) for k, path, row in found}.values())
    if not found:
        empty = np.zeros((0, 0, 0, 0), np.float16)
        return Looked([], empty, empty)
    looks = [_gathered(found, folder / road / look) for look in LOOKS]
    return Looked([wanted[k] for k, _, _ in found], *looks)


def _gathered(found: Sequence[tuple[int, Path, int]], folder: Path) -> np.ndarray:
    by_shard: dict[str, list[tuple[int, int]]] = {}
    for at, (_, path, row) in enumerate(found):
        by_shard.setdefault(path.name, []).append((at, row))
    values: np.ndarray | None = None
    for name, rows in by_shard.items():
        with np.load(folder / name) as shard:
            feats = shard["feats"]
        if values is None:
            values = np.empty((len(found), *feats.shape[1:]), np.float16)
        values[[at for at, _ in rows]] = feats[[row for _, row in rows]]
    assert values is not None  # noqa: S101 - there is at least one row
    return values


def main(argv: Sequence[str] | None = None) -> None:
    """Extract the features of a manifest's pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--roads", nargs="+", default=["native", "web"], choices=list(TIERS))
    parser.add_argument("--part", default="0/1", help="k/n: this process takes every n-th shard, from k")
    parser.add_argument("--workers", type=int, default=1, help="pictures looked at side by side, a thread each")
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _extract_all(arguments)


def _extract_all(arguments: argparse.Namespace) -> None:
    if arguments.workers < 1:
        raise UsageError(f"--workers {arguments.workers}: one thread is the least")
    spec, share = load_spec(arguments.config), share_of(arguments.part, arguments.workers)
    cv2.setNumThreads(1)
    paths = [sample.path for sample in pictures_of(arguments.manifest)]
    if not paths:
        raise UsageError(
            f"{', '.join(map(str, arguments.manifest))}: no picture to look at (disputed ones teach nothing)"
        )
    check_mark(arguments.features, spec)
    set_mark(arguments.features, spec)
    graph = encoder_graph(spec, arguments.features / f"encoder-{share.part}.onnx")
    encode = open_encoder(graph, share.workers)
    for road in arguments.roads:
        unread = extract(paths, road, arguments.features, encode, spec.views, share)
        for path in unread:
            print(f"{path}: cannot be read, left out")


def share_of(part: str, workers: int) -> Share:
    """The share that `k/n` names. Raises UsageError."""
    k, slash, n = part.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and int(k) < int(n)):
        raise UsageError(
            f"--part {part}: is not k/n with k from 0 to n - 1; of two processes one is 0/2, the other 1/2"
        )
    return Share(int(k), int(n), workers)


def pictures_of(manifests: Sequence[Path]) -> list[Sample]:
    """Rows of all manifests and, after them, the genuine pictures that forgeries were made from, each content once.

    Without disputed rows. Raises UsageError naming files that are not there.
    """
    samples = {sample.path: sample for manifest in manifests for sample in read_manifest(manifest)}
    samples = {path: sample for path, sample in samples.items() if sample.split != DISPUTED}
    missing = sorted({str(p) for s in samples.values() for p in (s.path, s.pair) if p is not None and not p.is_file()})
    if missing:
        raise UsageError(f"{len(missing)} files of the manifest are missing: {some_of(missing)}; take out their rows")
    contents: set[bytes] = set()
    for sample in [each for each in samples.values() if each.pair and each.origin is Origin.OWN]:
        original = sample.original()
        content = hashlib.sha256(original.path.read_bytes()).digest()
        if original.path not in samples and content not in contents:
            contents.add(content)
            samples[original.path] = original
    return list(samples.values())


if __name__ == "__main__":
    main()
