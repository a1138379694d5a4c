"""Train, judge and export the comparison with references.

    python -m zhentu_training.compare.train --pictures ../shared/data --run runs/compare --models models

Goods of the train split teach; half of the unseen goods calibrate, the other half judge. The transformer stays as it
is; only the small head and the tokens' centre are fitted, which takes seconds once the tokens are there.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch.nn.functional import binary_cross_entropy_with_logits, normalize
from tqdm import tqdm

from zhentu.detect.calibration import Platt
from zhentu.detect.models import TrainingData
from zhentu.detect.views import whole_view
from zhentu_training.card import markdown
from zhentu_training.compare.export import export
from zhentu_training.compare.model import Comparison, Encoder, figures, surface
from zhentu_training.compare.pairs import Goods, Pair, goods_of, make_pairs
from zhentu_training.forge.base import Materials
from zhentu_training.model import BackboneSpec

BACKBONE = BackboneSpec("vit_base_patch16_clip_quickgelu_224", "package", depth=9)
_KINDS = ("white_bg", "studio", "user_shot", "overlay_text")  # where goods stand alone
_SIZE = 224
_BATCH = 8
_REVIEW_RISK = 1 / 100  # share of true matches that may be called a mismatch


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the frozen part says of all views: tokens float16 (views, blocks, places, D), surface float32."""

    tokens: np.ndarray
    surface: np.ndarray


def all_goods(pictures: Path, most: int, seed: int) -> list[Goods]:
    """Goods with mattes: cut-outs (every fourth is unseen in training), and genuine pictures by their split."""
    table = pd.read_csv(pictures / "manifest.csv", dtype=str, keep_default_na=False)
    table = table[(table["label"] == "genuine") & table["kind"].isin(_KINDS)]
    rng = np.random.default_rng(seed)
    files = [(pictures / row.file, row.split) for row in table.itertuples()]
    cutouts = sorted((pictures / "cutouts").glob("*"))
    found = [goods_of(path, "dev" if k % 4 == 0 else "train") for k, path in enumerate(cutouts)]
    for index in tqdm(rng.permutation(len(files)), desc="goods", mininterval=5):
        if sum(each is not None for each in found) >= most:
            break
        found.append(goods_of(*files[index]))
    return [each for each in found if each is not None]


@torch.inference_mode()
def encode(encoder: Encoder, views: Sequence[np.ndarray]) -> Seen:
    """Raw tokens and surfaces of all views."""
    tokens, faces = [], []
    for start in tqdm(range(0, len(views), _BATCH), desc="tokens", mininterval=5):
        batch = torch.from_numpy(np.stack([whole_view(rgb, _SIZE) for rgb in views[start : start + _BATCH]]))
        with torch.autocast("cpu", torch.bfloat16):
            tokens.append(encoder.raw_tokens(batch).half().numpy())
        faces.append(surface(batch).numpy())
    return Seen(np.concatenate(tokens), np.concatenate(faces))


def neighbours_of(encoder: Encoder, goods: Sequence[Goods]) -> list[int]:
    """For each product the most similar other product of its split, by the mean token on plain ground."""
    plain = [(each.rgb * each.matte[..., None] + 255 * (1 - each.matte[..., None])).astype(np.uint8) for each in goods]
    means = torch.from_numpy(encode(encoder, plain).tokens[:, -1].astype(np.float32).mean(1))
    likeness = normalize(means - means.mean(0), dim=1) @ normalize(means - means.mean(0), dim=1).T
    split = np.array([each.split for each in goods])
    likeness[torch.from_numpy(split[:, None] != split[None])] = -2
    likeness.fill_diagonal_(-2)
    return likeness.argmax(1).tolist()


@torch.inference_mode()
def all_figures(seen: Seen, pairs: Sequence[Pair], centre: torch.Tensor) -> np.ndarray:
    """Figures of every pair in both directions, float32 (pairs, FIGURES)."""

    def side(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = torch.from_numpy(seen.tokens[index].astype(np.float32)) - centre[:, None]
        return normalize(tokens, dim=-1)[None], torch.from_numpy(seen.surface[index])[None]

    rows = []
    for pair in pairs:
        (tokens, face), (other, other_face) = side(pair.picture), side(pair.reference)
        there, _ = figures(tokens, other, face, other_face)
        back, _ = figures(other, tokens, other_face, face)
        rows.append(torch.cat([there, back], 1)[0].numpy())
    return np.stack(rows)


def fit_head(model: Comparison, seen: np.ndarray, mismatch: np.ndarray, seed: int) -> None:
    """Fit the head in place: both classes weigh alike, early figures with a little noise."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(seen), torch.from_numpy(mismatch.astype(np.float32))
    model.mean.copy_(x.mean(0))
    model.deviation.copy_(x.std(0) + 1e-4)
    weight = torch.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    optimiser = torch.optim.AdamW(model.head.parameters(), 3e-3, weight_decay=0.05)
    model.head.train()
    steps = 600
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, steps)
    for _ in range(steps):
        noisy = x + 0.05 * model.deviation * torch.randn_like(x)
        loss = binary_cross_entropy_with_logits(model.judge(noisy), y, weight=weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    model.head.eval()


def calibrated(logits: np.ndarray, mismatch: np.ndarray) -> Platt:
    """Platt's slope and intercept with both classes weighted alike."""
    fitted = LogisticRegression(C=1e4, class_weight="balanced").fit(logits[:, None], mismatch)
    return Platt(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def review_threshold(probability: np.ndarray, mismatch: np.ndarray) -> float:
    """Conformal quantile over true matches: at most 1 in 100 of them lies above."""
    matches = np.sort(probability[~mismatch])
    rank = min(int(np.ceil((len(matches) + 1) * (1 - _REVIEW_RISK))), len(matches))
    return round(float(min(matches[rank - 1] + 1e-4, 0.999)), 4)


def report(probability: np.ndarray, pairs: Sequence[Pair], threshold: float) -> pd.DataFrame:
    """AUC of every kind of mismatch against all matches, and how many the threshold finds."""
    kinds = np.array([pair.kind for pair in pairs])
    matches = probability[kinds == "match"]
    rows = [{"kind": "match", "pairs": len(matches), "AUC": "", "found": f"{(matches >= threshold).mean():.3f}"}]
    for kind in [*sorted(set(kinds) - {"match"}), "all"]:
        own = probability[kinds == kind] if kind != "all" else probability[kinds != "match"]
        auc = roc_auc_score(np.r_[np.zeros(len(matches)), np.ones(len(own))], np.r_[matches, own])
        rows.append({"kind": kind, "pairs": len(own), "AUC": f"{auc:.3f}", "found": f"{(own >= threshold).mean():.3f}"})
    return pd.DataFrame(rows)


def main() -> None:
    """Make pairs, encode (kept in the run folder), fit, judge, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/compare"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--goods", type=int, default=560, help="so many products at most")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    model = Comparison(BACKBONE).eval()
    kept = run / "encoded.npz"
    if kept.is_file():
        stored = np.load(kept, allow_pickle=False)
        seen = Seen(stored["tokens"], stored["surface"])
        pairs = [Pair(**row) for row in json.loads((run / "pairs.json").read_text(encoding="utf-8"))]
    else:
        goods = all_goods(arguments.pictures, arguments.goods, arguments.seed)
        scenes = pd.read_csv(arguments.pictures / "manifest.csv", dtype=str)
        scenes = scenes[(scenes["label"] == "genuine") & scenes["kind"].isin(["scene", "room", "lifestyle"])]
        materials = Materials(
            textures=tuple(sorted((arguments.pictures / "textures").glob("*"))),
            scenes=tuple(arguments.pictures / file for file in scenes["file"]),
        )
        views, pairs = make_pairs(goods, neighbours_of(model.encoder, goods), materials, arguments.seed)
        seen = encode(model.encoder, views)
        np.savez(kept, tokens=seen.tokens, surface=seen.surface)
        rows = [{name: getattr(pair, name) for name in Pair.__slots__} for pair in pairs]
        (run / "pairs.json").write_text(json.dumps(rows), encoding="utf-8")

    products = [int(hashlib.sha256(pair.product.encode()).hexdigest(), 16) for pair in pairs]
    train = np.array([pair.split == "train" for pair in pairs])
    calibrate = ~train & (np.array([product % 2 for product in products]) == 0)
    judge = ~train & ~calibrate
    mismatch = np.array([pair.mismatch for pair in pairs])
    taught = [pair for pair, use in zip(pairs, train, strict=True) if use]
    shown = sorted({index for pair in taught for index in (pair.picture, pair.reference)})
    centre = torch.from_numpy(seen.tokens[shown].astype(np.float32).mean((0, 2)))
    model.encoder.centre.copy_(centre)
    found = all_figures(seen, pairs, centre)
    fit_head(model, found[train], mismatch[train], arguments.seed)
    with torch.inference_mode():
        logits = model.judge(torch.from_numpy(found)).numpy()
    platt = calibrated(logits[calibrate], mismatch[calibrate])
    probability = platt.probability(logits)
    threshold = review_threshold(probability[calibrate], mismatch[calibrate])
    table = report(probability[judge], [pair for pair, use in zip(pairs, judge, strict=True) if use], threshold)
    count = len({pair.product for pair, use in zip(pairs, judge, strict=True) if use})
    print(table.to_string(index=False))
    text = f"{count} unseen products; review threshold {threshold}\n\n{markdown(table)}\n"
    (run / "report.md").write_text(text, encoding="utf-8")
    torch.save({name: value for name, value in model.state_dict().items() if "backbone" not in name}, run / "head.pt")
    digest = hashlib.sha256(json.dumps([[p.kind, p.split, p.product] for p in pairs]).encode()).hexdigest()
    data = TrainingData(digest, len(shown), len({pair.product for pair in taught}))
    created = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(export(model, platt, threshold, data, arguments.version, created, arguments.models))


if __name__ == "__main__":
    main()
