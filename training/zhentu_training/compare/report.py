"""The comparison evaluated on products it never saw, kind by kind, beside the plain baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from zhentu.detect.entries import QuestionLevels
from zhentu.detect.questions import QUESTIONS
from zhentu_training.card import COMPARISON_SECTION, markdown
from zhentu_training.compare.gists import Gist
from zhentu_training.compare.pairing import KINDS, UNRELATED, Pair

_ROUNDS = 200
SHEET = "comparison.png"  # what `compare.sheet` draws, beside the card


def baselines(gists: Sequence[Gist], pairs: Sequence[Pair]) -> Mapping[str, np.ndarray]:
    """One minus the cosine of frozen class tokens, on the whole pictures and on the goods' canvases."""

    def unlike(tokens: Sequence[np.ndarray]) -> np.ndarray:
        size = max(each.size for each in tokens)
        rows = np.stack([np.resize(each, size) for each in tokens])
        unit = rows - rows[sorted({k for pair in pairs for k in (pair.first, pair.second)})].mean(0)
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
        return np.array([1 - float(unit[pair.first] @ unit[pair.second]) for pair in pairs])

    wholes, classes = [gist.whole for gist in gists], [gist.classes[-1] for gist in gists]
    return {"whole picture": unlike(wholes), "goods": unlike(classes)}


def interval(truth: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % interval of the AUC by drawing groups of products anew."""
    rng, names = np.random.default_rng(7), np.unique(groups)
    rows = {name: np.flatnonzero(groups == name) for name in names}
    drawn = []
    for _ in range(_ROUNDS):
        pick = np.concatenate([rows[name] for name in rng.choice(names, len(names))])
        if 0 < truth[pick].sum() < len(pick):
            drawn.append(roc_auc_score(truth[pick], scores[pick]))
    return (float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))) if drawn else (0.0, 1.0)


def report(
    pairs: Sequence[Pair],
    scores: np.ndarray,
    threshold: float,
    levels: Mapping[str, QuestionLevels],
    plain: Mapping[str, np.ndarray],
    crossed: tuple[Sequence[Pair], np.ndarray],
) -> str:
    """Markdown: each kind of mismatch against all true matches, matches by source, and each question alone.

    "All" is all kinds but unrelated goods.

    scores: (N, ANSWERED), calibrated, of judged pairs.  crossed: the taught pairs and their cross-fitted scores.
    """
    kinds = np.array([pair.kind for pair in pairs])
    groups = np.array([pair.group for pair in pairs])
    mismatch, match = scores[:, 0], kinds == "match"
    strict = np.quantile(mismatch[match], 0.99, method="higher")
    rows = []
    for kind in (*(each for each in KINDS if each != "match"), "all"):
        # Unrelated goods are told apart easily; among all they would flatter.
        own = ~match & (kinds != UNRELATED) if kind == "all" else kinds == kind
        if not own.any():
            continue
        use, truth = own | match, own[own | match]
        low, high = interval(truth, mismatch[use], groups[use])
        row = {"kind": kind, "pairs": int(own.sum()), "products": len(set(groups[own]))}
        row |= {"AUC": f"{roc_auc_score(truth, mismatch[use]):.3f} [{low:.3f}, {high:.3f}]"}
        row |= {"found": f"{(mismatch[own] >= threshold).mean():.3f}"}
        row |= {"found at 1 % false alarms": f"{(mismatch[own] > strict).mean():.3f}"}
        row |= {f"plain, {name}": f"{roc_auc_score(truth, each[use]):.3f}" for name, each in plain.items()}
        rows.append(row)
    parts = [
        f"{len(set(groups))} groups of unseen products, {int(match.sum())} true matches; threshold {threshold}.\n",
        markdown(pd.DataFrame(rows)),
        "\nTrue matches called a mismatch at that threshold:\n",
        markdown(_false_alarms(pairs, mismatch, threshold)),
        "\nEach question alone (differs, against true matches):\n",
        markdown(_questions(pairs, scores, levels)),
    ]
    taught, own = crossed
    truth = np.array([pair.mismatch for pair in taught])
    parts.append(f"\nCross-fitted on the {len({pair.group for pair in taught})} groups that fit: AUC of all kinds "
                 f"{roc_auc_score(truth, own):.3f}.\n")  # fmt: skip
    return "\n".join(parts)


def into_card(card: Path, title: str, text: str) -> None:
    """Write the tables into a model card, in place of those that stand there."""
    before = card.read_text(encoding="utf-8")
    start = before.find(COMPARISON_SECTION)
    start = len(before) if start < 0 else start
    end = before.find("\n## ", start + 1)
    after = "" if end < 0 else before[end:]
    section = f"{COMPARISON_SECTION}: {title}\n\n{text.strip()}\n"
    if card.with_name(SHEET).is_file():
        section += f"\n![Twelve comparisons of samples with both heatmaps, four of them failures]({SHEET})\n"
    card.write_text(before[:start].rstrip("\n") + "\n\n" + section + after, encoding="utf-8")


def _false_alarms(pairs: Sequence[Pair], mismatch: np.ndarray, threshold: float) -> pd.DataFrame:
    rows = []
    names = np.array([f"{pair.source}, same framing" if pair.framed_alike else pair.source for pair in pairs])
    match = np.array([not pair.mismatch for pair in pairs])
    for name in sorted(set(names[match])):
        own = mismatch[match & (names == name)]
        rows.append({"matches of": name, "pairs": len(own), "false alarms": f"{(own >= threshold).mean():.3f}"})
    own = mismatch[match]
    rows.append({"matches of": "all", "pairs": len(own), "false alarms": f"{(own >= threshold).mean():.3f}"})
    return pd.DataFrame(rows)


def _questions(pairs: Sequence[Pair], scores: np.ndarray, levels: Mapping[str, QuestionLevels]) -> pd.DataFrame:
    rows = []
    match = np.array([not pair.mismatch for pair in pairs])
    truth = np.array([pair.truth for pair in pairs])
    for k, name in enumerate(QUESTIONS):
        own, level = scores[:, k + 1], levels[name]
        yes, other = truth[:, k] == 1, (truth[:, k] == 0) & ~match
        if not yes.any():
            continue
        tells = (own[yes | match] >= level.differs) | (own[yes | match] <= level.same)
        rows.append(
            {
                "question": name,
                "differs": int(yes.sum()),
                "AUC": f"{roc_auc_score(yes[yes | match], own[yes | match]):.3f}",
                "AUC against other changes": f"{roc_auc_score(yes[yes | other], own[yes | other]):.3f}",
                "found": f"{(own[yes] >= level.differs).mean():.3f}",
                "false alarms": f"{(own[match] >= level.differs).mean():.3f}",
                "cannot tell": f"{1 - tells.mean():.3f}",
            }
        )
    return pd.DataFrame(rows)
