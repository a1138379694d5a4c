"""The goods finder evaluated: masks against real mattes, and how often it cannot tell, by kind of picture.

python -m zhentu_training.compare.judge_finder --pictures ../shared/data --count 100
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from zhentu.detect.goods import GoodsFinder
from zhentu.detect.models import Manifest
from zhentu.intake.decode import decode
from zhentu_training.card import markdown
from zhentu_training.commands import errors_said_plainly
from zhentu_training.forge.base import cover

KINDS = ("white_bg", "studio", "user_shot", "lifestyle", "food", "room", "scene", "overlay_text")
_SLACK = 0.01  # of the diagonal: how far a boundary may be off and still count (Martin et al. 2004)


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two masks."""
    union = int((found | truth).sum())
    return float((found & truth).sum() / union) if union else 1.0


def boundary_f(found: np.ndarray, truth: np.ndarray) -> float:
    """F measure of the boundaries, each point within a hundredth of the diagonal of the other's."""
    slack = max(round(_SLACK * float(np.hypot(*truth.shape))), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * slack + 1, 2 * slack + 1))
    edges = [
        mask.astype(np.uint8) - cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) for mask in (found, truth)
    ]
    if not (edges[0].any() and edges[1].any()):
        return float(edges[0].any() == edges[1].any())
    precision = float((edges[0] & np.asarray(cv2.dilate(edges[1], kernel), np.uint8)).sum() / edges[0].sum())
    recall = float((edges[1] & np.asarray(cv2.dilate(edges[0], kernel), np.uint8)).sum() / edges[1].sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def on_mattes(finder: GoodsFinder, pictures: Path, count: int, seed: int) -> pd.DataFrame:
    """Goods with real mattes on plain ground and on scenes."""
    extras = pd.read_csv(pictures / "extras.csv", dtype=str)
    files = extras.loc[extras["kind"] == "cutout/real_alpha", "file"].sample(frac=1, random_state=seed)[:count]
    table = pd.read_csv(pictures / "manifest.csv", dtype=str)
    scenes = list(table.loc[(table["label"] == "genuine") & table["kind"].isin(["room", "scene"]), "file"])
    rng, rows = np.random.default_rng(seed), []
    for k, file in enumerate(files):
        rgba = cv2.imread(str(pictures / file), cv2.IMREAD_UNCHANGED)
        if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4:
            continue
        edge = round(0.1 * max(rgba.shape[:2]))
        rgba = cv2.copyMakeBorder(rgba, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        rgb, matte = cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGB), rgba[..., 3:] / 255
        if k % 2:
            name = "on a scene"
            ground = cover(decode((pictures / str(rng.choice(scenes))).read_bytes()).rgb, *rgb.shape[:2])
        else:
            name, ground = "on plain ground", np.full_like(rgb, int(rng.uniform(140, 255)))
        began = time.process_time()
        goods = finder.find_in(np.round(rgb * matte + ground * (1 - matte)).astype(np.uint8))
        seconds = time.process_time() - began
        found, truth = goods.mask_at(*rgb.shape[:2]) > 0.5, matte[..., 0] > 0.5
        rows.append((name, goods.found, overlap(found, truth), boundary_f(found, truth), seconds))
    table = pd.DataFrame(rows, columns=["goods", "found", "overlap", "boundary", "seconds"])
    told = table[table["found"]].groupby("goods")
    return pd.DataFrame(
        {
            "pictures": table.groupby("goods").size(),
            "cannot tell": 1 - table.groupby("goods")["found"].mean(),
            "IoU, mean": told["overlap"].mean(),
            "IoU, median": told["overlap"].median(),
            "boundary F": told["boundary"].mean(),
            "ms": table.groupby("goods")["seconds"].median() * 1e3,
        }
    ).reset_index()


def by_kind(finder: GoodsFinder, pictures: Path, count: int, seed: int) -> pd.DataFrame:
    """Share of "cannot tell", and how much of the picture the goods fill, by kind of genuine picture."""
    table = pd.read_csv(pictures / "manifest.csv", dtype=str)
    rows = []
    for kind in KINDS:
        files = table.loc[(table["label"] == "genuine") & (table["kind"] == kind), "file"]
        files = files.sample(frac=1, random_state=seed)[:count]
        found = [finder.find_in(decode((pictures / file).read_bytes()).rgb) for file in files]
        told = [each for each in found if each.found]
        row = {"kind": kind, "pictures": len(found), "cannot tell": 1 - len(told) / max(len(found), 1)}
        rows.append(
            row | {"share of the picture": float(np.mean([each.mask.mean() for each in told])) if told else 0.0}
        )
    return pd.DataFrame(rows)


@errors_said_plainly()
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--count", type=int, default=100, help="cut-outs; a quarter as many pictures of each kind")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    entry = Manifest.load(arguments.models).finder
    assert entry is not None, "the models hold no finder: run zhentu_training.compare.finder first"  # noqa: S101
    finder = GoodsFinder(entry, arguments.models)
    for table in (
        on_mattes(finder, arguments.pictures, arguments.count, arguments.seed),
        by_kind(finder, arguments.pictures, max(arguments.count // 4, 1), arguments.seed),
    ):
        print(markdown(table.round(3)), "\n")


if __name__ == "__main__":
    main()
