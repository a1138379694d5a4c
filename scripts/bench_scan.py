"""Throughput of `zhentu scan` on large pictures, beside a plain script and beside the limit, all in one run.

    python scripts/bench_scan.py --pictures ../shared/data/dev/genuine --count 1000

- plain: one process, Pillow decodes and resizes, two timm networks in PyTorch (its own threads) take the same views,
  one picture at a time: what one would write in an afternoon.
- limit: decode once, prepare views once, infer once, each alone on every core; the three times added up.
- scan: the `zhentu scan` command itself, as a user starts it, start of the interpreter and writing of rows included.

The three take turns (plain, scan, limit) over slices of the pictures, so that a noisy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from zhentu.bootstrap import build_screener
from zhentu.detect.detector import Detector
from zhentu.detect.models import samples_folder
from zhentu.detect.views import choose_boxes, make_views
from zhentu.settings import load_settings

SIZES = ((1300, 1600), (1280, 1600), (1300, 1560), (1600, 1300))  # width, height


def make_pictures(source: Path, folder: Path, count: int) -> list[Path]:
    """Catalogue-sized JPEGs (quality 90, 4:2:0) grown from the pictures of `source`, with sensor noise at full size."""
    originals = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not originals:
        sys.exit(f"{source}: no pictures there; name a folder with --pictures")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    paths = []
    for k in range(count):
        path = folder / f"{k:05d}.jpg"
        paths.append(path)
        if path.exists():
            continue
        with Image.open(originals[k % len(originals)]) as image:
            grown = np.asarray(image.convert("RGB").resize(SIZES[k % len(SIZES)], Image.Resampling.LANCZOS))
        if k >= len(originals):
            grown = grown[:, ::-1]
        noise = rng.standard_normal((*grown.shape[:2], 1), np.float32) * 2.5
        Image.fromarray(np.clip(grown + noise, 0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def plain(paths: list[Path]) -> float:
    """Seconds of the plain script over `paths`, without loading its networks."""
    import timm
    import torch

    detector = build_screener(load_settings()).detector
    views = detector.entry.views
    whole_net, crop_net = (timm.create_model("tf_efficientnet_lite0", num_classes=6).eval() for _ in range(2))

    def tensor(pictures: list[Image.Image]) -> torch.Tensor:
        stacked = np.stack([np.asarray(picture) for picture in pictures])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

    torch.set_num_threads(os.cpu_count() or 1)
    began = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            image = Image.open(path).convert("RGB")
            whole = image.resize((views.whole_size, views.whole_size), Image.Resampling.BICUBIC)
            boxes = choose_boxes(np.asarray(whole), image.height, image.width, views)
            crops = [image.crop((b.x, b.y, b.x + views.crop_size, b.y + views.crop_size)) for b in boxes]
            logits = whole_net(tensor([whole])), crop_net(tensor(crops))
            torch.sigmoid(logits[0][0] + logits[1].mean(0)).tolist()
    return time.perf_counter() - began


def scan(paths: list[Path], folder: Path) -> float:
    """Seconds of the command over a folder of links to `paths`."""
    pictures = folder / "slice"
    pictures.mkdir()
    for path in paths:
        (pictures / path.name).symlink_to(path.resolve())
    output = folder / "rows.csv"
    command = [sys.executable, "-m", "zhentu", "scan", str(pictures), "--output", str(output), "--no-resume"]
    began = time.perf_counter()
    environment = os.environ | {"ZHENTU_STORE_URL": f"sqlite:///{folder / 'records.db'}"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    seconds = time.perf_counter() - began
    if len(output.read_text().splitlines()) != len(paths) + 1:
        sys.exit("the scan did not write a row for every picture")
    for path in pictures.iterdir():
        path.unlink()
    pictures.rmdir()
    return seconds


def limit(paths: list[Path]) -> tuple[float, float, float]:
    """Seconds of decode, views and inference alone, every core busy with its share."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores)
    with context.Pool(cores, _hold, (barrier,)) as pool:
        shares = pool.map(_alone, [paths[k::cores] for k in range(cores)], chunksize=1)
    return tuple(max(times) for times in zip(*shares, strict=True))  # type: ignore[return-value]


def _hold(barrier: object) -> None:
    global _barrier
    _barrier = barrier


def _alone(paths: list[Path]) -> tuple[float, float, float]:
    cv2.setNumThreads(1)
    detector = build_screener(load_settings()).detector
    assert isinstance(detector, Detector)  # noqa: S101 - for the type checker
    payloads = [path.read_bytes() for path in paths]
    _barrier.wait()  # type: ignore[name-defined]
    began = time.perf_counter()
    pictures = [np.asarray(Image.open(io.BytesIO(payload)).convert("RGB")) for payload in payloads]
    decoded = time.perf_counter()
    _barrier.wait()  # type: ignore[name-defined]
    views_began = time.perf_counter()
    views = [make_views(picture, detector.entry.views) for picture in pictures]
    viewed = time.perf_counter()
    _barrier.wait()  # type: ignore[name-defined]
    infer_began = time.perf_counter()
    for each in views:
        detector.run(each)
    return decoded - began, viewed - views_began, time.perf_counter() - infer_began


def main() -> None:
    """Measure, print, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=samples_folder(), help="pictures to grow; default: samples")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "zhentu-bench-pictures")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--slice", type=int, default=500, help="pictures per turn of the scan")
    parser.add_argument("--plain", type=int, default=100, help="of them for the plain script and the limit")
    parser.add_argument("--output", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    paths = make_pictures(arguments.pictures, arguments.folder, arguments.count)
    scan_s = plain_s = 0.0
    parts = np.zeros(3)
    measured = 0
    with tempfile.TemporaryDirectory() as temporary:
        for start in range(0, len(paths), arguments.slice):
            turn = paths[start : start + arguments.slice]
            few = turn[: arguments.plain]
            plain_s += plain(few)
            scan_s += scan(turn, Path(temporary))
            parts += limit(few)
            measured += len(few)
    rate = {"scan": len(paths) / scan_s, "plain": measured / plain_s, "limit": measured / float(parts.sum())}
    figures = {
        "pictures": len(paths),
        "cores": os.cpu_count(),
        "pictures_per_second": {name: round(value, 2) for name, value in rate.items()},
        "limit_ms_per_picture": dict(
            zip(("decode", "views", "inference"), (parts / measured * 1e3).round(2).tolist(), strict=True)
        ),
        "scan_over_plain": round(rate["scan"] / rate["plain"], 2),
        "scan_over_limit": round(rate["scan"] / rate["limit"], 3),
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
