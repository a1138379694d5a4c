"""Fine-tune the encoder with its heads, on a machine that has a GPU, torch, timm, NumPy and OpenCV, and nothing else.

    PYTHONPATH=training python -m zhentu_training.gpu.tune ready --shards /tmp/shards --work /tmp/tune
    PYTHONPATH=training python -m zhentu_training.gpu.tune run   --work /tmp/tune --out $OUT full:0,1,2,3,4,final

`ready` decodes what `zhentu_training.carry` wrote; `run` trains designs (see plan.py) without a fold and scores the
fold, or on everything (final). It begins from the frozen encoder with ridge heads fitted on it (linear probing, then
fine-tuning: Kumar et al. 2022). Every view is made on the GPU: geometry, tone, blur, noise and JPEG, the same for both
classes. Weights are averaged over the last steps (an exponential mean). A plan's last steps may train with 8-bit
products as ONNX's DynamicQuantizeLinear and MatMulInteger make them.

A call begins nothing that it could not finish within `--seconds`, and what is finished is not done again: the same
call goes on where the last one stopped, and sends what had no room in the last answer.
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

from zhentu_training.gpu.arithmetic import fuse_blocks
from zhentu_training.gpu.changes import FINAL_BITS, FOLD_BITS, kept_of, model_at
from zhentu_training.gpu.home import Home
from zhentu_training.gpu.judge import figures, said_of, said_of_frozen
from zhentu_training.gpu.pictures import Columns, Pictures, load, unpack
from zhentu_training.gpu.plain import frozen_features
from zhentu_training.gpu.plan import ENCODER, FINAL, PLANS, Plan, changed
from zhentu_training.gpu.train import tuned

_FIRST = 60.0  # seconds that are left to a part before any has been timed
_SLOWER = 1.15  # than the slowest one timed; a part is not begun in less
_TIMES = "seconds.json"
_WAYS = {"blend": 0.5, "tuned": 1.0}  # how far a fold's models lie from the plain heads on the frozen encoder
_ROUNDED = 400  # pictures that say what rounding does
_OF_FINAL = 400  # pictures of which the model of everything says what it says, to compare with what comes home


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a run: a design, trained without a fold, or on everything (None)."""

    design: str
    plan: Plan
    fold: int | None

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.design}-{FINAL if self.fold is None else self.fold}"

    @property
    def cost(self) -> float:
        """Of its steps, to compare it with others."""
        return self.plan.steps * self.plan.batch * float(self.plan.whole**2 + self.plan.crop**2)


@dataclass(frozen=True, slots=True)
class Folders:
    """work: what `ready` wrote.  taef2: the tiny autoencoder's weights.  fused: see `arithmetic.fuse_blocks`."""

    work: Path
    taef2: Path | None = None
    fused: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since a call began, and what parts of this run took, in this call and in earlier ones."""

    work: Path
    begin: float

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self.begin

    @property
    def times(self) -> dict[str, list[float]]:
        """Seconds and cost of each part, by its name."""
        path = self.work / _TIMES
        found: dict[str, list[float]] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def note(self, unit: Unit, seconds: float) -> None:
        """Keep what a part took."""
        (self.work / _TIMES).write_text(json.dumps(self.times | {unit.name: [seconds, unit.cost]}))

    def needs(self, unit: Unit) -> float:
        """Seconds that a part will take, as far as others tell; a cheaper one is not believed to be quicker."""
        like = [seconds * max(unit.cost / cost, 1.0) for seconds, cost in self.times.values()]
        return _SLOWER * max(like) if like else _FIRST


def ready(shards: Path, work: Path) -> None:
    """Decode the shards and put the encoder beside them; what was made of other shards is removed."""
    begin = time.monotonic()
    count = unpack(shards, work)
    shutil.copyfile(shards / ENCODER, work / ENCODER)
    for stale in work.glob("frozen-*.pt"):
        stale.unlink()
    shutil.rmtree(work / "home", ignore_errors=True)
    print(f"{count} pictures in {time.monotonic() - begin:.1f} s", flush=True)


def run_unit(data: Pictures, folders: Folders, unit: Unit, home: Home) -> None:
    """Train, round the change, and keep what the rounded encoder says.

    Without a fold: of the fold, with plain heads on the frozen encoder, tuned, and half way between. Of everything:
    only half way, of some of what it saw.
    """
    use = data.fold != (-1 if unit.fold is None else unit.fold)
    rows = np.arange(min(data.count, _OF_FINAL)) if unit.fold is None else np.flatnonzero(~use)
    frozen = frozen_features(folders.work, data, unit.plan, folders.fused)
    model, plain = tuned(data, frozen, use, unit.plan, folders.work, folders.taef2, folders.fused)
    kept = kept_of(plain, model, FINAL_BITS if unit.fold is None else FOLD_BITS)
    said = {"names": data.name[rows], "plan": np.array(json.dumps(asdict(unit.plan)))}

    def at(share: float) -> Columns:
        between = model_at(plain, kept, share)
        if folders.fused:
            fuse_blocks(between)
        return said_of(between, data, rows)

    if unit.fold is None:
        said["blend_logits"] = at(0.5)
    else:
        said["plain_logits"] = said_of_frozen(plain, frozen, rows)
        said |= {f"{label}_logits": at(share) for label, share in _WAYS.items()}
        some = np.sort(np.random.default_rng(0).permutation(len(rows))[:_ROUNDED])
        moved = said["tuned_logits"][some] - said_of(model, data, rows[some])
        print(f"{unit.name} rounding moves logits by {np.sqrt((moved**2).mean()):.3f}", flush=True)
    for label in (each for each in said if each.endswith("_logits")):
        print(f"{unit.name} {label.removesuffix('_logits')}: {figures(data, rows, said[label])}", flush=True)
    home.keep(unit.name, said, kept)


def units_of(text: str, settings: Sequence[str]) -> list[Unit]:
    """design:fold,fold,...,final. Raises ValueError."""
    name, _, folds = text.partition(":")
    if name not in PLANS:
        raise ValueError(f"{name}: no such design; there are {', '.join(PLANS)}")
    plan = changed(PLANS[name], settings)
    return [Unit(name, plan, None if each == FINAL else int(each)) for each in folds.split(",")]


def problem_of(units: Sequence[Unit], data: Pictures, taef2: Path | None) -> str:
    """Why they cannot be done; empty if they can."""
    there = sorted({int(each) for each in data.fold})
    for unit in units:
        if unit.fold is not None and unit.fold not in there:
            return f"{unit.design}: there is no fold {unit.fold}, only {there}"
        if unit.plan.reconstructed and taef2 is None:
            return f"{unit.design}: reconstructs, so name the folder of the tiny autoencoder with --taef2"
        if unit.plan.crop != data.cropped:
            return (
                f"{unit.design}: sees crops of {unit.plan.crop} px, the shards were packed for crops of {data.cropped} "
                f"px; pack them with that views.crop_size, or --set crop={data.cropped}"
            )
    return ""


def run(units: Sequence[Unit], data: Pictures, folders: Folders, home: Home, clock: Clock, seconds: float) -> None:
    """Every part in turn that is not done yet and can be finished in time; each is sent as soon as it is done."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    waiting = home.send()
    for unit in (each for each in units if not home.done(each.name)):
        left, needed = seconds - clock.now, clock.needs(unit)
        if needed > left:
            print(f"{unit.name}: not begun, {left:.0f} s are left and it needs {needed:.0f}", flush=True)
            continue
        begin = clock.now
        run_unit(data, folders, unit, home)
        clock.note(unit, clock.now - begin)
        waiting = home.send()
        print(f"{unit.name}: {clock.now - begin:.1f} s, {clock.now:.0f} since the call began", flush=True)
    undone = [unit.name for unit in units if not home.done(unit.name)]
    print(f"to do: {', '.join(undone) or 'nothing'}; to send: {', '.join(waiting) or 'nothing'}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """See the module."""
    begin = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("ready", help="decode the shards")
    first.add_argument("--shards", type=Path, required=True, help="of zhentu_training.carry")
    second = steps.add_parser("run", help="train and score")
    second.add_argument("units", nargs="+", help="design:fold,fold,...; final = on everything")
    second.add_argument("--out", type=Path, required=True, help="what this call sends back")
    second.add_argument("--seconds", type=float, default=540, help="of this call; nothing is begun that takes longer")
    second.add_argument("--done", nargs="*", default=[], help="parts that came home from a machine given back: full-0")
    second.add_argument("--set", action="append", default=[], help="name=value, for every plan; may be repeated")
    second.add_argument("--taef2", type=Path, help="folder of taef2_encoder.pth and taef2_decoder.pth, for pairs")
    second.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    second.add_argument("--compile", action="store_true", help="on a processor, with a C++ compiler: 1.5 times as fast")
    for each in (first, second):
        each.add_argument("--work", type=Path, required=True, help="between calls, on the machine")
    arguments = parser.parse_args(argv)
    try:
        if arguments.step == "ready":
            ready(arguments.shards, arguments.work)
            return
        units = [unit for text in arguments.units for unit in units_of(text, arguments.set)]
    except ValueError as error:
        parser.error(str(error))
    units = [unit for unit in units if unit.name not in arguments.done]
    data = load(arguments.work, arguments.device)
    if problem := problem_of(units, data, arguments.taef2):
        parser.error(problem)
    home, clock = Home(arguments.work, arguments.out), Clock(arguments.work, begin)
    run(units, data, Folders(arguments.work, arguments.taef2, arguments.compile), home, clock, arguments.seconds)


if __name__ == "__main__":
    main()
