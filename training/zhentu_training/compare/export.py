"""The comparison as an ONNX graph beside the detector's, sharing its encoder weights; refused when the two disagree."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch

from zhentu.detect.calibration import Platt
from zhentu.detect.compare import Comparer
from zhentu.detect.models import (
    ComparerEntry,
    GoldenPair,
    Manifest,
    TrainingData,
    samples_folder,
)
from zhentu.detect.views import whole_view
from zhentu.intake.decode import decode
from zhentu_training.compare.model import Comparison
from zhentu_training.export import PARITY, SHARED, weights_of
from zhentu_training.pack import pack, save_with_shared_weights

NAME = "zhentu-compare"


def export(
    model: Comparison, platt: Platt, threshold: float, data: TrainingData, version: str, created: str, models: Path
) -> str:
    """Write graph and manifest entry; returns what was written. Exits when torch and ONNX Runtime disagree."""
    size = model.encoder.backbone.patch_embed.img_size[0]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{NAME}-{version}.onnx"
        if (models / SHARED).is_file():
            shutil.copyfile(models / SHARED, path.with_name(SHARED))
        torch.onnx.export(
            model,
            (torch.zeros((3, size, size, 3), dtype=torch.uint8),),
            str(path),
            input_names=["views"],
            output_names=["logits", "likeness", "map"],
            dynamic_shapes={"views": {0: torch.export.Dim("views", min=2, max=17)}},
            opset_version=20,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        save_with_shared_weights(pack(onnx.load(str(path))), path, path.with_name(SHARED))
        entry = ComparerEntry(
            name=NAME,
            version=version,
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            weights=weights_of(path.with_name(SHARED)),
            view_size=size,
            calibration=platt,
            review_threshold=threshold,
            golden=(),
            training_data=data,
            created=created,
            licence="Apache-2.0",
        )
        comparer = Comparer(entry, path.parent)
        worst = parity(model, comparer, platt, size)
        print(f"parity: largest difference of a probability {worst:.2e}, allowed {PARITY:.0e}")
        if not worst < PARITY:
            sys.exit("torch and ONNX Runtime disagree: nothing was written")
        entry = replace(entry, golden=golden_of(comparer))
        models.mkdir(parents=True, exist_ok=True)
        for written in path.parent.iterdir():
            shutil.copyfile(written, models / written.name)
    manifest = Manifest.load(models)
    others = tuple(each for each in manifest.comparers if str(each.ref) != str(entry.ref))
    manifest = replace(manifest, comparers=(*others, entry), active_comparer=str(entry.ref))
    manifest.save(models)
    return f"wrote {models / entry.file}; active comparer: {entry.ref}"


@torch.inference_mode()
def parity(model: Comparison, comparer: Comparer, platt: Platt, size: int) -> float:
    """Largest difference of a probability between torch and serving over pairs of the sample pictures."""
    pictures = [decode(path.read_bytes()) for path in sorted(samples_folder().glob("*.jpg"))]
    worst = 0.0
    for first, second in pairwise(pictures):
        views = torch.from_numpy(np.stack([whole_view(each.rgb, size) for each in (first, second)]))
        logits, _, _ = model(views)
        expected = float(platt.probability(float(logits[0])))
        worst = max(worst, abs(expected - comparer.compare(first, [second]).score))
    return worst


def golden_of(comparer: Comparer) -> tuple[GoldenPair, ...]:
    """What the comparer says of three pairs of the package's samples, for the check at start."""
    names = sorted(path.name for path in samples_folder().glob("*.jpg"))
    pairs = zip(names[:3], names[-3:], strict=True)
    read = {name: decode((samples_folder() / name).read_bytes()) for name in names}
    return tuple(GoldenPair(a, b, comparer.compare(read[a], [read[b]]).score) for a, b in pairs)
