"""Turn what a GPU tuned into the run folder that locate, export, quantize and evaluate read.

    python -m zhentu_training.adopt --tuned HOME --shards runs/carry --manifest runs/set/manifest.csv --run runs/tuned

HOME holds what the calls of `zhentu_training.gpu.tune` sent back, in folders of their own or together: what each part
of the run said, and weights. The encoder is taken `--share` of the way from the frozen one to the tuned one: half way
kept what CLIP knows about strangers and most of what tuning added (WiSE-FT, Wortsman et al. 2022). Fusion, calibration
and thresholds are fitted on what the folds' models, also half way, said about sources they never saw.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from zhentu.errors import UsageError, ZhentuError
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import Sample, digest
from zhentu_training.encoder_weights import write_encoder
from zhentu_training.features import LOOKS, pictures_of
from zhentu_training.fit import CALIBRATION, HELD_OUT, calibrated, save_heads
from zhentu_training.folds import packed_folds
from zhentu_training.gpu.arrays import floating
from zhentu_training.gpu.changes import Kept, encoder_at, heads_at
from zhentu_training.gpu.home import SAID, said_in, weights_in
from zhentu_training.gpu.plan import ENCODER, FINAL
from zhentu_training.heads import FittedHead
from zhentu_training.rows import Rows

ENCODER_OF_RUN = "encoder.npz"
_SAID_AT = {0.0: "plain_logits", 0.5: "blend_logits", 1.0: "tuned_logits"}  # by the share of the way
_VIEW_OF = {"native": 1, "web": 2}  # which crop judges a picture on a road; the whole look is the web copy's on both


def encoder_of(shards: Path, kept: Kept, share: float) -> dict[str, np.ndarray]:
    """The encoder so far on the way to a tuned one, by timm's names. kept: of `changes.kept_of`."""
    with np.load(shards / ENCODER) as arrays:
        frozen = {name: torch.from_numpy(value) for name, value in floating(dict(arrays)).items()}
    return {name: value.numpy() for name, value in encoder_at(frozen, kept, share).items()}


def heads_of(kept: Kept, share: float) -> list[FittedHead]:
    """Both looks' heads so far on the way, of raw features."""
    arrays = {name: value.numpy() for name, value in heads_at(kept, share).items()}
    heads = []
    for look in LOOKS:
        weight = arrays[f"heads.{look}.weight"] / arrays[f"{look}_std"]
        heads.append(FittedHead(weight, arrays[f"heads.{look}.bias"] - weight @ arrays[f"{look}_mean"]))
    return heads


def judged_folds(folder: Path, design: str, share: float) -> dict[str, np.ndarray]:
    """Logits (3 views, 5) that the folds' models gave, by the name of the picture. Raises UsageError."""
    found: dict[str, np.ndarray] = {}
    for unit, said in said_in(folder).items():
        if unit.rpartition("-")[0] == design and not unit.endswith(FINAL):
            found |= dict(zip(map(str, said["names"]), said[_SAID_AT[share]], strict=True))
    if not found:
        raise UsageError(f"{folder}: holds no {SAID} with folds of {design}; is it what the GPU's calls sent back?")
    return found


def check_sizes(folder: Path, design: str, spec: TrainSpec) -> None:
    """Raises UsageError if the design saw looks of other sizes than the config's."""
    sizes = spec.views.whole_size, spec.views.crop_size
    for unit, said in said_in(folder).items():
        plan = json.loads(str(said["plan"]))
        if unit.rpartition("-")[0] == design and (plan["whole"], plan["crop"]) != sizes:
            raise UsageError(
                f"{unit}: was tuned on looks of {plan['whole']} and {plan['crop']} px, the config's views have "
                f"{sizes[0]} and {sizes[1]}; name the config that its shards were packed with"
            )


def one_share(text: str) -> float:
    """0, 0.5 or 1, which the folds were judged at. Raises ValueError."""
    if float(text) not in _SAID_AT:
        raise ValueError
    return float(text)


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


def adopt(  # noqa: PLR0913 - what came home, what it is of, and where it goes
    folder: Path, design: str, shards: Path, samples: Sequence[Sample], spec: TrainSpec, share: float, run: Path
) -> None:
    """Write encoder.npz, heads.npz, held_out.npz, calibration.json and training_data.json into the run folder.

    Raises UsageError if the folder lacks the final weights or the folds, or the sizes of looks are not the config's.
    """
    kept = weights_in(folder, f"{design}-{FINAL}")
    if not kept:
        raise UsageError(f"{folder}: holds no weights of {design}-{FINAL}; call gpu.tune again for {design}:{FINAL}")
    check_sizes(folder, design, spec)
    said, fold = judged_folds(folder, design, share), packed_folds(shards)
    write_encoder(encoder_of(shards, kept, share), run / ENCODER_OF_RUN)
    save_heads(heads_of(kept, share), run)
    rows, looks = rows_of(samples, said)
    honest, content = calibrated(rows, looks, np.array([fold[str(sample.path)] for sample in rows.samples]), spec)
    np.savez(run / HELD_OUT, **asdict(honest))
    (run / CALIBRATION).write_text(json.dumps(content, indent=1), encoding="utf-8")
    unique = list({sample.path: sample for sample in rows.samples}.values())
    record = {"pictures": len(unique), "sources": len({s.source for s in unique}), "digest": digest(unique)}
    (run / "training_data.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(json.dumps({name: content[name] for name in ("figures", "profiles", "fusion")}, indent=1))


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Read what came back and write the run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", type=Path, required=True, help="what zhentu_training.gpu.tune sent back")
    parser.add_argument("--design", default="full", help="of zhentu_training.gpu.plan")
    parser.add_argument("--shards", type=Path, required=True, help="of zhentu_training.carry")
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--share", type=one_share, default=0.5, help="0, 0.5 or 1: of the way to the tuned one")
    arguments = parser.parse_args(argv)
    arguments.run.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.config, arguments.run / "train.yaml")
    spec = load_spec(arguments.config)
    samples = pictures_of(arguments.manifest)
    try:
        adopt(arguments.tuned, arguments.design, arguments.shards, samples, spec, arguments.share, arguments.run)
    except ZhentuError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
