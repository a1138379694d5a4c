"""Torch branches + fusion -> one ONNX graph and its manifest entry; refuses to write when the two disagree.

    python -m zhentu_training.export --run runs/reference

Parity is checked on pictures from files, through the serving code: same bytes, same decoder, same views.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch

from zhentu.detect.calibration import Platt
from zhentu.detect.detector import Detector
from zhentu.detect.models import (
    MANIFEST,
    Golden,
    Manifest,
    ModelEntry,
    TrainingData,
    WeightsFile,
    samples_folder,
)
from zhentu.detect.views import make_views
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, OUTPUTS
from zhentu_training.calibrate import load_branches
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.model import Fusion, ZhentuModel
from zhentu_training.pack import pack, save_with_shared_weights

SHARED = "zhentu-encoder-int8.bin"  # weights that several graphs of models/ share
PARITY = 1e-3  # largest difference of a probability between torch and the exported graph


def assemble(run: Path, spec: TrainSpec) -> ZhentuModel:
    """The whole model of a run folder that has been calibrated."""
    fusion = Fusion()
    fitted = json.loads((run / "fusion.json").read_text(encoding="utf-8"))
    fusion.load_state_dict({"weight": torch.tensor(fitted["weights"]), "bias": torch.tensor(fitted["biases"])})
    return ZhentuModel(*load_branches(run, spec), fusion).eval()


def to_onnx(model: ZhentuModel, spec: TrainSpec, path: Path) -> None:
    """Write the serving graph; the number of crops stays dynamic."""
    whole = torch.zeros((1, spec.views.whole_size, spec.views.whole_size, 3), dtype=torch.uint8)
    crops = torch.zeros((spec.views.crop_count, spec.views.crop_size, spec.views.crop_size, 3), dtype=torch.uint8)
    torch.onnx.export(
        model,
        (whole, crops),
        str(path),
        input_names=["whole", "crops"],
        output_names=["logits", "whole_map", "crop_maps"],
        dynamic_shapes={"whole": None, "crops": {0: torch.export.Dim("crop_count", min=1, max=64)}},
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    # The transformer's matrices go to a file of their own that the int8 and the comparison graph share.
    save_with_shared_weights(pack(onnx.load(str(path))), path, path.with_name(SHARED))
    onnx.checker.check_model(str(path))


def entry_of(path: Path, run: Path, spec: TrainSpec, golden: tuple[Golden, ...] = ()) -> ModelEntry:
    """The manifest entry of an exported file."""
    fitted = json.loads((run / "fusion.json").read_text(encoding="utf-8"))
    trained = json.loads((run / "training_data.json").read_text(encoding="utf-8"))
    return ModelEntry(
        name=spec.name,
        version=spec.version,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        labels=CATEGORIES,
        views=spec.views,
        # The fusion is fitted as calibrated log-odds, so the graph's logits need no further stretching.
        calibration={name: Platt(1.0, 0.0) for name in OUTPUTS},
        thresholds=fitted["thresholds"],
        golden=golden,
        training_data=TrainingData(trained["digest"], trained["pictures"], trained["sources"]),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence="Apache-2.0",
        weights=weights_of(path.with_name(SHARED)),
        reference=fitted.get("reference", {}),
    )


def weights_of(shared: Path) -> tuple[WeightsFile, ...]:
    """The manifest's mention of the shared weights, none where the model has none."""
    if not shared.is_file():
        return ()
    return (WeightsFile(shared.name, hashlib.sha256(shared.read_bytes()).hexdigest()),)


@torch.inference_mode()
def parity(model: ZhentuModel, detector: Detector, pictures: list[Path], spec: TrainSpec) -> float:
    """Largest difference of a probability between torch and serving over picture files."""
    worst = 0.0
    for path in pictures:
        picture = decode(path.read_bytes())
        views = make_views(picture.rgb, spec.views)
        logits, _, _ = model(torch.from_numpy(views.whole), torch.from_numpy(views.crops))
        served = np.array(list(detector.detect(picture).scores.as_dict().values()))
        worst = max(worst, float(np.abs(torch.sigmoid(logits).numpy() - served).max()))
    return worst


def main() -> None:
    """Export, check, and only then write into models/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--pictures", type=Path, help="more picture files for the parity check")
    arguments = parser.parse_args()
    spec = load_spec(arguments.run / "train.yaml")
    model = assemble(arguments.run, spec)
    samples = sorted(samples_folder().glob("*.jpg"))
    extra = sorted(arguments.pictures.rglob("*.jpg"))[:60] if arguments.pictures else []
    if not samples + extra:
        sys.exit(
            "no pictures for the parity check: build the samples first (scripts/make_samples.py) or name --pictures"
        )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{spec.name}-{spec.version}.onnx"
        to_onnx(model, spec, path)
        detector = Detector(entry_of(path, arguments.run, spec), path.parent)
        worst = parity(model, detector, samples + extra, spec)
        print(f"parity on {len(samples + extra)} pictures: largest difference {worst:.2e}, allowed {PARITY:.0e}")
        if not worst < PARITY:
            sys.exit("torch and ONNX Runtime disagree: nothing was written")
        entry = entry_of(path, arguments.run, spec, golden_of(detector))
        arguments.models.mkdir(parents=True, exist_ok=True)
        for written in path.parent.iterdir():
            (arguments.models / written.name).write_bytes(written.read_bytes())
    add_to_manifest(arguments.models, entry)
    print(f"wrote {arguments.models / entry.file} and {arguments.models / MANIFEST}; active: {entry.ref}")


def golden_of(detector: Detector) -> tuple[Golden, ...]:
    """What a detector says of the package's sample pictures, for the check at start."""
    return tuple(
        Golden(sample.name, detector.detect(decode(sample.read_bytes())).scores.as_dict())
        for sample in sorted(samples_folder().glob("*.jpg"))
    )


def add_to_manifest(folder: Path, entry: ModelEntry) -> None:
    """Add an entry, or replace the one of its name and version, and make it the active one."""
    manifest = Manifest(schema=1, active=str(entry.ref), models=(entry,))
    if (folder / MANIFEST).is_file():
        known = Manifest.load(folder)
        others = tuple(each for each in known.models if str(each.ref) != str(entry.ref))
        manifest = replace(known, active=str(entry.ref), models=(*others, entry))
    manifest.save(folder)


if __name__ == "__main__":
    main()
