"""Fakes that keep the contracts: a tiny deterministic ONNX model, and a detector without any model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from pictures import waves

from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.types import (
    CATEGORIES,
    FORGERY_CATEGORIES,
    OUTPUTS,
    Action,
    Answer,
    Basis,
    Category,
    Comparison,
    Heatmap,
    ModelRef,
    Picture,
    Question,
    QuestionAnswer,
    Scores,
    Threshold,
    Verdict,
)

WHOLE, CROP = 32, 16


def tiny_graph() -> onnx.ModelProto:
    """Logits grow with the mean brightness of the whole picture."""
    nodes = [
        helper.make_node("Cast", ["views"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "channel_axis"], ["grey"], keepdims=0),
        helper.make_node("Div", ["grey", "half"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "one"], ["centred"]),
        helper.make_node("ReduceMean", ["centred", "space_axes"], ["brightest"], keepdims=1),
        helper.make_node("Squeeze", ["brightest", "last_axis"], ["brightness"]),
        helper.make_node("Mul", ["brightness", "five"], ["whole_logits"]),
        helper.make_node("Mul", ["brightness", "nought"], ["crop_logits"]),
    ]
    constants = {
        "channel_axis": np.array([3], np.int64),
        "space_axes": np.array([1, 2], np.int64),
        "last_axis": np.array([2], np.int64),
        "half": np.array(127.5, np.float32),
        "one": np.array(1.0, np.float32),
        "five": np.arange(1, 6, dtype=np.float32),
        "nought": np.zeros(5, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", "side", "side", 3])],
        [
            helper.make_tensor_value_info("whole_logits", TensorProto.FLOAT, ["n", 5]),
            helper.make_tensor_value_info("crop_logits", TensorProto.FLOAT, ["n", 5]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def manifest_of(content: bytes) -> dict[str, object]:
    levels = [(each, "review", 0.9) for each in FORGERY_CATEGORIES] + [(Category.AI_GENERATED, "label", 0.8)]
    entry = {
        "name": "tiny",
        "version": "1",
        "file": "tiny.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "labels": [label.value for label in CATEGORIES],
        "views": {"whole_size": WHOLE, "crop_size": CROP, "crop_count": 3},
        "calibration": {category.value: {"slope": 1.0, "intercept": 0.0} for category in CATEGORIES},
        "thresholds": [{"category": name, "action": action, "value": value} for name, action, value in levels],
        "golden": [],
        "training_data": {"digest": "0" * 64, "pictures": 0, "sources": 0},
        "created": "2026-11-24",
        "licence": "Apache-2.0",
    }
    return {"schema": 1, "active": "tiny@1", "models": [entry]}


def profiles(labels: Mapping[str, float]) -> dict[str, object]:
    """Profiles as the manifest writes them, by the limit at which each labels; all review at 0.1 more, at most 0.99."""
    found = {}
    for name, limit in labels.items():
        levels = [(each, "review", min(limit + 0.1, 0.99)) for each in FORGERY_CATEGORIES]
        levels.append((Category.AI_GENERATED, "label", limit))
        points = [
            {
                "threshold": {"category": category, "action": action, "value": value},
                "false_alarms": 0.0123,
                "recall": 0.456,
            }
            for category, action, value in levels
        ]
        found[name] = {"points": points, "false_alarms": 0.0234}
    return found


def change_manifest(folder: Path, **fields: object) -> None:
    """Change fields of the first model of a manifest, soundly or not."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["models"][0] |= fields
    path.write_text(json.dumps(manifest), encoding="utf-8")


def tiny_model(folder: Path) -> ModelEntry:
    """Write the tiny model and its manifest into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = tiny_graph().SerializeToString()
    (folder / "tiny.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest_of(content)), encoding="utf-8")
    return Manifest.load(folder).active_entry


class FakeDetector:
    """Says what it is told to, and counts how often it was asked."""

    def __init__(self, entry: ModelEntry, score: float = 0.1) -> None:
        self.entry, self.score, self.asked = entry, score, 0

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        self.asked += 1
        return verdict(self.score)


class WarmDetector(FakeDetector):
    """Has heatmaps where asked for them, warm in the same places for each category."""

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        grid = cv2.GaussianBlur(waves(12, 16, 9)[..., 0], (5, 5), 0).astype("float32") / 255
        maps = tuple(Heatmap(grid, category) for category in CATEGORIES) if with_heatmaps else ()
        return replace(super().detect(picture), heatmaps=maps)


def verdict(score: float = 0.1, **scores: float) -> Verdict:
    values = dict.fromkeys(OUTPUTS, score) | scores
    return Verdict(Scores(**values), ModelRef("tiny", "1", "0" * 64))


def thresholds(levels: Mapping[str, Mapping[str, float]]) -> tuple[Threshold, ...]:
    """Thresholds as policy.yaml would write them: {"cutout_artifact": {"review": 0.5}}."""
    return tuple(
        Threshold(Category(category), Action(action), value)
        for category, actions in levels.items()
        for action, value in actions.items()
    )


class FakeComparer:
    """Says how unlike a picture is to its references, and notes how many there were."""

    def __init__(self, score: float = 0.8, similarity: float = 0.3) -> None:
        self.score, self.similarity = score, similarity
        self.model = ModelRef("compare", "1", "c" * 64)
        self.thresholds = (Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.5, Basis.REFERENCE),)
        self.compared: list[int] = []

    def compare(self, picture: Picture, references: Sequence[Picture]) -> Comparison:
        assert references
        self.compared.append(len(references))
        unlike = Heatmap(np.eye(4, dtype=np.float32), Category.MATERIAL_MISMATCH)
        differs = self.score >= 0.5
        return Comparison(
            self.score,
            self.similarity,
            references[0].sha256,
            self.model,
            difference=unlike,
            answer=Answer.DIFFERS if differs else Answer.SAME,
            answers=(QuestionAnswer(Question.COLOUR, Answer.DIFFERS if differs else Answer.SAME, self.score),),
            agreeing=0 if differs else len(references),
            compared=len(references),
            goods_found=True,
            reference_difference=Heatmap(1 - unlike.grid, Category.MATERIAL_MISMATCH),
        )
