"""Benchmark the gate against what one might use instead: same network, same pictures (JPEG of 800 pixels), one run.

    python scripts/bench_gate.py --count 120 --rounds 2 [--pictures FOLDER]

The pictures are the shipped samples, most of them forged, so that nearly each needs both looks; or real ones of FOLDER,
of which the gate settles many by the first look, as it does in traffic.

Servers: the gate with records on; a plain endpoint of FastAPI, Pillow and ONNX Runtime; LitServe with its defaults;
LitServe tuned (one single-threaded worker per core). The others run both looks at every picture in ONNX Runtime, as
most people would, in floating point and with 8-bit products; the gate uses the precision it chooses on this machine.
`--before CHECKOUT` adds the gate of an earlier commit with that commit's model. The servers take turns in rounds, so
that a noisy machine disturbs all of them alike.
Every request carries a new picture, because the gate answers known ones without asking the model.
`cpu ms` is the whole server's processor time per picture. On a busy machine it says more than pictures per second:
cores / cpu ms is what the server could reach.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
from loadgen import ROOT, Outcomes, drive, environment, form, free_port, gate_command, pictures, real_pictures, started

from zhentu.bootstrap.screener import build_screener
from zhentu.settings import load_settings
from zhentu.types import Inquiry

PRECISIONS = ("fp32", "int8")


def bare(payloads: list[bytes]) -> np.ndarray:
    """Seconds of each bare call of the pipeline in this process, one after another."""
    screener = build_screener(load_settings())
    screener.screen(Inquiry.of(payloads[0]))
    took = []
    for payload in payloads:
        began = time.perf_counter()
        screener.screen(Inquiry.of(payload))
        took.append(time.perf_counter() - began)
    return np.array(took)


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process and everything it started."""
    root = psutil.Process(pid)
    times = [each.cpu_times() for each in (root, *root.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def main() -> None:
    """Run the benchmark and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=120, help="requests per server, concurrency and round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--precision", nargs="+", default=list(PRECISIONS), choices=PRECISIONS, help="of the others")
    parser.add_argument("--pictures", type=Path, help="real pictures instead of the samples")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier commit whose gate runs too")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    steps = [(k, c) for k in range(arguments.rounds) for c in arguments.concurrency]
    folder = Path(tempfile.mkdtemp(prefix="zhentu-bench-"))
    peers = ROOT / "scripts" / "peers"
    ports, commands = {"gate": free_port()}, {}
    commands["gate"] = gate_command(ports["gate"])
    scripts = {
        "plain": ("plain.py", ()),
        "litserve": ("lit.py", ("1", "0")),
        "litserve tuned": ("lit.py", (str(cores), "1")),
    }
    for precision in arguments.precision:
        for kind, (script, options) in scripts.items():
            name = f"{kind} {precision}"
            ports[name] = free_port()
            commands[name] = [sys.executable, str(peers / script), str(ports[name]), precision, *options]
    if arguments.before:
        ports["before"] = free_port()
        commands["before"] = gate_command(ports["before"])
    probes = {name: "/health" if name.startswith("litserve") else "/readyz" for name in commands}
    env = dict.fromkeys(commands, environment(folder, gate_deadline_s=120, gate_rate_per_s=0))
    if arguments.before:  # settings had other names before 0.4, and the defaults are enough
        own = {"PYTHONPATH": str(arguments.before.resolve() / "src"), "XDG_DATA_HOME": str(folder / "before")}
        env["before"] = environment(folder) | own
    seen: dict[tuple[str, int], list[Outcomes]] = {}
    spent: dict[tuple[str, int], float] = {}
    direct: list[np.ndarray] = []
    for number, (_, concurrency) in enumerate(steps):
        if arguments.pictures:
            payloads = real_pictures(arguments.pictures, arguments.count, seed=number + 1)
        else:
            payloads = pictures(arguments.count, seed=number + 1)
        if concurrency == arguments.concurrency[0]:
            direct.append(bare(payloads))
        for name, command in commands.items():
            with ExitStack() as stack:  # one server at a time: even an idle one takes its share of the machine
                process = stack.enter_context(
                    started(command, ports[name], env[name], probes[name], folder / f"{name}.log")
                )
                path = "/v1/screen" if name in ("gate", "before") else "/screen"
                warm = [form(each, path) for each in pictures(4, seed=900 + number)]
                asyncio.run(drive(ports[name], warm, 2, timeout_s=120))
                requests = [form(each, path) for each in payloads]
                before = cpu_seconds(process.pid)
                outcomes = asyncio.run(drive(ports[name], requests, concurrency, timeout_s=300))
                spent[name, concurrency] = spent.get((name, concurrency), 0.0) + cpu_seconds(process.pid) - before
                seen.setdefault((name, concurrency), []).append(outcomes)
    _print(seen, spent, np.concatenate(direct), arguments.concurrency)


def _print(
    seen: dict[tuple[str, int], list[Outcomes]],
    spent: dict[tuple[str, int], float],
    direct: np.ndarray,
    levels: list[int],
) -> None:
    columns = ("p50 ms", "p95 ms", "p99 ms", "cpu ms")
    print(f"{'server':20}{'conc':>5}{'ok':>7}{'failed':>7}{'pict/s':>8}" + "".join(f"{name:>9}" for name in columns))
    rates: dict[tuple[str, int], float] = {}
    tails: dict[tuple[str, int], float] = {}
    for (name, concurrency), parts in seen.items():
        took = np.concatenate([each.latencies() for each in parts])
        failed = sum(len(each.answers) - each.count(200) for each in parts)
        rates[name, concurrency] = len(took) / sum(each.seconds for each in parts)
        p50, p95, p99 = np.percentile(took, [50, 95, 99]) * 1e3 if len(took) else (0, 0, 0)
        tails[name, concurrency] = p99
        print(f"{name:20}{concurrency:5}{len(took):7}{failed:7}{rates[name, concurrency]:8.1f}", end="")
        print(f"{p50:9.1f}{p95:9.1f}{p99:9.1f}{spent[name, concurrency] / max(len(took), 1) * 1e3:9.1f}")
    bare_tail = np.percentile(direct, 99) * 1e3
    print(f"{'bare call':20}{1:5}{len(direct):7}{0:7}{1 / direct.mean():8.1f}", end="")
    print("".join(f"{each * 1e3:9.1f}" for each in np.percentile(direct, [50, 95, 99])))
    for level in levels:
        others = {name: rate for (name, at), rate in rates.items() if at == level and name != "gate" and rate}
        best = max(others, key=lambda name: others[name])
        print(f"concurrency {level}: gate / {best} = {rates['gate', level] / others[best]:.2f}", end="; ")
        print(", ".join(f"gate / {name} = {rates['gate', level] / rate:.2f}" for name, rate in others.items()))
    print(f"p99 at concurrency {levels[0]}: gate / bare call = {tails['gate', levels[0]] / bare_tail:.2f}")


if __name__ == "__main__":
    main()
