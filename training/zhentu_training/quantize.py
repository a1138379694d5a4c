"""fp32 graph -> int8 graph beside it in the manifest; refuses to write if it loses too much.

    python -m zhentu_training.quantize --run runs/reference --models models

Integer weights as the fp32 file already keeps them; how activations are quantised stands in
`zhentu_training.integer`, their bounds are measured on held-out pictures. Its loss is measured on others, and golden
scores are made, by the graph itself if the processor has 8-bit products, otherwise by an emulation in floating point
(`integer.emulated`): without them sums overflow.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from zhentu.detect.calibration import sigmoid
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ComparerEntry, ModelEntry
from zhentu.detect.models import Manifest
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training.branching import rewritten
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.export import SHARED, add_to_manifest, golden_of, weights_of
from zhentu_training.features import views_on
from zhentu_training.figures import Judged
from zhentu_training.fit import HELD_OUT
from zhentu_training.integer import emulated, measured, to_integer_products, with_fused_attention, without_first_block
from zhentu_training.pack import save_with_shared_weights
from zhentu_training.precision import Compared, Precision
from zhentu_training.progress import track
from zhentu_training.sessions import session_of

LARGEST_AUC_LOSS, LARGEST_RECALL_LOSS = 0.003, 0.02  # of `ai_generated`, recall at 1 % false alarms
_BOUNDING = 200  # pictures whose activations give the bounds
_MADE = CATEGORIES.index(Category.AI_GENERATED)


def integer_graph(source: Path, target: Path, looks: Iterable[np.ndarray] | None = None) -> None:
    """Write the int8 graph of a packed fp32 one; its weights are the shared ones beside `target`.

    looks: views whose activations give the bounds of all blocks but the first, and attention becomes one operator;
    None = each row has a step of its own, and attention stays as it was exported.
    """
    model = onnx.load(str(source))
    known = None if looks is None else without_first_block(measured(source, looks))

    def in_integers(graph: onnx.ModelProto) -> onnx.ModelProto:
        return to_integer_products(graph if known is None else with_fused_attention(graph), known)

    integer = rewritten(model, in_integers)
    save_with_shared_weights(integer, target, target.with_name(SHARED))


def emulated_graph(source: Path, target: Path) -> None:
    """Write what an int8 graph computes, in floating point; weights inside."""
    onnx.save(rewritten(onnx.load(str(source)), emulated), str(target))


def logits_of(graph: Path, paths: list[Path], spec: TrainSpec) -> np.ndarray:
    """The graph's logits of pictures as the native road gives them to the heads, (n, 5)."""
    session, found = session_of(graph), []
    for path in track(paths, graph.stem):
        views = views_on(path, "native", spec.views)
        parts = ("whole_logits", views.whole), ("crop_logits", views.crops)
        found.append(sum(session.run([name], {"views": each})[0].mean(0) for name, each in parts))
    return np.stack(found)


def compare(entry: ModelEntry, exact: Path, integer: Path, run: Path, spec: TrainSpec, count: int) -> Precision:
    """Both precisions on `count` held-out pictures that judge `ai_generated`, and half as many more of the others.

    What is compared is the held-out score of each, and that score moved by what 8 bits change in the shipped heads'
    logit: the shipped heads have seen these pictures, and would rank them right whatever the noise.
    """
    with np.load(run / HELD_OUT) as kept:
        held = dict(kept)
    native, tells = held["road"] == "native", held["known"][:, _MADE].astype(bool)
    rng = np.random.default_rng(spec.seed)
    parts = (np.flatnonzero(native & tells), count), (np.flatnonzero(native & ~tells), count // 2)
    chosen = np.sort(np.concatenate([rng.permutation(part)[:most] for part, most in parts]))
    paths = [Path(name) for name in held["names"][chosen]]
    change = logits_of(integer, paths, spec) - logits_of(exact, paths, spec)
    judges = tells[chosen]
    shift = change[judges].mean(0) if judges.any() else change.mean(0)
    outputs = {}
    for k, category in enumerate(CATEGORIES):
        score = held["probabilities"][chosen, k].clip(1e-9, 1 - 1e-9)
        moved = np.log(score / (1 - score)) + entry.calibration[category].slope * (change[:, k] - shift[k])
        use = held["known"][chosen, k].astype(bool)
        both = (
            Judged(each[use], held["targets"][chosen[use], k] > 0, held["source"][chosen[use]])
            for each in (score, sigmoid(moved))
        )
        outputs[category] = Compared(*both)
    return Precision(outputs, shift)


def integer_entry(entry: ModelEntry, path: Path, shift: np.ndarray) -> ModelEntry:
    """The int8 graph's manifest entry: thresholds as they are, its logits' mean shift taken out by the calibration."""
    lines = {
        category: replace(line, intercept=line.intercept - line.slope * float(shift[k]))
        for k, category in enumerate(CATEGORIES)
        for line in (entry.calibration[category],)
    }
    return replace(
        entry,
        name=f"{entry.name}-int8",
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        precision="int8",
        golden=(),
        calibration=lines,
        weights=weights_of(path.with_name(SHARED)),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """An int8 graph that lies beside no manifest yet, and the graph that calculates the same on this processor."""

    path: Path
    same: Path

    @staticmethod
    def of(
        models: Path, entry: ModelEntry | ComparerEntry, folder: Path, looks: Iterable[np.ndarray] | None = None
    ) -> Made:
        """The int8 graph of a model of `models`, in `folder`. looks: as in `integer_graph`."""
        path, same = folder / f"{entry.name}-int8-{entry.version}.onnx", folder / "emulated.onnx"
        for shared in entry.weights:  # the int8 graph must find the very same bytes in it
            shutil.copyfile(models / shared.file, path.with_name(shared.file))
        integer_graph(models / entry.file, path, looks)
        if has_8bit_products():
            return Made(path, path)
        emulated_graph(path, same)
        return Made(path, same)

    def put_into(self, models: Path, entry: ModelEntry, shift: np.ndarray) -> ModelEntry:
        """The graph in a models folder, active, with its entry. shift: as in `Precision`."""
        small = integer_entry(entry, self.path, shift)
        own = small.weights if self.same == self.path else ()
        sha256 = hashlib.sha256(self.same.read_bytes()).hexdigest()
        stand_in = replace(small, file=self.same.name, sha256=sha256, weights=own)
        small = replace(small, golden=golden_of(Detector(stand_in, self.same.parent)))
        shutil.copyfile(self.path, models / self.path.name)
        add_to_manifest(models, small)
        return small


def bounding_looks(pictures: Sequence[Path], spec: TrainSpec) -> Iterator[np.ndarray]:
    """Views of pictures, one a batch (1, side, side, 3), whose activations give an int8 graph its bounds."""
    for path in track(pictures, "bounds"):
        views = views_on(path, "native", spec.views)
        for look in (views.whole, views.crops):
            for view in look:
                yield view[np.newaxis]


def bounding_pictures(run: Path, spec: TrainSpec) -> list[Path]:
    """Some of a run's held-out pictures; by another draw than those of `compare`."""
    with np.load(run / HELD_OUT) as kept:
        use = np.flatnonzero(kept["road"] == "native")
        chosen = np.random.default_rng(spec.seed + 1).permutation(use)[:_BOUNDING]
        return [Path(name) for name in kept["names"][np.sort(chosen)]]


def quantize(models: Path, name: str, run: Path, count: int) -> tuple[ModelEntry, Precision]:
    """Write the int8 graph of an fp32 model into its folder, active, unless it loses too much; with what it loses.

    Raises UsageError if it loses more than is allowed, or when that cannot be told, and when `name` is not fp32.
    """
    spec, manifest = load_spec(run / "train.yaml"), Manifest.load(models)
    entry = manifest.entry(name or manifest.active)
    if entry.precision != "fp32":
        raise UsageError(f"{entry.ref} is {entry.precision} already; name the fp32 model with --model")
    with tempfile.TemporaryDirectory() as scratch:
        made = Made.of(models, entry, Path(scratch), bounding_looks(bounding_pictures(run, spec), spec))
        found = compare(entry, models / entry.file, made.same, run, spec, count)
        if not found.made.within(LARGEST_AUC_LOSS, LARGEST_RECALL_LOSS):
            nan = " (nan: cannot be told)" if np.isnan(found.made.losses).any() else ""
            raise UsageError(
                f"{found}{nan}; of ai_generated {LARGEST_AUC_LOSS} and {LARGEST_RECALL_LOSS} are allowed: nothing "
                "was written (where the interval is wide, more pictures say it more surely: --count)"
            )
        return made.put_into(models, entry, found.shift), found


def main(argv: Sequence[str] | None = None) -> None:
    """Quantise, compare on held-out pictures, and only then write into models/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="of zhentu_training.fit")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", default="", help="name@version of the fp32 model; default: the active one")
    parser.add_argument(
        "--count",
        type=int,
        default=400,
        help="held-out pictures, genuine or AI-made; half as many others",
    )
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        small, found = quantize(arguments.models, arguments.model, arguments.run, arguments.count)
    print(f"{found}\nwrote {arguments.models / small.file}; active: {small.ref}")


if __name__ == "__main__":
    main()
