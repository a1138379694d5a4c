"""Fine-tune the encoder with its heads, on a machine that has a GPU, torch, timm, NumPy and OpenCV, and nothing else.

    PYTHONPATH=training python -m zhentu_training.gpu.tune ready --shards /tmp/shards --work /tmp/tune
    PYTHONPATH=training python -m zhentu_training.gpu.tune run   --work /tmp/tune --out $OUT full:0,1 gentle:0,1
    PYTHONPATH=training python -m zhentu_training.gpu.tune run   --work /tmp/tune --out $OUT full:0,1,2,3,4,final

`ready` decodes what `zhentu_training.carry` wrote; `run` trains designs (see plan.py) without a fold and scores the
fold, or on everything (final), whose weights come back. It begins from the frozen encoder with ridge heads fitted on
it (linear probing, then fine-tuning: Kumar et al. 2022). Every view is made on the GPU: geometry, tone, blur, noise and
JPEG, the same for both classes. Weights are averaged over the last steps (an exponential mean). A plan's last steps may
train with 8-bit products as ONNX's DynamicQuantizeLinear and MatMulInteger make them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from zhentu_training.gpu.arrays import STEP, in_steps, write_parts
from zhentu_training.gpu.judge import figures, said_of
from zhentu_training.gpu.network import Model
from zhentu_training.gpu.pictures import Columns, Pictures, load, unpack
from zhentu_training.gpu.plain import frozen_features
from zhentu_training.gpu.plan import ENCODER, LEVELS, PLAN, PLANS, Plan, changed
from zhentu_training.gpu.train import half_way, tuned

FINAL = "final"  # on everything, instead of a fold's number


@dataclass(frozen=True, slots=True)
class Job:
    """A design, and what it is trained for: without which folds, and whether on everything."""

    name: str
    plan: Plan
    folds: tuple[int, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class Folders:
    """work: what `ready` wrote.  out: what is sent back.  taef2: the tiny autoencoder's weights."""

    work: Path
    out: Path
    taef2: Path | None = None


def ready(shards: Path, work: Path) -> None:
    """Decode the shards and put the encoder beside them; data from other shards is removed."""
    begin = time.monotonic()
    count = unpack(shards, work)
    shutil.copyfile(shards / ENCODER, work / ENCODER)
    for stale in work.glob("frozen-*.pt"):
        stale.unlink()
    print(f"{count} pictures in {time.monotonic() - begin:.1f} s", flush=True)


def run_fold(data: Pictures, folders: Folders, job: Job, fold: int) -> None:
    """Train without a fold and score it: the frozen encoder with plain heads, the tuned one, and half way between."""
    begin = time.monotonic()
    use, rows = data.fold != fold, np.flatnonzero(data.fold == fold)
    frozen = frozen_features(folders.work, data, job.plan)
    model, plain = tuned(data, frozen, use, job.plan, folders.work, folders.taef2)
    masked = data.mask_at.cpu().numpy()[rows] > 0
    arrays = {"rows": data.number[rows], "names": data.name[rows], "placed": data.number[rows][masked]}
    for label, each in (("plain", plain), ("tuned", model), ("blend", half_way(plain, model))):
        logits, places = said_of(each, data, rows)
        arrays[f"{label}_logits"] = logits
        if label == "tuned":
            arrays["places"] = places[masked]
        print(f"{job.name} fold {fold} {label}: {figures(data, rows, logits)}", flush=True)
    np.savez(folders.out / f"{job.name}-{fold}.npz", allow_pickle=False, **arrays)
    print(f"{job.name} fold {fold}: {time.monotonic() - begin:.1f} s", flush=True)


def run_final(data: Pictures, folders: Folders, job: Job) -> None:
    """Train on everything; write plan.json, seen.npz (what it says of what it saw) and the weights."""
    rows = np.arange(data.count)
    frozen = frozen_features(folders.work, data, job.plan)
    model, _ = tuned(data, frozen, np.ones(data.count, bool), job.plan, folders.work, folders.taef2)
    logits, _ = said_of(model, data, rows)
    print(f"{job.name} final, on what it saw: {figures(data, rows, logits)}", flush=True)
    write_weights(model, folders.out)
    np.savez(folders.out / "seen.npz", names=data.name, logits=logits)
    (folders.out / PLAN).write_text(json.dumps({"name": job.name, **asdict(job.plan)}), encoding="utf-8")


def write_weights(model: Model, out: Path) -> None:
    """weights-*.npz: matrices as they are served, integers; rest.npz: their steps a channel, all else float32."""
    big = model.integer_weights()
    integers: dict[str, Columns] = {}
    rest: dict[str, Columns] = {}
    for name, value in model.state_dict().items():
        array = value.float().cpu().numpy()
        if name in big:
            integers[name], rest[name + STEP] = in_steps(array, LEVELS)
        else:
            rest[name] = array
    write_parts(integers, out / "weights")
    np.savez(out / "rest.npz", allow_pickle=False, **rest)


def job_of(text: str, settings: Sequence[str]) -> Job:
    """design:fold,fold,...,final. Raises ValueError."""
    name, _, folds = text.partition(":")
    if name not in PLANS:
        raise ValueError(f"{name}: no such design; there are {', '.join(PLANS)}")
    parts = folds.split(",")
    numbers = tuple(int(each) for each in parts if each != FINAL)
    return Job(name, changed(PLANS[name], settings), numbers, FINAL in parts)


def problem_of(jobs: Sequence[Job], data: Pictures, taef2: Path | None) -> str:
    """Why the jobs cannot be done; empty if they can."""
    there = sorted({int(each) for each in data.fold})
    for job in jobs:
        if missing := sorted({*job.folds} - {*there}):
            return f"{job.name}: there are no folds {missing}, only {there}"
        if job.plan.reconstructed and taef2 is None:
            return f"{job.name}: reconstructs, so name the folder of the tiny autoencoder with --taef2"
    return ""


def run(jobs: Sequence[Job], data: Pictures, folders: Folders) -> None:
    """Every job, one after the other."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    folders.out.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        for fold in job.folds:
            run_fold(data, folders, job, fold)
        if job.final:
            run_final(data, folders, job)


def main(argv: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("ready", help="decode the shards")
    first.add_argument("--shards", type=Path, required=True, help="of zhentu_training.carry")
    second = steps.add_parser("run", help="train and score")
    second.add_argument("jobs", nargs="+", help="design:fold,fold,...; final = on everything")
    second.add_argument("--out", type=Path, required=True)
    second.add_argument("--set", action="append", default=[], help="name=value, for every plan; may be repeated")
    second.add_argument("--taef2", type=Path, help="folder of taef2_encoder.pth and taef2_decoder.pth, for pairs")
    second.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for each in (first, second):
        each.add_argument("--work", type=Path, required=True, help="between ready and run")
    arguments = parser.parse_args(argv)
    if arguments.step == "ready":
        ready(arguments.shards, arguments.work)
        return
    try:
        jobs = [job_of(text, arguments.set) for text in arguments.jobs]
    except ValueError as error:
        parser.error(str(error))
    data = load(arguments.work, arguments.device)
    if problem := problem_of(jobs, data, arguments.taef2):
        parser.error(problem)
    run(jobs, data, Folders(arguments.work, arguments.out, arguments.taef2))


if __name__ == "__main__":
    main()
