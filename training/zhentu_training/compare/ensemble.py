"""Fitted trees as ONNX: all trees of all outputs in one TreeEnsemble of `ai.onnx.ml`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_ML_DOMAIN, _ML_OPSET = "ai.onnx.ml", 5  # the first with TreeEnsemble
_AT_MOST = 0  # nodes_modes: BRANCH_LEQ
_SUM = 1  # aggregate_function


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree that adds to one output. Arrays by node, root first, as scikit-learn keeps them; left < 0 at leaves.

    A figure of at most `threshold` goes left.  value: what a leaf adds.
    """

    output: int
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray


@dataclass(slots=True)
class _Columns:
    """The operator's attributes: branches and leaves are counted apart."""

    roots: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    splits: list[np.ndarray] = field(default_factory=list)
    children: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    are_leaves: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    targets: list[int] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)

    def add(self, tree: Tree) -> None:
        """Append a tree; one without branches gets a branch whose both ways lead to its only leaf."""
        leaf = tree.left < 0
        branches = np.flatnonzero(~leaf)
        place = np.where(leaf, np.cumsum(leaf) - 1 + len(self.targets), np.cumsum(~leaf) - 1 + len(self.features))
        self.roots.append(len(self.features))
        ways = (tree.left[branches], tree.right[branches]) if len(branches) else (np.zeros(1, int),) * 2
        for children, are_leaves, way in zip(self.children, self.are_leaves, ways, strict=True):
            children.extend(place[way].tolist())
            are_leaves.extend(leaf[way].astype(int).tolist())
        self.features.extend(tree.feature[branches].tolist() if len(branches) else [0])
        self.splits.append(below(tree.threshold[branches]) if len(branches) else np.zeros(1, np.float32))
        self.targets.extend([tree.output] * int(leaf.sum()))
        self.weights.append(tree.value[leaf].astype(np.float32))


def below(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 not above each threshold: figures are float32, so every one of them goes the same way."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


def tree_node(trees: Iterable[Tree], outputs: int, name: str, source: str) -> onnx.NodeProto:
    """A node that sums, for each row of `source` (N, figures), the leaves of all trees by output: (N, outputs)."""
    columns = _Columns()
    for tree in trees:
        columns.add(tree)
    modes = np.full(len(columns.features), _AT_MOST, np.uint8)
    return helper.make_node(
        "TreeEnsemble",
        [source],
        [name],
        domain=_ML_DOMAIN,
        aggregate_function=_SUM,
        n_targets=outputs,
        tree_roots=columns.roots,
        nodes_featureids=columns.features,
        nodes_modes=numpy_helper.from_array(modes, "modes"),
        nodes_splits=numpy_helper.from_array(np.concatenate(columns.splits), "splits"),
        nodes_truenodeids=columns.children[0],
        nodes_falsenodeids=columns.children[1],
        nodes_trueleafs=columns.are_leaves[0],
        nodes_falseleafs=columns.are_leaves[1],
        leaf_targetids=columns.targets,
        leaf_weights=numpy_helper.from_array(np.concatenate(columns.weights), "weights"),
    )


def graph_of(
    nodes: Sequence[onnx.NodeProto], constants: Sequence[onnx.TensorProto], figures: int, outputs: int
) -> onnx.ModelProto:
    """A model from `figures` (pairs, figures) to `logits` (pairs, outputs), checked."""
    graph = helper.make_graph(
        list(nodes),
        "heads",
        [helper.make_tensor_value_info("figures", TensorProto.FLOAT, ["pairs", figures])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", outputs])],
        list(constants),
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(_ML_DOMAIN, _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
