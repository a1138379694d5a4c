"""The comparison as two ONNX graphs: the encoder, sharing its weights with the detector's, and the heads.

Figures between the two are made by the serving code, which training uses too. Refused when training (torch,
scikit-learn) and serving disagree.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from zhentu.detect.calibration import Platt
from zhentu.detect.canvas import PLACES, VIEW, canvas_of, view_of
from zhentu.detect.compare import Comparer
from zhentu.detect.entries import ComparerEntry, GoldenPair, QuestionLevels, TrainingData, WeightsFile
from zhentu.detect.figures import NAMES, measure
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.look import Look, weight_of
from zhentu.detect.models import Manifest, samples_folder
from zhentu.detect.questions import ANSWERED
from zhentu.intake.decode import decode
from zhentu_training.compare.encoder import CentredEncoder, Encoder
from zhentu_training.compare.heads import Heads, Mixture
from zhentu_training.compare.identity import Identity
from zhentu_training.export import SHARED, weights_of
from zhentu_training.pack import pack, save_with_shared_weights
from zhentu_training.sessions import session_of

NAME = "zhentu-compare"
# Of what a look keeps, vectors of unit length, and of a probability at the same figures. Not of both in one: a last bit
# of a token now and then pairs another place, and such a figure carries a tree over a threshold.
LOOKS_PARITY, PARITY = 2e-3, 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Everything that was fitted. centre, class_centre: (blocks, D).  calibration by output, levels by question."""

    heads: Heads
    mixture: Mixture
    centre: Tensor
    class_centre: Tensor
    identity: Identity
    calibration: Mapping[str, Platt]
    levels: Mapping[str, QuestionLevels]
    review_threshold: float
    data: TrainingData


def export(fitted: Fitted, version: str, created: str, models: Path, encoder: Encoder | None = None) -> str:
    """Write graphs and manifest entry; returns what was written. Exits when torch and ONNX Runtime disagree."""
    manifest = Manifest.load(models)
    if manifest.finder is None:
        sys.exit("the models hold no goods finder: run zhentu_training.compare.finder first")
    centred = CentredEncoder(encoder or Encoder(), fitted.centre, fitted.class_centre, fitted.identity).eval()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path, heads = folder / f"{NAME}-{version}.onnx", folder / f"{NAME}-heads-{version}.onnx"
        if (models / SHARED).is_file():
            shutil.copyfile(models / SHARED, folder / SHARED)
        _write_encoder(centred, path)
        onnx.save(fitted.heads.graph(fitted.mixture), str(heads))
        entry = ComparerEntry(
            name=NAME,
            version=version,
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            weights=weights_of(folder / SHARED),
            heads=WeightsFile(heads.name, hashlib.sha256(heads.read_bytes()).hexdigest()),
            figures=NAMES,
            calibration=fitted.calibration,
            levels=fitted.levels,
            review_threshold=fitted.review_threshold,
            golden=(),
            training_data=fitted.data,
            created=created,
            licence="Apache-2.0",
        )
        finder = GoodsFinder(manifest.finder, models)
        comparer = Comparer(entry, folder, finder)
        looks, worst = parity(centred, fitted, (path, heads), finder)
        print(
            f"parity: largest difference of a look {looks:.2e}, allowed {LOOKS_PARITY:.0e}; of a probability "
            f"{worst:.2e}, allowed {PARITY:.0e}"
        )
        if not (looks < LOOKS_PARITY and worst < PARITY):
            sys.exit("training and ONNX Runtime disagree: nothing was written")
        entry = replace(entry, golden=golden_of(comparer))
        for written in (path, heads, folder / SHARED):
            if written.is_file():
                shutil.copyfile(written, models / written.name)
    # Those that take other figures cannot be asked by this version: their files may be deleted.
    others = tuple(each for each in manifest.comparers if each.figures == NAMES and str(each.ref) != str(entry.ref))
    replace(manifest, comparers=(*others, entry), active_comparer=str(entry.ref)).save(models)
    return f"wrote {models / entry.file}; active comparer: {entry.ref}"


def _write_encoder(centred: CentredEncoder, path: Path) -> None:
    count = torch.export.Dim("count", min=1, max=64)
    torch.onnx.export(
        centred,
        (torch.zeros((2, VIEW, VIEW, 3), dtype=torch.uint8), torch.zeros((2, PLACES * PLACES))),
        str(path),
        input_names=["views", "weights"],
        output_names=["tokens", "classes", "identity"],
        dynamic_shapes={"views": {0: count}, "weights": {0: count}},
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    save_with_shared_weights(pack(onnx.load(str(path))), path, path.with_name(SHARED))


@torch.inference_mode()
def parity(
    centred: CentredEncoder, fitted: Fitted, graphs: tuple[Path, Path], finder: GoodsFinder
) -> tuple[float, float]:
    """Largest differences between training and the two graphs, encoder and heads, over the sample pictures.

    Of what a look keeps, and of any calibrated answer to pairs of looks.
    """
    encoder, heads = (session_of(graph) for graph in graphs)
    looks, largest = [], 0.0
    for path in sorted(samples_folder().glob("*.jpg")):
        picture = decode(path.read_bytes())
        goods = finder.find(picture)
        canvas = canvas_of(picture.rgb, goods)
        asked = {"views": view_of(canvas)[np.newaxis], "weights": weight_of(canvas)[np.newaxis]}
        served = encoder.run(("tokens", "classes", "identity"), asked)
        given = [each.numpy() for each in centred(*(torch.from_numpy(each) for each in asked.values()))]
        for ours, theirs in zip(given, served, strict=True):
            largest = max(largest, float(np.abs(ours.astype(np.float32) - theirs.astype(np.float32)).max()))
        looks.append(Look.of(canvas, [each[0] for each in served], goods.found))
    figures = np.stack([measure(first, second).figures for first, second in pairwise(looks)])
    logits = fitted.heads.logits(figures, fitted.mixture), heads.run(("logits",), {"figures": figures})[0]
    worst = 0.0
    for k, name in enumerate(ANSWERED):
        ours, theirs = (fitted.calibration[name].probability(each[:, k]) for each in logits)
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return largest, worst


def golden_of(comparer: Comparer) -> tuple[GoldenPair, ...]:
    """What the comparer says of three pairs of the package's samples, for the check at start."""
    names = sorted(path.name for path in samples_folder().glob("*.jpg"))
    pairs = zip(names[:3], names[-3:], strict=True)
    read = {name: decode((samples_folder() / name).read_bytes()) for name in names}
    return tuple(GoldenPair(a, b, float(comparer.scores_of(read[a], read[b])[0])) for a, b in pairs)
