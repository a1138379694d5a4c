"""The comparison's encoder with 8-bit products, beside the floating-point one; refused if the judged pairs lose by it.

    python -m zhentu_training.compare.integer --run runs/compare --models models

On a processor with 8-bit dot products the encoder then costs a third. The heads stay as they were fitted.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from zhentu.detect.canvas import Canvas, view_of
from zhentu.detect.entries import ComparerEntry, WeightsFile
from zhentu.detect.figures import measure
from zhentu.detect.look import Look, weight_of
from zhentu.detect.models import Manifest
from zhentu.errors import UsageError
from zhentu_training.commands import errors_said_plainly
from zhentu_training.compare.gists import Gist, Sights, gists_of
from zhentu_training.compare.pairing import Pair, pairs_of
from zhentu_training.quantize import Made
from zhentu_training.sessions import session_of

LARGEST_AUC_LOSS = 0.003

_Encoder = Callable[[Canvas], list[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Lost:
    """AUC of all kinds on the judged pairs, by both encoders, and the share found at 1 % false alarms."""

    exact: tuple[float, float]
    integer: tuple[float, float]
    pairs: int

    def __str__(self) -> str:
        return (
            f"{self.pairs} judged pairs: AUC {self.exact[0]:.4f} -> {self.integer[0]:.4f} with 8-bit products, "
            f"found at 1 % false alarms {self.exact[1]:.3f} -> {self.integer[1]:.3f}"
        )


def encoder_of(graph: Path) -> _Encoder:
    """What a look keeps of a canvas: tokens, class tokens, identity."""
    session = session_of(graph)

    def encode(canvas: Canvas) -> list[np.ndarray]:
        asked = {"views": view_of(canvas)[np.newaxis], "weights": weight_of(canvas)[np.newaxis]}
        return [each[0] for each in session.run(("tokens", "classes", "identity"), asked)]

    return encode


def logits_by(encoders: Sequence[_Encoder], heads: Path, sights: Sights, pairs: Sequence[Pair]) -> list[np.ndarray]:
    """Logits of "mismatch" (pairs,), for each encoder over the same canvases."""
    found: list[dict[int, Look]] = [{} for _ in encoders]
    for k in tqdm(sorted({k for pair in pairs for k in (pair.first, pair.second)}), desc="looks", mininterval=10):
        sight = sights[k]
        for looks, encode in zip(found, encoders, strict=True):
            looks[k] = Look.of(sight.canvas, encode(sight.canvas), sight.found)
    session = session_of(heads)
    logits = []
    for looks in found:
        figures = [measure(looks[each.first], looks[each.second]).figures for each in tqdm(pairs, mininterval=10)]
        logits.append(session.run(("logits",), {"figures": np.stack(figures)})[0][:, 0])
    return logits


def told(truth: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """AUC, and the share of the mismatches above 99 in 100 matches."""
    strict = np.quantile(logits[~truth], 0.99, method="higher")
    return float(roc_auc_score(truth, logits)), float((logits[truth] > strict).mean())


def judged_pairs(gists: Sequence[Gist], seed: int, most: int) -> list[Pair]:
    """The judged pairs of so many groups of products, drawn at random; of all with 0."""
    pairs = [pair for pair in pairs_of(gists, seed) if pair.split == "judge"]
    groups = sorted({pair.group for pair in pairs})
    kept = set(np.random.default_rng(seed).permutation(groups)[: most or len(groups)])
    return [pair for pair in pairs if pair.group in kept]


def integer_of(models: Path, run: Path, seed: int, groups: int = 0) -> tuple[ComparerEntry, Lost]:
    """Write the 8-bit encoder of the active comparison and its manifest entry; with what it loses.

    Raises UsageError if it loses more than is allowed, or there is no active comparison.
    """
    manifest = Manifest.load(models)
    entry = manifest.comparer
    if entry is None:
        raise UsageError(f"{models} holds no active comparison: run zhentu_training.compare.train first")
    gists = gists_of(run)
    pairs = judged_pairs(gists, seed, groups)
    truth = np.array([pair.mismatch for pair in pairs])
    with tempfile.TemporaryDirectory() as scratch:
        made = Made.of(models, entry, Path(scratch))
        encoders = encoder_of(models / entry.file), encoder_of(made.same)
        exact, integer = logits_by(encoders, models / entry.heads.file, Sights(gists), pairs)
        lost = Lost(told(truth, exact), told(truth, integer), len(pairs))
        if not lost.exact[0] - lost.integer[0] <= LARGEST_AUC_LOSS:
            raise UsageError(f"{lost}; {LARGEST_AUC_LOSS} of AUC may be lost: nothing was written")
        shutil.copyfile(made.path, models / made.path.name)
        own = WeightsFile(made.path.name, hashlib.sha256(made.path.read_bytes()).hexdigest())
    entry = replace(entry, integer=own)
    others = tuple(each for each in manifest.comparers if str(each.ref) != str(entry.ref))
    replace(manifest, comparers=(*others, entry)).save(models)
    return entry, lost


def main(argv: Sequence[str] | None = None) -> None:
    """Make it, judge it, and only then write into models/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/compare"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--groups", type=int, default=0, help="judge on so many groups of products; 0 = on all")
    parser.add_argument("--seed", type=int, default=20261126)
    arguments = parser.parse_args(argv)
    with errors_said_plainly():
        entry, lost = integer_of(arguments.models, arguments.run, arguments.seed, arguments.groups)
    print(f"{lost}\nwrote the 8-bit encoder of {entry.ref} into {arguments.models}")


if __name__ == "__main__":
    main()
