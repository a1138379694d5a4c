"""Cut-outs and false scenes: today's held-out score, the figures of consistency, and both, on unseen sources.

    python -m zhentu_training.consistent.judge --manifest runs/set/manifest.csv --run runs/reference

Today's scores are what heads said that never saw a picture's source (held_out.npz of `zhentu_training.fit`). Heads
over the figures are fitted without the fold they judge, and so are the two numbers by which both are added. Where no
goods are found today's score stands alone. Originals and honest pictures are the negatives; intervals are by bootstrap
over pictures, because forgeries of a category share few sources.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from zhentu.types import CATEGORIES, Category
from zhentu_training.card import markdown
from zhentu_training.commands import errors_said_plainly
from zhentu_training.compare.heads import MEMBERS, balanced, fit
from zhentu_training.consistent.table import Table, read
from zhentu_training.dataset import Origin, Sample
from zhentu_training.features import pictures_of
from zhentu_training.figures import Judged, alike, auc, interval, quantile, recall, resampled
from zhentu_training.fit import HELD_OUT

OUTPUTS = (Category.SCENE_DISTORTION, Category.CUTOUT_ARTIFACT)
_TODAY = "today"
_SOFT = 1e-3  # probabilities are kept this far from 0 and 1
_OTHER_OWN = 0.5  # weight of own forgeries of another kind beside genuine pictures: they too were changed in part


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Pictures with what is known of them. today: log-odds (n, outputs), held out.  truth: (n, outputs), -1 unknown."""

    samples: Sequence[Sample]
    fold: np.ndarray
    found: np.ndarray
    figures: np.ndarray
    today: np.ndarray
    truth: np.ndarray


def truth_of(samples: Sequence[Sample]) -> np.ndarray:
    """1, 0 or -1 for each of the two outputs."""
    said = [[int(c in s.labels) if c in s.known else -1 for c in OUTPUTS] for s in samples]
    return np.array(said)


def rows_of(samples: Sequence[Sample], held: Mapping[str, np.ndarray], table: Table, road: str) -> Rows:
    """Pictures that both the run and the table know, on one road."""
    by_path = {str(sample.path): sample for sample in samples}
    at = {name: k for k, (name, on) in enumerate(zip(map(str, held["names"]), held["road"], strict=True)) if on == road}
    use = [k for k, path in enumerate(table.paths) if path in at and path in by_path]
    chosen = [by_path[table.paths[k]] for k in use]
    place = [at[table.paths[k]] for k in use]
    columns = [CATEGORIES.index(each) for each in OUTPUTS]
    p = held["probabilities"][place][:, columns].clip(_SOFT, 1 - _SOFT)
    return Rows(
        chosen, held["fold"][place], table.found[use], table.figures[use], np.log(p / (1 - p)), truth_of(chosen)
    )


def weight_of(rows: Rows) -> np.ndarray:
    """Of each picture: sources of genuine pictures, recipes and kinds of edits count alike but for the root of size."""
    names = np.array(
        [f"{s.origin} {s.recipe if s.origin is Origin.OWN else s.source} {bool(s.labels)}" for s in rows.samples]
    )
    _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    other = np.array([s.origin is Origin.OWN and bool(s.labels) and not s.labels & set(OUTPUTS) for s in rows.samples])
    return np.asarray(counts[place] ** -0.5 * np.where(other, _OTHER_OWN, 1.0))


def cross_fitted(rows: Rows, figures: np.ndarray) -> np.ndarray:
    """Logits (members, n, outputs) of heads that saw nothing of a picture's fold; 0 where no goods were found."""
    weight, said = weight_of(rows), np.zeros((len(MEMBERS), len(rows.samples), len(OUTPUTS)), np.float32)
    for each in np.unique(rows.fold):
        train, inside = rows.found & (rows.fold != each), rows.found & (rows.fold == each)
        if inside.any():
            heads = fit(figures[train], rows.truth[train], weight[train], ridge=0.03)
            said[:, inside] = heads.members(figures[inside])
    return said


def added(rows: Rows, logits: np.ndarray) -> np.ndarray:
    """Log-odds (n, outputs) of today's score and a head's together, weights fitted without the judged fold.

    Where no goods are found today's score is read alone, by a line fitted likewise: both are at even odds then.
    """
    weight, said = weight_of(rows), np.zeros(rows.today.shape)
    for k in range(len(OUTPUTS)):
        both, known = np.stack([rows.today[:, k], logits[:, k]], 1), rows.truth[:, k] >= 0
        for each in np.unique(rows.fold):
            for there, columns in ((rows.found, (0, 1)), (~rows.found, (0,))):
                train = known & (rows.fold != each) & (there | (len(columns) == 1))
                inside = there & (rows.fold == each)
                if len(set(rows.truth[train, k])) == 2 and inside.any():
                    own = balanced(rows.truth[train, k], weight[train])
                    line = LogisticRegression(C=10).fit(both[train][:, columns], rows.truth[train, k], own)
                    said[inside, k] = line.decision_function(both[inside][:, columns])
    return said


def designs_of(rows: Rows) -> dict[str, np.ndarray]:
    """Log-odds (n, outputs) by design."""
    alone = cross_fitted(rows, rows.figures)
    with_today = cross_fitted(rows, np.concatenate([rows.figures, rows.today], 1))
    said = {_TODAY: rows.today}
    for k, name in enumerate(MEMBERS):
        # Where no goods are found the figures say nothing: even odds.
        said[f"figures, {name}"] = alone[k]
        said[f"added, {name}"] = added(rows, alone[k])
        said[f"one head, {name}"] = added(rows, with_today[k])
    deviation = alone.reshape(len(MEMBERS), -1, len(OUTPUTS)).std(1, keepdims=True) + 1e-6
    said["added, mean of all"] = added(rows, (alone / deviation).mean(0))
    return said


def kind_of(sample: Sample) -> str:
    """What a picture is judged under: a recipe, a kind of edit, or the kind it was found as."""
    return sample.recipe if sample.origin is Origin.OWN else (sample.kind or "found so")


def questions(rows: Rows) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
    """What is asked: a name, which output, the forged rows and the honest ones."""
    own = np.array([s.origin is Origin.OWN for s in rows.samples])
    edit = np.array([s.origin is Origin.EDIT for s in rows.samples])
    real = np.array([s.origin is Origin.REAL and not s.labels for s in rows.samples])
    honest = np.array([not s.labels for s in rows.samples])
    made = np.array([Category.AI_GENERATED in s.labels for s in rows.samples])
    kinds = np.array([kind_of(s) for s in rows.samples])
    asked = []
    for k, category in enumerate(OUTPUTS):
        shown = rows.truth[:, k] == 1
        asked.append((f"{category.value}, own forgeries", k, own & shown, own & honest))
        asked.append((f"{category.value}, own forgeries against pictures found so", k, own & shown, real))
        for kind in sorted(set(kinds[own & shown])):
            asked.append((f"{category.value}, {kind}", k, own & shown & (kinds == kind), own & honest))
        for kind in sorted(set(kinds[edit & made])):
            few = "case" if kind.startswith("case") else kind
            if few != kind:
                continue
            asked.append((f"{category.value}, edits, {kind}", k, edit & made & (kinds == kind), edit & honest))
        cases = np.array([kind.startswith("case") for kind in kinds])
        asked.append((f"{category.value}, edits, numbered cases", k, edit & made & cases, edit & honest))
    return [each for each in asked if each[2].sum() >= 4 and each[3].sum() >= 4]


def table_of(rows: Rows, said: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """AUC with its interval and recall at 1 % false alarms, a row a question and design."""
    found = []
    for name, k, forged, honest in questions(rows):
        use = forged | honest
        for design, odds in said.items():
            judged = Judged(odds[use, k], forged[use], np.arange(int(use.sum())).astype(str))
            drawn = [auc(judged.score, judged.made, w) for w in resampled(judged)]
            found.append({"question": name, "pictures": f"{forged.sum()} + {honest.sum()}", "design": design,
                          "AUC": str(interval(auc(judged.score, judged.made), drawn)),
                          "recall at 1 %": f"{recall(judged, 0.01):.2f}"})  # fmt: skip
    return pd.DataFrame(found)


def alarms_of(rows: Rows, said: Mapping[str, np.ndarray], share: float = 0.002) -> pd.DataFrame:
    """Honest composites acted on, and own forgeries found, at thresholds that `share` of genuine pictures pass.

    Sources of genuine pictures weigh alike; each of the two outputs may act on half of the share.
    """
    real = np.array([s.origin is Origin.REAL and not s.labels for s in rows.samples])
    white = np.array([s.recipe in ("negatives.catalogue", "negatives.white_ground") for s in rows.samples])
    other = np.array([s.origin is Origin.OWN and not s.labels for s in rows.samples]) & ~white
    own = np.array([s.origin is Origin.OWN for s in rows.samples])
    even = alike(np.array([s.source for s, use in zip(rows.samples, real, strict=True) if use]))
    found = []
    for design, odds in said.items():
        limits = np.array([quantile(odds[real, k], even, 1 - share / 2) for k in range(len(OUTPUTS))])
        over = odds > limits
        row = {"design": design, "genuine": _share(over[real].any(1)),
               "white-ground composites": _share(over[white].any(1)),
               "originals and hard negatives": _share(over[other].any(1))}  # fmt: skip
        for k, category in enumerate(OUTPUTS):
            row[f"{category.value} found"] = _share(over[own & (rows.truth[:, k] == 1), k])
        found.append(row)
    return pd.DataFrame(found)


def _share(over: np.ndarray) -> str:
    return f"{over.mean():.4f} of {over.size}" if over.size else "none"


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Print both tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of zhentu_training.fit")
    parser.add_argument("--figures", type=Path, default=Path("runs/consistent"))
    parser.add_argument("--road", default="native")
    parser.add_argument("--out", type=Path, default=Path("runs/consistent"))
    arguments = parser.parse_args(argv)
    samples = pictures_of(arguments.manifest)
    with np.load(arguments.run / HELD_OUT) as kept:
        held = dict(kept)
    measured = read(arguments.figures, arguments.road, [str(sample.path) for sample in samples])
    rows = rows_of(samples, held, measured, arguments.road)
    said = designs_of(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in (("judged", table_of(rows, said)), ("alarms", alarms_of(rows, said))):
        (arguments.out / f"{name}-{arguments.road}.md").write_text(markdown(table), encoding="utf-8")
        print(f"\n{table.to_string(index=False)}")


if __name__ == "__main__":
    main()
