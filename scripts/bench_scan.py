"""Benchmark `zhentu scan` on large pictures against a plain script and against the hardware's limit, in one run.

    python scripts/bench_scan.py --pictures ../shared/data/dev/genuine --count 1000

- plain: one process in which Pillow decodes and resizes and a timm network as deep as the detector's (PyTorch, with its
  own threads) sees the same views, one picture at a time. This is what one would write in an afternoon.
- limit: decoding, preparing views and inference, each run by itself on every core; the sum of the three times.
- threads: one process with one thread per core, running the scan's own pipeline: the local engine without processes.
- scan: the `zhentu scan` command as a user runs it, including interpreter start-up and writing the rows. Name the
  interpreter of a user's environment with `--python`: that of a developer has pandas, which pyarrow then imports.
- ray: the same command with `--engine ray`, on a cluster with one node per core of this machine (needs `--ray`).
- plain_ray: `plain_ray_data.py` on the same cluster, including its start-up.

`--memory` watches one more scan of a slice and reports its peak resident memory, counting shared pages once.

Besides wall-clock time, the processor time of each is reported (`cpu`), which says more on a busy machine. All of them
take turns over slices of the pictures, so that a noisy machine disturbs all of them alike. Commands are also timed on a
single picture, the least of three; `net` rates exclude that time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from scanning import ROOT, cpu_seconds, environment, scan_command, watch

from zhentu.bootstrap.screener import build_screener
from zhentu.detect.detector import Detector
from zhentu.detect.models import samples_folder
from zhentu.detect.views import choose_boxes, make_views
from zhentu.intake.decode import decode
from zhentu.settings import load_settings
from zhentu.types import Inquiry

SIZES = ((1300, 1600), (1280, 1600), (1300, 1560), (1600, 1300))  # width, height


def make_pictures(source: Path, folder: Path, count: int) -> list[Path]:
    """Catalogue-sized JPEGs (quality 90, 4:2:0): the pictures of `source` enlarged, with sensor noise at full size."""
    originals = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not originals:
        sys.exit(f"{source}: holds no pictures; name another folder with --pictures")
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


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds and processor seconds."""

    clock: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.clock + other.clock, self.cpu + other.cpu)


def cost_of(step: Callable[[], object]) -> Cost:
    """What a step costs, including every process it starts."""
    began, cpu_began = time.perf_counter(), cpu_seconds()
    step()
    return Cost(time.perf_counter() - began, cpu_seconds() - cpu_began)


def plain(paths: list[Path]) -> Cost:
    """Cost of the plain script over `paths`, not counting the loading of its networks."""
    import timm
    import torch

    views = build_screener(load_settings()).detector.entry.views
    # The network of the model in force: one encoder for both looks.
    backbone = yaml.safe_load((ROOT / "configs" / "train.yaml").read_text(encoding="utf-8"))["backbone"]
    network = timm.create_model(backbone["name"], num_classes=6, dynamic_img_size=True).eval()
    del network.blocks[backbone["depth"] :]

    def tensor(pictures: list[Image.Image]) -> torch.Tensor:
        stacked = np.stack([np.asarray(picture) for picture in pictures])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

    torch.set_num_threads(os.cpu_count() or 1)

    def screen() -> None:
        for path in paths:
            image = Image.open(path).convert("RGB")
            whole = image.resize((views.whole_size, views.whole_size), Image.Resampling.BICUBIC)
            boxes = choose_boxes(np.asarray(whole), image.height, image.width, views)
            crops = [image.crop((b.x, b.y, b.x + views.crop_size, b.y + views.crop_size)) for b in boxes]
            logits = network(tensor([whole]))[0] + network(tensor(crops)).mean(0)  # looks of two sizes
            torch.sigmoid(logits).tolist()

    with torch.inference_mode():
        return cost_of(screen)


def threads(paths: list[Path]) -> Cost:
    """Cost of one process with one thread per core."""
    screener = build_screener(load_settings())

    def screen(path: Path) -> None:
        screener.screen(Inquiry.of(path.read_bytes(), str(path)))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return cost_of(lambda: list(pool.map(screen, paths)))


def scan(paths: list[Path], *options: str, python: str = sys.executable) -> Cost:
    """Cost of the command over a folder of links to `paths`."""
    with linked(paths) as place:
        output = place / "rows.csv"
        command = scan_command(str(place / "slice"), "--output", str(output), "--no-resume", *options, python=python)
        cost = run(command, environment(place))
        if len(output.read_text().splitlines()) != len(paths) + 1:
            sys.exit("the scan did not write a row for every picture")
    return cost


def least_of_three(command: Callable[[], Cost]) -> Cost:
    """What a command costs when nothing disturbs it: its fastest run of three."""
    return min((command() for _ in range(3)), key=lambda cost: cost.clock)


def memory(paths: list[Path], python: str) -> dict[str, float]:
    """Peak memory of a scan of `paths`, in MiB."""
    with linked(paths) as place:
        command = scan_command(str(place / "slice"), "--output", str(place / "rows.csv"), "--no-resume", python=python)
        watched = watch(command, environment(place))
    return {"parent": round(watched.parent_mb), "shared_once": round(watched.shared_once_mb)}


def plain_ray(paths: list[Path], address: str) -> Cost:
    """Cost of the plain Ray Data script over a folder of links to `paths`."""
    with linked(paths) as place:
        script = [sys.executable, str(ROOT / "scripts" / "plain_ray_data.py"), address]
        command = [*script, str(place / "slice"), str(place / "rows")]
        cost = run(command, environment(place))
        rows = sum(len(path.read_text().splitlines()) - 1 for path in (place / "rows").glob("*.csv"))
        if rows != len(paths):
            sys.exit(f"the plain Ray Data script wrote {rows} rows for {len(paths)} pictures")
    return cost


def run(command: list[str], variables: dict[str, str]) -> Cost:
    """Cost of a command; exits if the command fails."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return cost_of(lambda: subprocess.run(command, check=True, env=variables, **quiet))


@contextmanager
def linked(paths: list[Path]) -> Iterator[Path]:
    """A folder with links to `paths` in `slice`, and room for a store of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "slice").mkdir()
        for path in paths:
            (place / "slice" / path.name).symlink_to(path.resolve())
        yield place


@contextmanager
def ray_cluster() -> Iterator[str]:
    """A Ray cluster on loopback with one node process per core."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 200 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    for _ in range((os.cpu_count() or 1) - 1):
        cluster.add_node(num_cpus=1, object_store_memory=200 * 2**20)
    cluster.wait_for_nodes()
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def limit(paths: list[Path]) -> npt.NDArray[np.float64]:
    """Seconds of decoding, views and inference, each alone with every core busy: wall-clock, then processor time."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores)
    with context.Pool(cores, _hold, (barrier,)) as pool:
        shares = np.array(pool.map(_alone, [paths[k::cores] for k in range(cores)], chunksize=1))
    return np.stack([shares[:, 0].max(axis=0), shares[:, 1].sum(axis=0)])


def _hold(barrier: object) -> None:
    global _barrier
    _barrier = barrier


def _alone(paths: list[Path]) -> tuple[list[float], list[float]]:
    cv2.setNumThreads(1)
    detector = build_screener(load_settings()).detector
    assert isinstance(detector, Detector)  # noqa: S101 - for the type checker
    payloads = [path.read_bytes() for path in paths]
    # All is done once before it is timed, and nothing timed is kept: fresh memory costs more than decoding.
    pictures = [decode(payload).rgb for payload in payloads]
    views = [make_views(picture, detector.entry.views) for picture in pictures]
    detector.look(views[0])

    def decode_all() -> None:
        for payload in payloads:
            decode(payload)

    def view_all() -> None:
        for picture in pictures:
            make_views(picture, detector.entry.views)

    def infer_all() -> None:
        for each in views:
            detector.look(each)

    clock, cpu = [], []
    for step in (decode_all, view_all, infer_all):
        _barrier.wait()  # type: ignore[name-defined]
        began, cpu_began = time.perf_counter(), time.process_time()
        step()
        clock.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
    return clock, cpu


def main() -> None:
    """Measure, print, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=samples_folder(), help="to enlarge; default: the samples")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "zhentu-bench-pictures")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--slice", type=int, default=500, help="pictures per turn")
    parser.add_argument("--plain", type=int, default=100, help="how many of them the plain script and the limit take")
    parser.add_argument("--python", default=sys.executable, help="interpreter that runs the scan command")
    parser.add_argument("--ray", action="store_true", help="also measure Ray on a local cluster")
    parser.add_argument("--memory", action="store_true", help="also measure a scan's peak memory")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    paths = make_pictures(arguments.pictures, arguments.folder, arguments.count)
    with ray_cluster() if arguments.ray else nullcontext("") as address:
        figures = measure(paths, arguments.slice, arguments.plain, address, arguments.python)
    if arguments.memory:
        figures["memory_mib"] = memory(paths[: arguments.slice], arguments.python)
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


def measure(paths: list[Path], size: int, few_count: int, address: str, python: str) -> dict[str, object]:
    """Measure all of them, in turns. address: the Ray cluster's, "" to leave Ray out. python: what runs the scan."""
    over_ray = ("--engine", "ray", "--ray-address", address)
    one = paths[:1]
    start = {"scan": least_of_three(lambda: scan(one, python=python))}
    if address:
        start["ray"] = least_of_three(lambda: scan(one, *over_ray))
        start["plain_ray"] = least_of_three(lambda: plain_ray(one, address))
    costs: dict[str, Cost] = {}
    parts = np.zeros((2, 3))
    turns = [paths[begin : begin + size] for begin in range(0, len(paths), size)]
    few = [turn[:few_count] for turn in turns]

    def take(name: str, cost: Cost) -> None:
        costs[name] = costs.get(name, Cost()) + cost
        print(name, round(cost.clock, 1), round(cost.cpu, 1), file=sys.stderr, flush=True)

    for turn, some in zip(turns, few, strict=True):
        take("plain", plain(some))
        take("threads", threads(turn))
        take("scan", scan(turn, python=python))
        if address:
            take("ray", scan(turn, *over_ray))
            take("plain_ray", plain_ray(turn, address))
        parts += limit(some)
    fewer = sum(map(len, few))
    counts = {name: fewer if name == "plain" else len(paths) for name in costs}
    figures: dict[str, object] = {"pictures": len(paths), "cores": os.cpu_count()}
    for clock, limit_parts in (("clock", parts[0]), ("cpu", parts[1])):
        spent = {name: float(getattr(cost, clock)) for name, cost in costs.items()}
        rate = {name: counts[name] / seconds for name, seconds in spent.items()}
        rate["limit"] = fewer / float(limit_parts.sum())
        for name, cost in start.items():
            rate[f"{name}_net"] = counts[name] / (spent[name] - len(turns) * float(getattr(cost, clock)))
        pairs = [("scan", "plain"), ("scan", "limit"), ("scan_net", "limit"), ("threads", "scan_net")]
        if address:
            pairs += [("ray", "scan"), ("ray_net", "scan_net"), ("ray", "plain_ray"), ("ray_net", "plain_ray_net")]
        figures[clock] = {
            "pictures_per_second": {name: round(value, 2) for name, value in rate.items()},
            "start_seconds": {name: round(float(getattr(cost, clock)), 1) for name, cost in start.items()},
            "limit_ms_per_picture": (limit_parts / fewer * 1e3).round(2).tolist(),
            "ratios": {f"{one} over {other}": round(rate[one] / rate[other], 3) for one, other in pairs},
        }
    return figures


if __name__ == "__main__":
    main()
