"""fp32 graph -> int8 graph beside it in the manifest; refuses to write when it loses too much.

    python -m zhentu_training.quantize --calibrate runs/set/manifest.csv --pictures ../shared/data

A transformer's products: integer weights as the fp32 file already keeps them, activations quantised per call; its last
three shrinking products, and the convolutions beside it, stay fp32. Of convolutions alone: static quantisation (ONNX
Runtime, QDQ, min-max over training pictures of all three tiers), the first ones fp32: generator traces are finest
there. Thresholds are moved so that as many genuine development pictures pass as do with the fp32 graph.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from sklearn.metrics import roc_auc_score

from zhentu.detect.detector import Detector
from zhentu.detect.drift import references_of
from zhentu.detect.models import Manifest, ModelEntry
from zhentu.detect.views import Views, ViewSpec, make_views
from zhentu.intake.decode import decode
from zhentu.types import Output, Threshold
from zhentu_training.dataset import Sample, read_manifest
from zhentu_training.evaluate import score
from zhentu_training.export import SHARED, add_to_manifest, golden_of, weights_of
from zhentu_training.pack import save_with_shared_weights, to_integer_products
from zhentu_training.prepare import real_samples
from zhentu_training.tables import Scored
from zhentu_training.tiers import TIERS

LARGEST_LOSS = 0.005  # of the AUC of `forged`
_SHRINKING_KEPT = 3  # of a transformer's products; measured: half the error of the logits for 15 % of the time
_FULL_PRECISION = 3  # first convolutions of each branch
_OPERATORS = ["Conv", "Add", "Clip"]  # without Clip, every activation would go through fp32 and back


class _Reader(CalibrationDataReader):
    def __init__(self, paths: list[Path], spec: ViewSpec) -> None:
        self._views = _views(paths, spec)

    def get_next(self) -> dict[str, np.ndarray] | None:
        views = next(self._views, None)
        return None if views is None else {"whole": views.whole, "crops": views.crops}


def _views(paths: list[Path], spec: ViewSpec) -> Iterator[Views]:
    roads = list(TIERS.values())
    for k, path in enumerate(paths):
        yield make_views(roads[k % len(roads)](decode(path.read_bytes()).rgb), spec)


def quantize(source: Path, target: Path, paths: list[Path], spec: ViewSpec) -> None:
    """Write the int8 graph of `source`: a transformer's products, or, where there is none, the convolutions.

    A transformer's products quantise activations per call, because a few of its channels are a hundred times larger
    than the others in some pictures and not in others; the convolutions beside it stay as they are: quantised too, they
    cost more AUC than the limit allows. Convolutions alone get fixed ranges (static quantisation, QDQ), taken from the
    pictures in `paths`.
    """
    model = onnx.load(str(source))
    if any(node.op_type == "LayerNormalization" for node in model.graph.node):
        integer = to_integer_products(model, kept=_SHRINKING_KEPT)
        save_with_shared_weights(integer, target, target.with_name(SHARED))
        return
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        # Symbolic shapes are skipped: ONNX Runtime's inference fails on the dynamic number of crops.
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Reader(paths, spec),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=_OPERATORS,
            nodes_to_exclude=_first_convolutions(onnx.load(str(prepared))),
        )


def _first_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the first convolutions of each branch; a branch begins where three channels come in."""
    weights = {each.name: each.dims for each in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    starts = [k for k, node in enumerate(convolutions) if weights[node.input[1]][1] == 3]
    return [convolutions[k + i].name for k in starts for i in range(_FULL_PRECISION)]


def moved_thresholds(entry: ModelEntry, before: Scored, after: Scored) -> tuple[Threshold, ...]:
    """Levels that as many genuine pictures pass as pass the fp32 levels, each picture at its worst tier."""
    genuine = np.array([not sample.forged for sample in before.samples])
    moved = []
    for threshold in entry.thresholds:
        column, level = Output(threshold.category.value).column, threshold.value
        old, new = (np.max([v[genuine, column] for v in each.tiers.values()], axis=0) for each in (before, after))
        passing = int((old >= level).sum())
        rest = np.sort(new)[: len(new) - passing]
        room = float(np.sort(new)[-passing]) - 1e-6 if passing else 1.0
        value = round(min(max(float(rest[-1]) + 1e-4, level if not passing else 0.0), room, 0.999), 4)
        moved.append(replace(threshold, value=value))
    return tuple(moved)


def speed_ratio(slow: Detector, fast: Detector, rounds: int = 30) -> float:
    """How many times faster `fast` runs a full set of crops, one thread each, taking turns."""
    spec = slow.entry.views
    rng = np.random.default_rng(1)
    shapes = (1, spec.whole_size), (spec.crop_count, spec.crop_size)
    whole, crops = (rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8) for n, side in shapes)
    views = Views(whole, crops, ())
    seconds: Mapping[Detector, list[float]] = {slow: [], fast: []}
    for _ in range(rounds):
        for detector, taken in seconds.items():
            began = time.perf_counter()
            detector.run(views)
            taken.append(time.perf_counter() - began)
    return float(np.median(seconds[slow]) / np.median(seconds[fast]))


def _auc(scored: Scored, tier: str) -> float:
    forged = [sample.forged for sample in scored.samples]
    return float(roc_auc_score(forged, scored.tiers[tier][:, Output.FORGED.column]))


def _drawn(samples: list[Sample], count: int) -> list[Path]:
    """Training pictures of all kinds: forged ones, real AI ones, genuine ones."""
    train = [sample for sample in samples if sample.split == "train"]
    return [train[k].path for k in np.random.default_rng(3).permutation(len(train))[:count]]


def main() -> None:
    """Quantise, compare on development pictures, and only then write into models/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="name@version of the fp32 model; default: the active one")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--calibrate", type=Path, required=True, help="manifest whose train rows give the ranges")
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="their dev rows decide")
    parser.add_argument("--tiers", nargs="+", default=["native", "web"], help="roads on which both are compared")
    parser.add_argument("--count", type=int, default=96, help="pictures for the ranges")
    arguments = parser.parse_args()
    manifest = Manifest.load(arguments.models)
    entry = manifest.entry(arguments.model or manifest.active)
    if entry.precision != "fp32":
        sys.exit(f"{entry.ref} is {entry.precision} already; name the fp32 model with --model")
    full = Detector(entry, arguments.models)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{entry.name}-int8-{entry.version}.onnx"
        for shared in entry.weights:  # the int8 graph must find the very same bytes in it
            shutil.copyfile(arguments.models / shared.file, path.with_name(shared.file))
        paths = _drawn(read_manifest(arguments.calibrate), arguments.count)
        quantize(arguments.models / entry.file, path, paths, entry.views)
        content = path.read_bytes()
        if path.with_name(SHARED).is_file() != bool(entry.weights):
            sys.exit(f"{entry.ref}: the int8 graph does not share the fp32 graph's weights; nothing was written")
        small = replace(
            entry, name=f"{entry.name}-int8", file=path.name, sha256=hashlib.sha256(content).hexdigest(),
            precision="int8", golden=(), weights=weights_of(path.with_name(SHARED)),
        )  # fmt: skip
        fast = Detector(small, path.parent)
        samples = [sample for sample in real_samples(arguments.pictures) if sample.split == "dev"]
        before, after = (score(samples, detector, arguments.tiers) for detector in (full, fast))
        for tier in before.tiers:
            print(f"AUC of forged, {tier}: fp32 {_auc(before, tier):.4f}, int8 {_auc(after, tier):.4f}")
        print(f"speed, one thread: {speed_ratio(full, fast):.2f} times fp32")
        if _auc(before, "native") - _auc(after, "native") > LARGEST_LOSS:
            sys.exit(f"int8 loses more than {LARGEST_LOSS} of AUC: nothing was written")
        genuine = np.array([not sample.forged for sample in samples])
        small = replace(
            small,
            golden=golden_of(fast),
            thresholds=moved_thresholds(entry, before, after),
            reference=references_of(after.tiers[arguments.tiers[0]][genuine]),
        )
    (arguments.models / small.file).write_bytes(content)
    add_to_manifest(arguments.models, small)
    passed = ", ".join(f"{each.category.value}.{each.action.value} {each.value:.3f}" for each in small.thresholds)
    print(f"wrote {arguments.models / small.file}; active: {small.ref}; thresholds {passed}")


if __name__ == "__main__":
    main()
