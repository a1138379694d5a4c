"""Turn what a GPU tuned into the run folder that locate, export, quantize and evaluate read.

    python -m zhentu_training.adopt --tuned HOME --shards runs/carry --manifest runs/set/manifest.csv --run runs/tuned

HOME holds what `zhentu_training.gpu.tune` wrote: plan.json, weights-*.npz and rest.npz of the run on all pictures, and
a file per fold of the same design. The encoder is taken `--share` of the way from the frozen one to the tuned one: half
way kept what CLIP knows about strangers and most of what tuning added (WiSE-FT, Wortsman et al. 2022). Fusion,
calibration and thresholds are fitted on what the folds' models, also half way, said about sources they never saw.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import Sample, digest
from zhentu_training.features import LOOKS, pictures_of
from zhentu_training.fit import CALIBRATION, HELD_OUT, calibrated, save_heads
from zhentu_training.gpu.arrays import floating
from zhentu_training.gpu.plan import ENCODER, PLAN
from zhentu_training.heads import FittedHead
from zhentu_training.rows import Rows
from zhentu_training.tuned_weights import write_encoder

ENCODER_OF_RUN = "encoder.npz"
_VIT = "vit."
_VIEW_OF = {"native": 1, "web": 2}  # which crop judges a picture on a road; the whole look is the web copy's on both


def read_tuned(folder: Path) -> dict[str, np.ndarray]:
    """All arrays of the tuned model by the names of `gpu.network.Model`, float32."""
    integers = [dict(np.load(path)) for path in sorted(folder.glob("weights-*.npz"))]
    with np.load(folder / "rest.npz") as rest:
        return floating({name: value for part in [*integers, dict(rest)] for name, value in part.items()})


def blended(frozen: Mapping[str, np.ndarray], tuned: Mapping[str, np.ndarray], share: float) -> dict[str, np.ndarray]:
    """The encoder `share` of the way from the frozen to the tuned one, by timm's names."""
    found = {}
    for name, value in tuned.items():
        if name.startswith(_VIT):
            plain = name.removeprefix(_VIT)
            found[plain] = (1 - share) * frozen[plain] + share * value.reshape(frozen[plain].shape)
    return found


def heads_of(tuned: Mapping[str, np.ndarray]) -> list[FittedHead]:
    """Both looks' heads, of raw features."""
    heads = []
    for look in LOOKS:
        weight = tuned[f"heads.{look}.weight"] / tuned[f"{look}_std"]
        heads.append(FittedHead(weight, tuned[f"heads.{look}.bias"] - weight @ tuned[f"{look}_mean"]))
    return heads


def judged_folds(folder: Path, kind: str) -> dict[str, np.ndarray]:
    """Logits (3 views, 5) that the folds' models gave, by the name of the picture. kind: plain | tuned | blend."""
    design = json.loads((folder / PLAN).read_text(encoding="utf-8"))["name"]  # other files may be beside it
    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob(f"{design}-[0-9]*.npz")):
        with np.load(path) as fold:
            found |= dict(zip(map(str, fold["names"]), fold[f"{kind}_logits"], strict=True))
    return found


def rows_of(samples: Sequence[Sample], said: Mapping[str, np.ndarray]) -> tuple[Rows, np.ndarray]:
    """Rows without features, road after road, and the looks' logits (n, 2, 5)."""
    chosen = [sample for sample in samples if str(sample.path) in said]
    targets, known = (np.stack(part) for part in zip(*(sample.targets() for sample in chosen), strict=True))
    logits = np.stack([said[str(sample.path)] for sample in chosen])
    none = np.zeros((0, 0, 0, 0), np.float16)
    roads = list(_VIEW_OF)
    rows = Rows(
        chosen * len(roads),
        np.tile(np.arange(len(chosen)), len(roads)),
        np.repeat(roads, len(chosen)),
        none,
        none,
        np.tile(targets, (len(roads), 1)),
        np.tile(known, (len(roads), 1)),
    )
    looks = np.concatenate([logits[:, [0, _VIEW_OF[road]]] for road in roads])
    return rows, looks.astype(np.float32)


def folds_in(shards: Path) -> dict[str, int]:
    """The fold of each picture that was packed."""
    found: dict[str, int] = {}
    for path in sorted(shards.glob("shard-*.npz")):
        with np.load(path) as shard:
            found |= dict(zip(map(str, shard["name"]), map(int, shard["fold"]), strict=True))
    return found


def adopt(folder: Path, shards: Path, samples: Sequence[Sample], spec: TrainSpec, share: float, run: Path) -> None:
    """Write encoder.npz, heads.npz, held_out.npz, calibration.json and training_data.json into the run folder."""
    tuned = read_tuned(folder)
    with np.load(shards / ENCODER) as kept:
        frozen = floating(dict(kept))
    write_encoder(blended(frozen, tuned, share), run / ENCODER_OF_RUN)
    save_heads(heads_of(tuned), run)
    said = judged_folds(folder, {0.0: "plain", 0.5: "blend", 1.0: "tuned"}[share])
    fold = folds_in(shards)
    rows, looks = rows_of(samples, said)
    honest, content = calibrated(rows, looks, np.array([fold[str(sample.path)] for sample in rows.samples]), spec)
    np.savez(run / HELD_OUT, **asdict(honest))
    (run / CALIBRATION).write_text(json.dumps(content, indent=1), encoding="utf-8")
    unique = list({sample.path: sample for sample in rows.samples}.values())
    record = {"pictures": len(unique), "sources": len({s.source for s in unique}), "digest": digest(unique)}
    (run / "training_data.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(json.dumps({name: content[name] for name in ("figures", "profiles", "fusion")}, indent=1))


def main(argv: Sequence[str] | None = None) -> None:
    """Read what came back and write the run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", type=Path, required=True, help="what zhentu_training.gpu.tune wrote")
    parser.add_argument("--shards", type=Path, required=True, help="of zhentu_training.carry")
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--share", type=float, default=0.5, choices=[0.0, 0.5, 1.0], help="of the way to the tuned one")
    arguments = parser.parse_args(argv)
    arguments.run.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.config, arguments.run / "train.yaml")
    spec = load_spec(arguments.config)
    adopt(arguments.tuned, arguments.shards, pictures_of(arguments.manifest), spec, arguments.share, arguments.run)


if __name__ == "__main__":
    main()
