"""Train the detector's two branches.

    python -m zhentu_training.train --manifest runs/set/manifest.csv --run runs/first           # both, one process each
    python -m zhentu_training.train --manifest runs/set/manifest.csv --run runs/first --branch whole
    python -m zhentu_training.train --manifest NEW.csv --run runs/tuned --config configs/tune.yaml --start-from models

Runs on the CPU of a small machine (one thread a branch measured fastest there), or on a GPU with mixed precision. A run
killed at any point resumes from its last checkpoint; batch k depends on (seed, k) alone. The run folder keeps the
config, the data digest, metrics, curves and checkpoints.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from timm.utils import ModelEmaV3
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from zhentu.errors import ZhentuError
from zhentu.types import OUTPUTS
from zhentu_training.batches import Batch, batches
from zhentu_training.config import BranchSpec, TrainSpec, load_spec
from zhentu_training.dataset import Sample, digest, read_manifest
from zhentu_training.model import ConvBranch, TokenBranch, build_branch
from zhentu_training.probe import fit_probe
from zhentu_training.start import hold_statistics, set_first_weights

BRANCHES = ("whole", "crops")


def train_branch(
    branch: str, spec: TrainSpec, samples: list[Sample], run: Path, threads: int, tuned_from: Path | None = None
) -> Path:
    """Train one branch to its last step and return the path of its weights (EMA; of a frozen backbone, its head).

    tuned_from: a finished run folder or a models folder whose weights are the first ones. Trained weights go on from
    there with the statistics of batch normalisation held; a fitted head is drawn towards what it was (see `fit_head`).
    """
    schedule: BranchSpec = getattr(spec, branch)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(threads)
    torch.manual_seed(spec.seed)
    model = build_branch(schedule.backbone)
    if tuned_from is not None:
        set_first_weights(model, branch, tuned_from)
    if isinstance(model, TokenBranch):
        return fit_probe(branch, model.eval().to(device), spec, samples, run, anchored=tuned_from is not None)
    model = model.to(device, memory_format=torch.channels_last)
    average = ModelEmaV3(model, decay=schedule.ema_decay, use_warmup=True)
    optimiser = torch.optim.AdamW(_groups(model, schedule))
    checkpoint = run / f"{branch}.checkpoint.pt"
    start = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        start = int(state["step"])
    stream = batches(samples, branch, spec.views, schedule.batch, spec.chain, spec.seed, start)
    output_weights = torch.tensor(spec.output_weights, device=device)
    positive_weights = torch.tensor(spec.positive_weights, device=device)
    progress = tqdm(range(start, schedule.steps), initial=start, total=schedule.steps, desc=branch, mininterval=5)
    with (run / f"{branch}.metrics.jsonl").open("a", encoding="utf-8") as metrics:
        for step in progress:
            began = time.perf_counter()
            torch.manual_seed(spec.seed + step)  # dropout too depends on the step alone, so a resumed run is the same
            _set_learning_rates(optimiser, step, schedule)
            model.train()
            if tuned_from is not None:
                hold_statistics(model)
            loss, per_output = _step(model, optimiser, next(stream), device, output_weights, positive_weights)
            average.update(model, step=step)
            row = {"step": step, "loss": loss, "seconds": time.perf_counter() - began}
            metrics.write(json.dumps(row | dict(zip(OUTPUTS, per_output, strict=True))) + "\n")
            progress.set_postfix(loss=f"{loss:.3f}")
            if (step + 1) % spec.checkpoint_every == 0 or step + 1 == schedule.steps:
                metrics.flush()
                _save(checkpoint, model, average, optimiser, step + 1)
    weights = run / f"{branch}.pt"
    torch.save(average.module.state_dict(), weights)
    return weights


def _step(
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    device: torch.device,
    output_weights: torch.Tensor,
    positive_weights: torch.Tensor,
) -> tuple[float, list[float]]:
    views = torch.from_numpy(batch.views).to(device)
    targets, weights = torch.from_numpy(batch.targets).to(device), torch.from_numpy(batch.weights).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = model(views).float().mean((2, 3))
    losses = binary_cross_entropy_with_logits(logits, targets, pos_weight=positive_weights, reduction="none") * weights
    per_output = losses.sum(0) / weights.sum(0).clamp(min=1)
    loss = (per_output * output_weights).sum() / output_weights.sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    return loss.item(), per_output.tolist()


def _groups(model: ConvBranch, schedule: BranchSpec) -> list[dict[str, object]]:
    """Backbone and head learn at their own rates; norms and biases are not decayed."""
    groups = []
    for module, rate in ((model.backbone, schedule.learning_rate), (model.head, schedule.head_learning_rate)):
        matrices = [p for p in module.parameters() if p.ndim > 1]
        vectors = [p for p in module.parameters() if p.ndim <= 1]
        groups.append({"params": matrices, "lr": rate, "rate": rate, "weight_decay": schedule.weight_decay})
        groups.append({"params": vectors, "lr": rate, "rate": rate, "weight_decay": 0.0})
    return groups


def _set_learning_rates(optimiser: torch.optim.Optimizer, step: int, schedule: BranchSpec) -> None:
    warm = max(int(schedule.warmup * schedule.steps), 1)
    if step < warm:
        factor = (step + 1) / warm
    else:
        factor = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(schedule.steps - warm, 1)))
    for group in optimiser.param_groups:
        group["lr"] = group["rate"] * factor


def _save(path: Path, model: ConvBranch, average: ModelEmaV3, optimiser: torch.optim.Optimizer, step: int) -> None:
    state = {"model": model.state_dict(), "average": average.module.state_dict()}
    half_written = path.with_suffix(".tmp")
    torch.save(state | {"optimiser": optimiser.state_dict(), "step": step}, half_written)
    half_written.replace(path)


def plot_curves(run: Path) -> Path:
    """Loss per output over steps, both branches, as curves.png in the run folder."""
    import matplotlib.pyplot as plt
    import pandas as pd

    figure, axes = plt.subplots(1, 2, figsize=(12, 4), sharey=True)
    for axis, branch in zip(axes, BRANCHES, strict=True):
        path = run / f"{branch}.metrics.jsonl"
        if path.is_file():
            rows = pd.read_json(path, lines=True).drop_duplicates("step", keep="last").set_index("step")
            rows[list(OUTPUTS)].rolling(40, min_periods=1).mean().plot(ax=axis, lw=1)
        axis.set(title=f"{branch} branch", xlabel="step", ylabel="training loss (mean of 40 steps)")
    figure.tight_layout()
    figure.savefig(run / "curves.png", dpi=110)
    plt.close(figure)
    return run / "curves.png"


def main() -> None:
    """Parse, train, plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="CSV or Parquet, see zhentu_training/dataset.py")
    parser.add_argument("--run", type=Path, required=True, help="folder that keeps everything of this run")
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--start-from", type=Path, help="fine-tune: a finished run folder, or a models folder")
    parser.add_argument("--branch", choices=[*BRANCHES, "both"], default="both")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads per branch")
    arguments = parser.parse_args()
    try:
        _train(arguments)
    except (ZhentuError, FileNotFoundError) as error:  # the call, the config or the weights are at fault
        sys.exit(str(error))


def _train(arguments: argparse.Namespace) -> None:
    spec = load_spec(arguments.config)
    arguments.run.mkdir(parents=True, exist_ok=True)
    if arguments.branch == "both":
        shutil.copyfile(arguments.config, arguments.run / "train.yaml")
        command = [sys.executable, "-m", "zhentu_training.train", *sys.argv[1:], "--branch"]
        children = [subprocess.Popen([*command, branch]) for branch in BRANCHES]  # noqa: S603 - our own module
        codes = [child.wait() for child in children]
        if any(codes):
            sys.exit(f"training failed, exit codes {codes}; run the same command again to resume")
        print(plot_curves(arguments.run))
        return
    samples = [sample for sample in read_manifest(arguments.manifest) if sample.split == "train"]
    record = {"manifest": str(arguments.manifest), "pictures": len(samples), "digest": digest(samples)}
    record["sources"] = len({sample.source for sample in samples})
    (arguments.run / "training_data.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(train_branch(arguments.branch, spec, samples, arguments.run, arguments.threads, arguments.start_from))


if __name__ == "__main__":
    main()
