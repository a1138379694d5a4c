"""Pictures in, a model folder out: prepare, features, crossval, fit, export, quantise, locate, evaluate.

    python -m zhentu_training run --pictures FOLDER_OR_MANIFEST --out runs/mine

FOLDER holds genuine/, ai/ and, where there are such pictures, material_mismatch/, exaggerated_effect/,
scene_distortion/, cutout_artifact/; a folder in one of those is a source. MANIFEST is a CSV or Parquet file with the
columns path, labels, source, split, or the export of `zhentu review export`. A run that was killed continues when the
same command is given again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import yaml

from zhentu.atomic import write_whole
from zhentu.detect.detector import Detector
from zhentu.detect.models import MANIFEST, Manifest, models_folder, samples_folder
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import UsageError, ZhentuError
from zhentu.yaml_text import read_yaml
from zhentu_training import crossval, evaluate, export, features, fit, limits, locate
from zhentu_training.calibrate import few_for, untaught_of
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import Origin, Sample, read_manifest
from zhentu_training.encoder_mark import differs
from zhentu_training.fit import CALIBRATION, HEADS, HELD_OUT
from zhentu_training.foldered import read_pictures
from zhentu_training.forge.base import Materials
from zhentu_training.forge.draws import load_sections
from zhentu_training.forge.line import Plan, recipes_named
from zhentu_training.limits import PerSource, limit_of, within
from zhentu_training.locate import LOCATED
from zhentu_training.prepare import forge_missing
from zhentu_training.quantize import quantize
from zhentu_training.steps import Step, run_steps
from zhentu_training.taking import contents_of, digest_of, take

_NAME = re.compile(r"[a-z0-9][a-z0-9._]*(-[a-z0-9._]+)*")
_SEED = 20261124  # of the forgeries; as zhentu_training.prepare draws them
_SHEET = "heatmaps.jpg"


@dataclass(frozen=True, slots=True)
class Call:
    """What a run should do. against: the models folder in force, None if there is none."""

    out: Path
    spec: TrainSpec
    config: Path
    siblings: Path
    designs: Path | None
    against: Path | None
    per_source: PerSource | None
    per_picture: int
    recipes: tuple[str, ...]
    forge_config: Path | None
    workers: int
    count: int

    @property
    def manifest(self) -> Path:
        """Rows of the set."""
        return self.out / "set" / "manifest.csv"

    @property
    def models(self) -> Path:
        """The model folder that the run ends with."""
        return self.out / "models"

    @property
    def ref(self) -> str:
        """The fp32 model's name@version."""
        return f"{self.spec.name}@{self.spec.version}"

    def options(self, *names: str) -> list[str]:
        """Options of the single commands, by name."""
        places = {
            "manifest": self.manifest,
            "features": self.out / "features",
            "run": self.out / "run",
            "config": self.config,
            "siblings": self.siblings,
            "models": self.models,
        }
        return [text for name in names for text in (f"--{name}", str(places[name]))]


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not done yet, and print how to promote the model. Raises ZhentuError."""
    parser = argparse.ArgumentParser(
        prog="python -m zhentu_training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = parser.add_subparsers(dest="what", required=True).add_parser("run", help="the whole line, resumable")
    run.add_argument("--pictures", type=Path, required=True, help="a folder of labelled folders, or a manifest")
    run.add_argument("--out", type=Path, required=True, help="everything is kept there; one folder per model")
    run.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    run.add_argument("--name", help="of the model; default: the name of --out")
    run.add_argument("--version", help="of the model; default: the config's")
    run.add_argument("--designs", type=Path, help="compare these designs too, e.g. configs/designs.yaml")
    run.add_argument("--siblings", type=Path, default=Path("configs/siblings.yaml"), help="sources judged together")
    run.add_argument("--against", type=Path, default=models_folder(), help="the models folder in force")
    run.add_argument("--per-source", type=int, nargs=2, metavar=limits.METAVAR, help=f"{limits.HELP}; default: all")
    run.add_argument("--per-picture", type=int, default=2, help="forgeries of each genuine picture; 0 = forge none")
    run.add_argument("--recipes", nargs="*", default=[], help="of the forgeries; default: all")
    run.add_argument("--forge-config", type=Path, help="changes to configs/forge.yaml")
    run.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that forge, threads that look")
    run.add_argument("--count", type=int, default=1000, help="pictures on which models are compared, at most")
    arguments = parser.parse_args(argv)
    samples = _read(arguments.pictures)
    call = _call(arguments)
    contents = contents_of(samples)
    run_steps(_steps(call, samples, contents), digest_of(samples, contents), call.out / "steps")
    _report(call)


def _read(pictures: Path) -> list[Sample]:
    if not pictures.exists():
        raise UsageError(f"{pictures}: does not exist; name a folder of labelled folders, or a manifest")
    return read_pictures(pictures)


def _call(arguments: argparse.Namespace) -> Call:
    """Check the call and write the run's own config, which bears the model's name."""
    out = arguments.out
    name = arguments.name or re.sub(r"[^a-z0-9._]+", "-", out.resolve().name.lower()).strip("-._")
    if not _NAME.fullmatch(name) or name.endswith("-int8"):
        raise UsageError(f"{name!r} is not a valid model name; give --name of a-z, 0-9 and single '-', without -int8")
    if not arguments.config.is_file():
        raise UsageError(f"{arguments.config}: is not there; give --config (the repository has configs/train.yaml)")
    try:
        recipes = recipes_named(arguments.recipes)
    except KeyError as error:
        raise UsageError(str(error.args[0])) from error
    against = arguments.against if (arguments.against / MANIFEST).is_file() else None
    if against is not None and against.resolve() == (out / "models").resolve():
        raise UsageError(f"--against {against}: is where this run writes; name the folder of the model in force")
    load_spec(arguments.config)
    content = read_yaml(arguments.config.read_text(encoding="utf-8")) | {"name": name}
    content |= {"version": arguments.version} if arguments.version else {}
    out.mkdir(parents=True, exist_ok=True)
    config = out / "train.yaml"
    write_whole(config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    spec = load_spec(config)
    if against is not None and any(str(e.ref) == f"{name}@{spec.version}" for e in Manifest.load(against).models):
        raise UsageError(f"{name}@{spec.version} is in {against} already; give another --name or --version")
    return Call(
        out, spec, config, arguments.siblings, arguments.designs, against, limit_of(arguments), arguments.per_picture,
        recipes, arguments.forge_config, arguments.workers, arguments.count,
    )  # fmt: skip


def _steps(call: Call, samples: list[Sample], contents: dict[Path, str]) -> list[Step]:
    run, models, held = call.out / "run", call.models, call.out / "crossval" / "crossval.md"
    spec = {"config": _sum(call.config)}
    prepared = {
        "per source": asdict(call.per_source) if call.per_source else "all",
        "per picture": call.per_picture,
        "recipes": call.recipes,
        "changes": _sum(call.forge_config),
    }
    judged = {"designs": _sum(call.designs), "siblings": _sum(call.siblings)}
    against = {"against": _sum(call.against / MANIFEST) if call.against else ""}
    fitted = (run / HEADS, run / CALIBRATION, run / HELD_OUT)
    return [
        Step("prepare", (call.manifest,), lambda: _prepare(call, samples, contents), prepared),
        Step("features", (call.out / "features",), lambda: _features(call), spec),
        Step("crossval", (held,), lambda: _crossval(call), judged),
        Step("fit", fitted, lambda: _fit(call), {}),
        Step("export", (models / MANIFEST,), lambda: _export(call), against),
        Step("quantise", (models / MANIFEST,), lambda: _quantise(call), {}),
        Step("locate", (models / MANIFEST,), lambda: _locate(call), {}),
        Step("evaluate", (models / "MODEL_CARD.md",), lambda: _evaluate(call), {"count": call.count}),
    ]


def _sum(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""


def _prepare(call: Call, samples: list[Sample], contents: dict[Path, str]) -> str:
    folder = call.manifest.parent
    folder.mkdir(parents=True, exist_ok=True)
    left, said = take(samples, contents, folder)
    left, over = within(left, call.per_source)
    key = repr((call.per_picture, call.recipes, _sum(call.forge_config)))
    place = folder.resolve() / "forged" / hashlib.sha256(key.encode()).hexdigest()[:8]
    plan = Plan(place, call.per_picture, _SEED, Materials(), load_sections(call.forge_config), call.recipes)
    genuine = [s for s in left if not s.forged and s.origin is Origin.REAL] if call.per_picture else []
    plans = dict.fromkeys(sorted({sample.split for sample in genuine}), plan)
    forged = forge_missing(left, genuine, plans, call.manifest, call.workers)
    said = "; ".join(each for each in (said, over) if each)
    return f"{said}; {len(forged)} forgeries made from {len(genuine)} genuine pictures"


def _features(call: Call) -> str:
    folder = call.out / "features"
    if differs(folder, call.spec):  # of the config that this run had before
        shutil.rmtree(folder)
    workers = ["--workers", str(call.workers)]
    features.main([*call.options("manifest", "features", "config"), *workers, "--roads", *call.spec.fit.roads])
    count = len(features.pictures_of([call.manifest]))
    return f"what the encoder says of {count} pictures on the roads {', '.join(call.spec.fit.roads)}"


def _crossval(call: Call) -> str:
    """The design of the config, and those of --designs; what the heads said is kept for `fit`."""
    out = call.out / "crossval"
    out.mkdir(exist_ok=True)
    designs: dict[str, object] = {"as configured": {}}
    if call.designs is not None:
        designs |= read_yaml(call.designs.read_text(encoding="utf-8"))
    write_whole(out / "designs.yaml", yaml.safe_dump(designs, sort_keys=False, allow_unicode=True).encode())
    crossval.main(
        [*call.options("manifest", "features", "config", "siblings"), "--designs", str(out / "designs.yaml"),
         "--roads", *call.spec.fit.roads, "--out", str(out)]
    )  # fmt: skip
    first = pd.read_csv(out / "crossval.csv").iloc[0]
    return f"sources left out, {first['road']}: AUC of ai_generated {first['AUC']} ({first['pictures']} pictures)"


def _fit(call: Call) -> str:
    kept = call.out / "crossval" / "kept"
    (call.out / "run" / LOCATED).unlink(missing_ok=True)  # of an earlier fit
    fit.main([*call.options("manifest", "features", "run", "config", "siblings"), "--kept", str(kept)])
    samples = read_manifest(call.manifest)
    genuine = sum(s.origin is Origin.REAL and not s.forged for s in samples)
    said = "".join(f"; {each}" for each in [*few_for(call.spec, genuine), *untaught_of(samples)])
    return f"heads, calibration and thresholds in {call.out / 'run'}{said}"


def _locate(call: Call) -> str:
    if not any(sample.mask and sample.forged for sample in read_manifest(call.manifest)):
        return "no forgery with a mask: heatmaps will point nowhere"
    locate.main(call.options("manifest", "run", "models", "features", "siblings"))
    return "where a picture was forged, learnt from the forgeries' masks"


def _export(call: Call) -> str:
    """The model in force and the new one in one folder, so that `zhentu model promote` can compare them."""
    part = call.models.with_name("models.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if call.against is not None:
        manifest = Manifest.load(call.against)
        for name in manifest.files:
            shutil.copyfile(call.against / name, part / name)
        manifest.save(part)
    export.main([*call.options("run"), "--models", str(part)])
    shutil.rmtree(call.models, ignore_errors=True)
    part.replace(call.models)
    return f"{call.ref} in {call.models}; torch and ONNX Runtime agree"


def _quantise(call: Call) -> str:
    """int8 beside fp32, unless it loses too much; the model in force stays the active one until it is promoted."""
    try:
        small, found = quantize(call.models, call.ref, call.out / "run", call.count)
        said = f"{found}: wrote {small.ref}"
    except ZhentuError as error:
        said = f"no int8 model: {error}"
    manifest = Manifest.load(call.models)
    active = Manifest.load(call.against).active if call.against is not None else manifest.active
    replace(manifest, active=active).save(call.models)
    return said


def _evaluate(call: Call) -> str:
    worst = Detector(Manifest.load(call.models).entry(call.ref), call.models).verify_golden(samples_folder())
    options = [*call.options("manifest", "run", "models"), "--model", call.ref]
    options += ["--card", str(call.models / "MODEL_CARD.md"), "--sheet", str(call.out / _SHEET)]
    if call.against is not None:
        options += ["--against", str(call.against), "--against-count", str(call.count)]
    evaluate.main(options)
    return f"verified (golden scores differ by {worst:.1e} at most); card: {call.models / 'MODEL_CARD.md'}"


def _report(call: Call) -> None:
    """The comparison, and the one command that promotes the model."""
    compared = call.models / evaluate.COMPARISON
    if call.against is None:
        print("\nNo model is in force (--against), so there is nothing to compare with.")
    elif compared.is_file():
        print(
            f"\nOn pictures whose sources its judging heads had not seen, against {Manifest.load(call.against).active}:"
        )
        table = pd.read_csv(compared).set_index("output").T
        print(table.to_string())
        print(
            "Differences are new - in force, 95 % intervals over sources. The model in force may have learnt from them."
        )
    manifest = Manifest.load(call.models)
    small = f"{call.spec.name}-int8@{call.spec.version}"
    served = small if has_8bit_products() and any(str(each.ref) == small for each in manifest.models) else call.ref
    command = "promote" if call.against is not None else "use"
    print(f"\nPromote it: ZHENTU_MODELS_DIR={call.models.resolve()} zhentu model {command} {served}")
    if command == "promote":
        print(f"That compares them on what people decided. Where nobody has yet: zhentu model use {served}")
    print("Gates need the same ZHENTU_MODELS_DIR.")
