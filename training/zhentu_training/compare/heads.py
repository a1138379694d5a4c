"""The fitted part of the comparison: figures of a pair in, six logits out.

Three ways of judging, mixed by output: a ridge logistic regression, extremely randomised trees (Geurts et al. 2006) and
gradient-boosted trees. Which mixture an output gets, and how much a question that says "differs" adds to "mismatch", is
chosen in `designs.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from zhentu_training.compare.ensemble import Tree, graph_of, tree_node

MEMBERS = ("ridge", "forest", "boosted")
_CAP = 3.0  # deviations; beyond them a figure says no more
RIDGE = 1.0  # scikit-learn's C: best of ten by cross-fitting, the table stands in DECISIONS.md
_EDGE = 1e-3  # a forest's share of votes is kept this far from 0 and 1, where its logit ends
_TREES_FIRST, _TREES_OTHERS = 100, 40  # of "mismatch", of each question: all heads together stay at 6 MB
_FOREST = {"min_samples_leaf": 5, "max_features": 0.3, "random_state": 1}
_BOOSTED = {
    **{"n_estimators": 600, "max_depth": 5, "learning_rate": 0.05, "subsample": 0.5},
    **{"max_features": 0.1, "min_samples_leaf": 10, "random_state": 1, "init": "zero"},
}


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """A linear judge. mean, deviation: (figures,).  weight: (figures, outputs).  bias: (outputs,)."""

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def scaled(self, figures: np.ndarray) -> np.ndarray:
        """Figures in deviations from their mean, capped."""
        return ((figures - self.mean) / self.deviation).clip(-_CAP, _CAP)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """How members are mixed: sum of (logit - middle) * weight.  Both (members, outputs).

    asked: so much of the highest question's logit is added to that of "mismatch": what differs in one thing alone, a
    button or a print, is seen by the head that was taught just this.
    """

    weight: np.ndarray
    middle: np.ndarray
    asked: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Fitted members, by output; None where one answer never occurred. Without a mixture all weigh alike."""

    ridge: Ridge
    forests: tuple[ExtraTreesClassifier | None, ...]
    boosted: tuple[GradientBoostingClassifier | None, ...]

    def members(self, figures: np.ndarray) -> np.ndarray:
        """Logits (members, N, outputs) of each member alone."""
        figures = figures.astype(np.float32)
        nothing = np.zeros(len(figures))
        linear = self.ridge.scaled(figures) @ self.ridge.weight + self.ridge.bias
        shares = [None if each is None else each.predict_proba(figures)[:, 1].clip(_EDGE, 1 - _EDGE)
                  for each in self.forests]  # fmt: skip
        votes = [nothing if share is None else np.log(share / (1 - share)) for share in shares]
        sums = [nothing if each is None else each.decision_function(figures) for each in self.boosted]
        return np.stack([linear, np.stack(votes, 1), np.stack(sums, 1)]).astype(np.float32)

    def logits(self, figures: np.ndarray, mixture: Mixture) -> np.ndarray:
        """Logits (N, outputs)."""
        return mixed(self.members(figures), mixture)

    def graph(self, mixture: Mixture) -> onnx.ModelProto:
        """What `logits` computes, as a graph from `figures` to `logits`; members that weigh nothing are left out."""
        figures, outputs = self.ridge.weight.shape
        weight = mixture.weight.copy()
        constants = {
            **{"mean": self.ridge.mean, "deviation": self.ridge.deviation, "slopes": self.ridge.weight},
            **{"bias": self.ridge.bias, "least": np.array(-_CAP), "most": np.array(_CAP)},
            **{"edge": np.array(_EDGE), "other_edge": np.array(1 - _EDGE), "one": np.array(1.0)},
            **{f"weight_{name}": weight[k] for k, name in enumerate(MEMBERS)},
            "middle": (mixture.middle * weight).sum(0),
        }
        kept = [name for k, name in enumerate(MEMBERS) if weight[k].any()]
        nodes = [node for name in kept for node in self._nodes(name, outputs)]
        total = "none"
        constants["none"] = np.zeros(outputs)
        for name in kept:
            nodes.append(helper.make_node("Mul", [name, f"weight_{name}"], [f"weighed_{name}"]))
            nodes.append(helper.make_node("Add", [total, f"weighed_{name}"], [f"with_{name}"]))
            total = f"with_{name}"
        nodes.append(helper.make_node("Sub", [total, "middle"], ["each"]))
        constants |= {"asked": np.array([mixture.asked] + [0.0] * (outputs - 1))}
        questions = numpy_helper.from_array(np.arange(1, outputs), "questions")
        nodes += [
            helper.make_node("Gather", ["each", "questions"], ["told"], axis=1),
            helper.make_node("ReduceMax", ["told", "columns"], ["highest"], keepdims=1),
            helper.make_node("Mul", ["highest", "asked"], ["added"]),
            helper.make_node("Add", ["each", "added"], ["logits"]),
        ]
        used = {each for node in nodes for each in node.input}
        stored = [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in constants.items()
            if name in used
        ]
        columns = numpy_helper.from_array(np.array([1]), "columns")
        return graph_of(nodes, [*stored, questions, columns], figures, outputs)

    def _nodes(self, member: str, outputs: int) -> list[onnx.NodeProto]:
        if member == "ridge":
            return [
                helper.make_node("Sub", ["figures", "mean"], ["centred"]),
                helper.make_node("Div", ["centred", "deviation"], ["unlimited"]),
                helper.make_node("Clip", ["unlimited", "least", "most"], ["scaled"]),
                helper.make_node("MatMul", ["scaled", "slopes"], ["sloped"]),
                helper.make_node("Add", ["sloped", "bias"], ["ridge"]),
            ]
        if member == "boosted":
            return [tree_node(self._boosted_trees(), outputs, "boosted", "figures")]
        return [
            tree_node(self._forest_trees(), outputs, "votes", "figures"),
            helper.make_node("Clip", ["votes", "edge", "other_edge"], ["yes"]),
            helper.make_node("Sub", ["one", "yes"], ["no"]),
            helper.make_node("Div", ["yes", "no"], ["odds"]),
            helper.make_node("Log", ["odds"], ["forest"]),
        ]

    def _forest_trees(self) -> Iterator[Tree]:
        end, undecided = np.array([-1]), np.array([0.5])
        for k, forest in enumerate(self.forests):
            if forest is None:  # even odds
                yield Tree(k, end, end, end, undecided, undecided)
                continue
            for each in forest.estimators_:
                votes = each.tree_.value[:, 0]
                yield _tree(k, each.tree_, votes[:, 1] / votes.sum(1) / len(forest.estimators_))

    def _boosted_trees(self) -> Iterator[Tree]:
        for k, booster in enumerate(self.boosted):
            for each in () if booster is None else booster.estimators_[:, 0]:
                yield _tree(k, each.tree_, each.tree_.value[:, 0, 0] * booster.learning_rate)


def _tree(output: int, fitted: object, value: np.ndarray) -> Tree:
    """A fitted scikit-learn tree (`tree_`) whose leaves add `value` to an output."""
    left, right, feature, threshold = (
        np.asarray(getattr(fitted, name)) for name in ("children_left", "children_right", "feature", "threshold")
    )
    return Tree(output, left, right, feature, threshold, value)


def mixed(members: np.ndarray, mixture: Mixture) -> np.ndarray:
    """Logits (N, outputs) of logits (members, N, outputs)."""
    found = ((members - mixture.middle[:, None]) * mixture.weight[:, None]).sum(0).astype(np.float32)
    found[:, 0] += mixture.asked * found[:, 1:].max(1)
    return found


def fit(figures: np.ndarray, truth: np.ndarray, weight: np.ndarray, ridge: float = RIDGE) -> Heads:
    """Fit all members of all outputs. truth (N, outputs) is 1, 0 or negative for unknown; weight (N,) of each pair.

    In every output both answers weigh alike. An output of which one answer never occurs stays at even odds.
    """
    figures = figures.astype(np.float32)
    outputs = truth.shape[1]
    linear = Ridge(figures.mean(0), figures.std(0) + 1e-4, np.zeros((figures.shape[1], outputs)), np.zeros(outputs))
    forests: list[ExtraTreesClassifier | None] = [None] * outputs
    boosted: list[GradientBoostingClassifier | None] = [None] * outputs
    scaled = linear.scaled(figures)
    for k in range(outputs):
        known = truth[:, k] >= 0
        answers = truth[known, k]
        if len(set(answers.tolist())) < 2:
            continue
        own = balanced(answers, weight[known])
        line = LogisticRegression(C=ridge, max_iter=500).fit(scaled[known], answers, own)
        linear.weight[:, k], linear.bias[k] = line.coef_[0], line.intercept_[0]
        trees = _TREES_OTHERS if k else _TREES_FIRST
        forests[k] = ExtraTreesClassifier(trees, **_FOREST).fit(figures[known], answers, own)
        boosted[k] = GradientBoostingClassifier(**_BOOSTED).fit(figures[known], answers, own)
    return Heads(linear, tuple(forests), tuple(boosted))


def balanced(answers: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights by which yes and no count alike, 1 in the mean."""
    own = weight * np.where(answers == 1, 0.5 / weight[answers == 1].sum(), 0.5 / weight[answers == 0].sum())
    return np.asarray(own * len(own))
