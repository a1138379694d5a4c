"""Fitted heads -> one ONNX graph and its manifest entry; refuses to write if torch and ONNX Runtime disagree.

    python -m zhentu_training.export --run runs/reference --models models

Parity is checked on pictures from files, through the serving code: same bytes, same decoder, same views.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from pydantic import TypeAdapter

from zhentu.detect.calibration import Platt
from zhentu.detect.detector import CROP_LOGITS, GRAPH_OUTPUTS, Crops, Detector, Seen
from zhentu.detect.entries import FirstLook, Golden, ModelEntry, TrainingData, WeightsFile
from zhentu.detect.models import MANIFEST, Manifest, samples_folder
from zhentu.detect.operating import ProfilePoints
from zhentu.detect.views import make_views
from zhentu.intake.decode import decode
from zhentu.types import CATEGORIES, OUTPUTS, Category, Profile
from zhentu_training.branching import EARLY_LOGITS, EXITED, Exit, branched
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import EARLY, TrainSpec, load_spec
from zhentu_training.features import dynamic_sides
from zhentu_training.fit import CALIBRATION, load_heads
from zhentu_training.leaving import as_part, read_by
from zhentu_training.model import ZhentuModel
from zhentu_training.pack import pack, save_with_shared_weights
from zhentu_training.picture_files import pictures_in

SHARED = "zhentu-encoder-int8.bin"  # weights that several graphs of models/ share
PARITY = 1e-3  # largest difference of a probability between torch and the exported graph
_MOST_CROPS = 16
_MORE = 60  # pictures of --pictures, for the parity check


def assemble(run: Path, spec: TrainSpec) -> ZhentuModel:
    """The whole model of a run folder: heads, fusion, and the early head where there is one."""
    model = ZhentuModel(spec.graph)
    heads = load_heads(run)
    heads["whole"].put_into(model.whole)
    heads["crops"].put_into(model.crops)
    fitted = json.loads((run / CALIBRATION).read_text(encoding="utf-8"))
    with torch.no_grad():
        model.fusion.copy_(torch.tensor(fitted["fusion"]))
        if fitted.get("exit"):
            first = TypeAdapter(FirstLook).validate_python(fitted["first_look"])
            lines = (np.array(fitted["exit"][name]) for name in ("slope", "intercept"))
            as_part(read_by(heads[EARLY], *lines), first).put_into(model.early)
            model.leaves_below.copy_(torch.tensor(fitted["exit"]["below"]))
    return model.eval()


def to_onnx(model: ZhentuModel, spec: TrainSpec, path: Path) -> None:
    """Write the serving graph; the number of views stays dynamic, and so does their size if the looks differ in it."""
    side = spec.views.whole_size
    views = torch.zeros((3, side, side, 3), dtype=torch.uint8)
    shape = {0: torch.export.Dim("view_count", min=1, max=_MOST_CROPS)} | dynamic_sides(spec.views)
    torch.onnx.export(
        model,
        (views,),
        str(path),
        input_names=["views"],
        output_names=[*GRAPH_OUTPUTS, *((EXITED, EARLY_LOGITS) if model.spec.early else ())],
        dynamic_shapes={"views": shape},
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    # The transformer's matrices go to a file of their own that the int8 and the comparison graph share.
    packed = pack(onnx.load(str(path)))
    save_with_shared_weights(with_exit(packed, spec), path, path.with_name(SHARED))
    onnx.checker.check_model(str(path))


def with_exit(graph: onnx.ModelProto, spec: TrainSpec) -> onnx.ModelProto:
    """A serving graph whose whole look may end early, where the config says so."""
    if spec.exit is None:
        return graph
    return branched(graph, Exit(spec.views.whole_size, {CROP_LOGITS: (len(CATEGORIES),)}))


def entry_of(path: Path, run: Path, spec: TrainSpec, golden: tuple[Golden, ...] = ()) -> ModelEntry:
    """The manifest entry of an exported file."""
    fitted = json.loads((run / CALIBRATION).read_text(encoding="utf-8"))
    trained = json.loads((run / "training_data.json").read_text(encoding="utf-8"))
    profiles = TypeAdapter(dict[Profile, ProfilePoints]).validate_python(fitted["profiles"])
    return ModelEntry(
        name=spec.name,
        version=spec.version,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        labels=CATEGORIES,
        views=spec.views,
        calibration={Category(name): Platt(**line) for name, line in fitted["calibration"].items()},
        thresholds=profiles[Profile.BALANCED].thresholds,
        golden=golden,
        training_data=TrainingData(trained["digest"], trained["pictures"], trained["sources"]),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence="Apache-2.0",
        weights=weights_of(path.with_name(SHARED)),
        reference=fitted["reference"],
        prior=fitted["prior"],
        category_prior=fitted["category_prior"],
        profiles=profiles,
        stands_out=spec.locate.stands_out,
        first_look=TypeAdapter(FirstLook | None).validate_python(fitted.get("first_look")),
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
        whole, crops = model(torch.from_numpy(views.whole)), model(torch.from_numpy(views.crops))
        closer = Crops(crops[1].numpy().mean(0), len(views.crops))
        expected, served = Seen(whole[0].numpy()[0], closer), detector.both_looks(views)
        scores = [detector.scores_of(each).as_dict() for each in (expected, served)]
        worst = max(worst, *(abs(scores[0][name] - scores[1][name]) for name in scores[0]))
    return worst


def main(argv: Sequence[str] | None = None) -> None:
    """Export, check, and only then write into models/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--pictures", type=Path, help="more picture files for the parity check")
    parser.add_argument("--alone", action="store_true", help="remove previous detection models from the folder")
    parser.add_argument("--replace", action="store_true", help="overwrite another model of this name and version")
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        _export(arguments)


def _export(arguments: argparse.Namespace) -> None:
    spec = load_spec(arguments.run / "train.yaml")
    model = assemble(arguments.run, spec)
    samples = sorted(samples_folder().glob("*.jpg"))
    extra = pictures_in([arguments.pictures], _MORE, seed=5, least=1) if arguments.pictures else []
    if not samples + extra:
        sys.exit(
            "no pictures for the parity check: build the samples first (scripts/make_samples.py) or name --pictures"
        )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{spec.name}-{spec.version}.onnx"
        if (arguments.models / SHARED).is_file():  # the same bytes as other graphs of the folder read
            shutil.copyfile(arguments.models / SHARED, path.with_name(SHARED))
        to_onnx(model, spec, path)
        entry = entry_of(path, arguments.run, spec)
        if not arguments.replace and (problem := taken_version(arguments.models, entry)):
            sys.exit(f"{problem} in {arguments.run / 'train.yaml'} and in the configuration it was copied from")
        detector = Detector(entry, path.parent)
        worst = parity(model, detector, samples + extra, spec)
        print(f"parity on {len(samples + extra)} pictures: largest difference {worst:.2e}, allowed {PARITY:.0e}")
        if not worst < PARITY:
            sys.exit("torch and ONNX Runtime disagree: nothing was written")
        entry = entry_of(path, arguments.run, spec, golden_of(detector))
        arguments.models.mkdir(parents=True, exist_ok=True)
        for written in path.parent.iterdir():
            shutil.copyfile(written, arguments.models / written.name)
    add_to_manifest(arguments.models, entry, arguments.alone)
    print(f"wrote {arguments.models / entry.file} and {arguments.models / MANIFEST}; active: {entry.ref}")


def taken_version(folder: Path, entry: ModelEntry) -> str:
    """What to do if a folder lists another model of this name and version; empty if it does not.

    Records, known scores and noted golden scores tell models apart by name and version.
    """
    path = folder / MANIFEST
    listed = json.loads(path.read_text(encoding="utf-8"))["models"] if path.is_file() else []  # of any format
    same = (each for each in listed if (each["name"], each["version"]) == (entry.name, entry.version))
    if all(each["sha256"] == entry.sha256 for each in same):
        return ""
    return (
        f"{entry.name}@{entry.version} is in {folder} already, with other weights: nothing was written. To keep both, "
        "set another version; to overwrite one that was never used, give --replace. The version is"
    )


def golden_of(detector: Detector) -> tuple[Golden, ...]:
    """What a detector says of the package's sample pictures, for the check at start."""
    return tuple(
        Golden(sample.name, {output: scores.of(output) for output in OUTPUTS})
        for sample in sorted(samples_folder().glob("*.jpg"))
        for scores in (detector.detect(decode(sample.read_bytes())).scores,)
    )


def add_to_manifest(folder: Path, entry: ModelEntry, alone: bool = False) -> None:
    """Add an entry, or replace the one of its name and version, and make it the active one.

    alone: remove other detection models and their graphs from the folder; files shared with others stay.
    """
    manifest = Manifest(schema=1, active=str(entry.ref), models=(entry,))
    if (folder / MANIFEST).is_file():
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if alone:  # an entry of an older format need not be readable to be replaced
            for each in raw["models"]:
                if each["file"] != entry.file:
                    (folder / each["file"]).unlink(missing_ok=True)
            raw |= {"active": str(entry.ref), "models": [TypeAdapter(ModelEntry).dump_python(entry, mode="json")]}
            (folder / MANIFEST).write_text(json.dumps(raw), encoding="utf-8")
        known = Manifest.load(folder)
        others = tuple(each for each in known.models if str(each.ref) != str(entry.ref))
        manifest = replace(known, active=str(entry.ref), models=(*others, entry))
    manifest.save(folder)


if __name__ == "__main__":
    main()
