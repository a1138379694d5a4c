"""`models/manifest.json`: which models a folder holds and which are active; and where the shipped files lie."""

from __future__ import annotations

import json
from pathlib import Path

from packaging.version import InvalidVersion, Version
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from zhentu.atomic import write_whole
from zhentu.detect.entries import COPY_AGAIN, ComparerEntry, FinderEntry, LocatorEntry, ModelEntry, problems_in
from zhentu.errors import ModelError, UsageError
from zhentu.intake.decode import decode
from zhentu.types import ModelRef, Picture
from zhentu.validation import problems_of

MANIFEST = "manifest.json"


@checked(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Manifest:
    """All models of a folder, and which are active ("name@version"); a folder may hold no comparer and no locator."""

    schema: int
    active: str
    models: tuple[ModelEntry, ...]
    comparers: tuple[ComparerEntry, ...] = ()
    active_comparer: str = ""
    finder: FinderEntry | None = None
    locator: LocatorEntry | None = None

    @staticmethod
    def load(folder: Path) -> Manifest:
        """Read and check `manifest.json`. Raises ModelError naming every problem."""
        path = folder / MANIFEST
        try:
            manifest = TypeAdapter(Manifest).validate_python(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read: {error.strerror}; set ZHENTU_MODELS_DIR to its folder"
            ) from error
        except json.JSONDecodeError as error:
            raise ModelError(f"{path}: not JSON: {error}; {COPY_AGAIN}") from error
        except ValidationError as error:
            raise ModelError(f"{path}: " + "; ".join(problems_of(error))) from error
        problems = [problem for entry in manifest.models for problem in problems_in(entry)]
        if problems:
            raise ModelError(f"{path}: " + "; ".join(problems))
        manifest.entry(manifest.active)
        if manifest.active_comparer and manifest.comparer is None:
            raise ModelError(f"{path}: active_comparer {manifest.active_comparer!r} is not among its comparers")
        return manifest

    def save(self, folder: Path) -> Path:
        """Write `manifest.json`, whole or not at all. Raises ModelError if the folder cannot be written."""
        path = folder / MANIFEST
        try:
            write_whole(path, TypeAdapter(Manifest).dump_json(self, indent=1) + b"\n")
        except OSError as error:
            raise ModelError(f"{path}: cannot be written: {error.strerror}; name a folder of your own") from error
        return path

    @property
    def files(self) -> frozenset[str]:
        """Names of all files that the entries need, beside the manifest itself."""
        whole: list[ModelEntry | ComparerEntry] = [*self.models, *self.comparers]
        weights = [file.file for each in whole for file in each.weights]
        parts = [file for each in self.comparers for file in (each.heads, each.integer)]
        alone = [each.file for each in (*parts, self.finder, self.locator) if each is not None]
        return frozenset([*(each.file for each in whole), *weights, *alone])

    @property
    def comparer(self) -> ComparerEntry | None:
        """The active comparer, None if there is none."""
        return next((each for each in self.comparers if str(each.ref) == self.active_comparer), None)

    def chosen(self, name: str | None, has_8bit_products: bool) -> ModelEntry:
        """The model called `name`, or the active one. Raises ModelError.

        Where none is named and the active one calculates with 8-bit integers, a processor without 8-bit dot products
        gets the same model in floating point: there it is the faster one, and exact.
        """
        entry = self.entry(name or self.active)
        if not name and entry.precision == "int8" and not has_8bit_products:
            return self.in_floating_point(entry) or entry
        return entry

    def since(self, entry: ModelEntry, version: str) -> tuple[ModelEntry, ...]:
        """Models called as `entry` from a version on. Raises UsageError if it is no version."""
        try:
            least = Version(version)
            return tuple(each for each in self.models if each.name == entry.name and Version(each.version) >= least)
        except InvalidVersion as error:
            raise UsageError(f"{error}; give a version such as 0.2.0") from error

    def in_floating_point(self, entry: ModelEntry) -> ModelEntry | None:
        """The listed fp32 model of the same version that an int8 model was made from, None if it is not listed."""
        name = entry.name.removesuffix("-int8")
        same = (each for each in self.models if (each.name, each.version) == (name, entry.version))
        return next((each for each in same if each.precision == "fp32"), None)

    @property
    def active_entry(self) -> ModelEntry:
        """The active model."""
        return self.entry(self.active)

    def entry(self, name: str) -> ModelEntry:
        """The model called "name@version", or the latest listed one called "name". Raises ModelError.

        What a record says of the runtime ("name@version+openvino") is left aside.
        """
        listed_as = name.partition("+")[0]
        for entry in reversed(self.models):
            if listed_as in (str(entry.ref), entry.name):
                return entry
        listed = ", ".join(str(entry.ref) for entry in self.models) or "none"
        raise ModelError(f"no model {name!r} in the manifest; it lists {listed}")


def read_golden(samples: Path, name: str, model: ModelRef) -> Picture:
    """A golden picture, decoded. model: whose scores of it are known. Raises ModelError if it is not there."""
    path = samples / name
    if not path.is_file():
        raise ModelError(f"{model}: golden picture {path} is missing; reinstall zhentu")
    return decode(path.read_bytes())


def models_folder() -> Path:
    """Where the models lie: inside an installed wheel, else `models/` of the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_models"
    return installed if installed.is_dir() else package.parents[1] / "models"


def samples_folder() -> Path:
    """The sample pictures shipped with the package."""
    return Path(__file__).resolve().parents[1] / "samples"
