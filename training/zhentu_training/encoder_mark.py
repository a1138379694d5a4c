"""Whose features a folder holds: heads fitted on another encoder's features than they are served with mean nothing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from pydantic import TypeAdapter

from zhentu.atomic import write_whole
from zhentu.detect.models import models_folder
from zhentu.detect.views import ViewSpec
from zhentu.errors import UsageError
from zhentu_training.config import TrainSpec
from zhentu_training.encoder_weights import read_encoder, shipped_encoder

MARK = "encoder.json"


def mark_of(spec: TrainSpec) -> dict[str, object]:
    """What decides features: views, transformer and its weights. Raises UsageError if these are not there."""
    return {
        "views": TypeAdapter(ViewSpec).dump_python(spec.views, mode="json"),
        "name": spec.backbone.name,
        "weights": spec.backbone.weights,
        "depth": spec.backbone.depth,
        "digest": _digest(spec),
    }


def check_mark(folder: Path, spec: TrainSpec) -> None:
    """Raise UsageError if a folder holds features of another encoder than the config's.

    A folder without a mark is believed: versions before 0.9.0 wrote none.
    """
    if differing := differs(folder, spec):
        raise UsageError(
            f"{folder}: holds features of another encoder than the config's ({'; '.join(differing)}); "
            "name another folder with --features, or the config that they were made with"
        )


def differs(folder: Path, spec: TrainSpec) -> list[str]:
    """In what the encoder that a folder's features are of differs from the config's."""
    try:
        kept = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # not there, or cut off by a full disk
        return []
    said = {"digest": "other weights"}
    own = mark_of(spec)
    return [
        said.get(key, f"{key} {kept.get(key)}, the config's {own[key]}") for key in own if kept.get(key) != own[key]
    ]


def set_mark(folder: Path, spec: TrainSpec) -> None:
    """Say in a folder whose features it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MARK, json.dumps(mark_of(spec), indent=1).encode())


def _digest(spec: TrainSpec) -> str:
    """Of the arrays of the shipped encoder, or the one named; the others' weights are told by their names."""
    if spec.backbone.weights != "shipped":
        return ""
    named = os.environ.get("ZHENTU_TRAINING_ENCODER")
    arrays = read_encoder(Path(named)) if named else shipped_encoder(models_folder())
    whole = hashlib.sha256()
    for name in sorted(arrays):
        if name.startswith("blocks."):  # what encoder.npz and a served graph both hold
            whole.update(name.encode() + arrays[name].tobytes())
    return whole.hexdigest()
