"""An exit inside the whole look: the graph that has one, and who may take it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
import torch
import yaml

from zhentu.detect.calibration import Platt
from zhentu.detect.detector import GRAPH_OUTPUTS
from zhentu.detect.entries import FirstLook
from zhentu.detect.openvino import OpenVinoNetwork
from zhentu.errors import ConfigError
from zhentu.types import CATEGORIES
from zhentu_training import pack
from zhentu_training.branching import EARLY_LOGITS, EXITED, Exit, branched, flat
from zhentu_training.config import ExitSpec, load_spec
from zhentu_training.export import to_onnx
from zhentu_training.heads import FittedHead
from zhentu_training.integer import INTEGER_PRODUCT
from zhentu_training.leaving import Judging, as_part, exit_of, left_early, limits_of, lines_of, read_by, shares
from zhentu_training.model import TokenSpec, ZhentuModel
from zhentu_training.quantize import emulated_graph, integer_graph

SPEC = load_spec(Path("configs/train-smoke.yaml"))
WHOLE, CROP = SPEC.views.whole_size, SPEC.views.crop_size
RNG = np.random.default_rng(5)


def views(count: int, side: int) -> np.ndarray:
    return RNG.integers(0, 255, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ZhentuModel, Path, np.ndarray]:
    """A model of random weights that half of its views may leave, its graph, and views of which they are half."""
    folder = tmp_path_factory.mktemp("exit")
    torch.manual_seed(1)
    model, seen = ZhentuModel(SPEC.graph).eval(), views(8, WHOLE)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith(("early", "whole", "crop")):
                value.normal_(0, 0.1)
        nearest = model(torch.from_numpy(seen))[3]
        model.leaves_below.copy_(nearest.quantile(0.5, 0) + 10)
        model.leaves_below[0] = nearest[:, 0].quantile(0.5)
    to_onnx(model, SPEC, folder / "exact.onnx")
    return model, folder / "exact.onnx", seen


def run(graph: Path | onnx.ModelProto, seen: np.ndarray, outputs: tuple[str, ...] = GRAPH_OUTPUTS) -> list[np.ndarray]:
    content = graph.SerializeToString() if isinstance(graph, onnx.ModelProto) else str(graph)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    found: list[np.ndarray] = ort.InferenceSession(content, options).run(list(outputs), {"views": seen})
    return found


def test_a_view_is_read_alike_alone_and_beside_others(made: tuple[ZhentuModel, Path, np.ndarray]) -> None:
    """Whoever shares a call changes no verdict, although the exit is taken only where all of them may."""
    model, graph, seen = made
    with torch.inference_mode():
        expected = [each.numpy() for each in model(torch.from_numpy(seen))]
    leaves, part = expected[2], expected[3]
    assert leaves.sum() == len(seen) // 2
    together = run(graph, seen)
    for ours, theirs in zip(expected[:2], together, strict=True):
        assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(together[0][leaves] - part[leaves]).max() < 1e-5
    for k, view in enumerate(seen):
        alone = run(graph, view[np.newaxis])
        assert np.abs(alone[0][0] - together[0][k]).max() < 1e-5
        assert np.abs(alone[1][0] - together[1][k] * (not leaves[k])).max() < 1e-5


def test_openvino_reads_views_alike_too(made: tuple[ZhentuModel, Path, np.ndarray]) -> None:
    pytest.importorskip("openvino")
    _, graph, seen = made
    network = OpenVinoNetwork(graph, threads=1)
    for shown in (seen, *(view[np.newaxis] for view in seen), views(2, CROP)):
        ours, theirs = network.run(GRAPH_OUTPUTS, {"views": shown}), run(graph, shown)
        for first, second in zip(ours, theirs, strict=True):
            assert first.shape == second.shape
            assert np.abs(first - second).max() < 0.05 * (np.abs(second).max() + 1)  # bfloat16 where there is AMX


def test_what_leaves_is_not_calculated_to_the_end(made: tuple[ZhentuModel, Path, np.ndarray]) -> None:
    model, graph, seen = made
    with torch.inference_mode():
        leaves = model(torch.from_numpy(seen))[2].numpy()
    left, stayed = run(graph, seen[leaves]), run(graph, seen[~leaves])
    assert not left[1].any()
    assert left[1].shape == stayed[1].shape
    assert np.abs(stayed[1]).min() > 0


def test_closer_looks_never_leave(made: tuple[ZhentuModel, Path, np.ndarray]) -> None:
    """A crop that the early head finds harmless is still read to the end: it was asked for because of its picture."""
    model, graph, _ = made
    crops = views(3, CROP)
    with torch.inference_mode():
        expected = model(torch.from_numpy(crops))[1].numpy()
    assert np.abs(run(graph, crops)[1] - expected).max() < 1e-5


def test_an_exit_is_taken_out_and_put_back(made: tuple[ZhentuModel, Path, np.ndarray]) -> None:
    _, path, seen = made
    graph = onnx.load(str(path))
    way_out = flat(graph)
    assert way_out == Exit(WHOLE, {"crop_logits": (len(CATEGORIES),)})
    assert all(node.op_type != "If" for node in graph.graph.node)
    onnx.checker.check_model(graph)
    *said, exited, part = run(graph, seen, (*GRAPH_OUTPUTS, EXITED, EARLY_LOGITS))
    for ours, theirs in zip(said, run(path, seen), strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(said[0][exited], part[exited])
    again = branched(graph, way_out)
    onnx.checker.check_model(again)
    for view in seen:
        for ours, theirs in zip(run(again, view[np.newaxis]), run(path, view[np.newaxis]), strict=True):
            assert np.array_equal(ours, theirs)
    assert flat(onnx.load(str(path))) == flat(again)
    assert flat(again) is None


def test_integers_go_into_both_parts(
    made: tuple[ZhentuModel, Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "_SMALLEST", 64 * 64)  # the tiny network's matrices count as big
    model, _, seen = made
    exact, integer, same = (tmp_path / f"{name}.onnx" for name in ("exact", "integer", "same"))
    to_onnx(model, SPEC, exact)
    integer_graph(exact, integer, [views(1, side) for side in (WHOLE, CROP)])
    graph = onnx.load(str(integer)).graph
    (fork,) = (node for node in graph.node if node.op_type == "If")
    inner = next(each.g for each in fork.attribute if each.name == "else_branch")
    parts = [sum(node.op_type == INTEGER_PRODUCT for node in each.node) for each in (graph, inner)]
    blocks = SPEC.exit.tokens.places[-1][0] + 1 if SPEC.exit else 0
    assert parts == [4 * blocks, 4 * (SPEC.backbone.depth - blocks)]
    emulated_graph(integer, same)
    for view in seen:
        one = view[np.newaxis]
        assert np.abs(run(integer, one)[0] - run(same, one)[0]).max() < 2e-3


def judging(acted: np.ndarray, genuine: np.ndarray, fold: np.ndarray) -> Judging:
    targets = np.repeat((~genuine)[:, None], len(CATEGORIES), 1).astype(float)
    source = np.array([f"s{k % 3}" for k in range(len(acted))])
    return Judging(
        targets, np.ones(targets.shape), fold, np.full(5, 0.5), acted, shares(genuine, source),
        shares(~genuine, source), np.full(5, 1.5),
    )  # fmt: skip


def population(count: int = 600) -> tuple[np.ndarray, Judging]:
    """Early logits that tell most pictures, and judging in which only the highest are acted on, but for a few."""
    rng = np.random.default_rng(2)
    genuine = np.arange(count) % 3 > 0
    told = np.where(genuine, -2.0, 2.0) + rng.normal(0, 1.2, count)
    acted = told + rng.normal(0, 0.6, count) > 1.5
    acted[rng.choice(np.flatnonzero(genuine), 2, replace=False)] = True
    early = np.stack([told, *[np.full(count, -9.0) + rng.normal(0, 0.1, count) for _ in range(4)]], 1)
    return early, judging(acted, genuine, rng.integers(0, 4, count))


def test_few_verdicts_change_and_a_looser_limit_lets_more_leave() -> None:
    early, known = population()
    tight, loose = (ExitSpec(TokenSpec((0,), ()), genuine=g, made=m) for g, m in ((0.0, 0.0), (0.02, 0.05)))
    found = [pd.DataFrame(left_early(early, known, each).figures(known)) for each in (tight, loose)]
    (few, none), (many, some) = (each["left early"] for each in found)
    assert 0.05 < few < many
    assert many > 0.5
    assert none <= some < 0.2
    assert all(each["another verdict"][0] < 0.05 for each in found)
    for way_out in (tight, loose):  # of the pictures that chose it, the limit keeps its word
        (slope, intercept), limit = exit_of(early, known, way_out)
        margin = (early * slope + intercept - known.below).max(1)
        changed = (margin < limit) & known.acted
        assert (changed * known.genuine).sum() <= way_out.genuine
        assert (changed * known.made).sum() <= way_out.made
        assert limit <= 0


def test_nobody_leaves_by_a_limit_that_saw_his_own_fold() -> None:
    """What a fold's pictures say of themselves must not move their own limit."""
    early, known = population()
    way_out = ExitSpec(TokenSpec((0,), ()), genuine=0.01, made=0.02)
    before = left_early(early, known, way_out).early
    inside = known.fold == 2
    other = replace(known, acted=np.where(inside, ~known.acted, known.acted))
    after = left_early(early, other, way_out).early
    assert np.array_equal(before[inside], after[inside])
    assert not np.array_equal(before[~inside], after[~inside])


def test_a_part_is_read_as_the_log_odds_that_the_head_said() -> None:
    rng = np.random.default_rng(3)
    lines = {each: Platt(float(rng.uniform(0.3, 2)), float(rng.normal())) for each in CATEGORIES}
    first = FirstLook({each: float(rng.normal()) for each in CATEGORIES}, lines)
    head, x = FittedHead(rng.normal(size=(5, 7)), rng.normal(size=5)), rng.normal(size=(20, 7))
    part = as_part(head, first)
    slope, intercept = lines_of(first)
    assert np.allclose(part.logits(x) * slope + intercept, head.logits(x))
    assert np.allclose(read_by(part, slope, intercept).logits(x), head.logits(x))
    odds = rng.normal(size=5)
    assert np.allclose(limits_of(first, odds, -0.5) * slope + intercept, odds - 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cascade": False}, "cascade: false rules out"),
        ({"views": {"whole_size": 96, "crop_size": 96, "crop_count": 1}}, "looks of two sizes are needed"),
        ({"exit": {"tokens": {"class_tokens": [2], "patch_mean": []}}}, "exit.tokens: of the first 2 blocks alone"),
        ({"exit": {"tokens": {"class_tokens": [-1], "patch_mean": []}}}, "exit.tokens: blocks lie between 0 and 2"),
    ],
)
def test_an_exit_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    content = yaml.safe_load(Path("configs/train-smoke.yaml").read_text()) | change
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=said):
        load_spec(tmp_path / "train.yaml")
