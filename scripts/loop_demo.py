r"""Close the loop: reviewers find a new kind of cut-out, the model is trained on it, compared and promoted.

    python scripts/loop_demo.py --genuine ../shared/data/train --base runs/set/manifest.csv --work runs/loop

The shipped model is tuned further (`--start-from models`), as a platform would that has nothing else.

The new kind is a die-cut sticker: goods with a white rim and a hard shadow on a striped ground. Reviewers are played by
the truth, through the same queue as people, and make a mistake in one of 25 decisions. Everything else is the commands
people use. Nothing outside --work is changed. Prints one JSON object; exit code 1 when recall did not rise, or when the
AUC on the base manifest's dev split fell by more than 0.01.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from zhentu.bootstrap.desk import open_desk
from zhentu.bootstrap.models import find_model
from zhentu.bootstrap.screener import build_screener
from zhentu.bootstrap.stores import build_store
from zhentu.detect.models import Manifest, models_folder
from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu.record.history import ModelHistory
from zhentu.review.compare import auc
from zhentu.review.items import ReviewOutcome
from zhentu.settings import Settings, load_settings
from zhentu.types import Action, Inquiry, Listing

_SIDE = 512
_MISTAKES = 1 / 25
_DEV = 400  # of the base's development pictures


def sticker(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut out the middle of a picture along its colours and stick it, with a white rim, on a striped ground."""
    height, width = rgb.shape[:2]
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    inner = (width // 8, height // 8, width * 3 // 4, height * 3 // 4)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.grabCut(np.ascontiguousarray(rgb), mask, inner, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_RECT)
    goods = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    if goods.mean() < 0.05:
        cv2.ellipse(goods, (width // 2, height // 2), (width // 3, height // 3), 0, 0, 360, 1, -1)
    rim = int(rng.integers(4, 10))
    outer = cv2.dilate(goods, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1)))
    down, across = (int(rng.integers(4, 12)) for _ in range(2))
    shadow = np.roll(outer, (down, across), (0, 1))
    stripes = ((np.add.outer(np.arange(height), np.arange(width)) // int(rng.integers(12, 40))) % 2)[..., None]
    ground = np.where(stripes, rng.integers(120, 255, 3), rng.integers(120, 255, 3)).astype(np.float32)
    made = ground * (1 - 0.45 * shadow[..., None])
    made = np.where(outer[..., None] > 0, 255, made)
    return np.where(goods[..., None] > 0, rgb, made).astype(np.uint8)


def make_pictures(genuine: Path, folder: Path, count: int, seed: int) -> dict[str, bool]:
    """Write `count` pictures, half of the new kind, half as they were; whether each is forged, by file name."""
    rng, truth = np.random.default_rng(seed), {}
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in genuine.rglob("*.jpg") if "/ai/" not in path.as_posix())
    for path in rng.permutation(np.array(paths, object)):
        if len(truth) == count:
            break
        try:
            rgb = decode(Path(path).read_bytes()).rgb
        except PictureError:
            continue
        scale = min(_SIDE / max(rgb.shape[:2]), 1.0)
        rgb = np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        forged = len(truth) % 2 == 0
        made = sticker(rgb, rng) if forged else rgb
        name = f"{seed}-{len(truth):04d}.jpg"
        cv2.imwrite(str(folder / name), made[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 96))])
        truth[name] = forged
    if len(truth) < count:
        sys.exit(f"{genuine}: {count} genuine pictures are needed, {len(truth)} were found")
    return truth


def rehearsal(base: Path, path: Path, count: int) -> Path:
    """Part of the base manifest: `count` training rows drawn at random, and every other row, for calibration.

    Tuning on new pictures only would forget the old ones. Heads are pulled towards their old weights, so few suffice.
    """
    from zhentu_training.dataset import read_manifest, write_manifest

    samples = read_manifest(base)
    train = [sample for sample in samples if sample.split == "train"]
    kept = {int(place) for place in np.random.default_rng(5).permutation(len(train))[:count]}
    chosen = [sample for place, sample in enumerate(train) if place in kept]
    write_manifest(chosen + [sample for sample in samples if sample.split != "train"], path)
    return path


def review(settings: Settings, folder: Path, truth: dict[str, bool]) -> int:
    """Screen, queue, and decide as two reviewers would; returns how many decisions were mistakes."""
    rng, mistakes = np.random.default_rng(11), 0
    screener, store = build_screener(settings, settings.worker_count), build_store(settings)
    for name in truth:
        record = screener.screen(Inquiry.of((folder / name).read_bytes(), name, Listing(goods="loop"))).record
        # What the model misses reaches reviewers as a sample; here all of it does, so that the demo stays small.
        store.append(replace(record, decision=replace(record.decision, action=Action.REVIEW)))
    store.close()
    with open_desk(settings) as desk:
        desk.filler.fill()
        for reviewer in ("anna", "bo") * len(truth):
            for item in desk.queue.claim(reviewer, count=2):
                forged = truth[desk.store.get(item.record_id).path]
                wrong = rng.random() < _MISTAKES
                mistakes += wrong
                outcome = ReviewOutcome.UPHOLD if forged != wrong else ReviewOutcome.OVERTURN
                category = "cutout_artifact" if outcome is ReviewOutcome.UPHOLD else ""
                desk.queue.decide(item.item_id, reviewer, outcome, category)
            if desk.queue.counts().open == 0:
                break
    return mistakes


@dataclass(frozen=True)
class Measured:
    """What a model does. flagged: new pictures, by file name.  scores, made: of the dev pictures, and their truth."""

    flagged: dict[str, bool]
    scores: np.ndarray
    made: np.ndarray

    def recall(self, truth: dict[str, bool]) -> float:
        """The share of the new kind that is not simply allowed."""
        return sum(self.flagged[name] for name, forged in truth.items() if forged) / sum(truth.values())

    def false_alarms(self, truth: dict[str, bool]) -> int:
        """How many genuine new pictures are not simply allowed."""
        return sum(self.flagged[name] for name, forged in truth.items() if not forged)

    def auc(self, drawn: np.ndarray | slice = slice(None)) -> float:
        """AUC of `forged` on the dev pictures, or on some of them."""
        scores, made = self.scores[drawn], self.made[drawn]
        return auc(scores[made], scores[~made]) or 0.0


def measure(settings: Settings, model: str, folder: Path, truth: dict[str, bool], base: Path) -> Measured:
    """Measure a model on the new pictures and on real pictures of the base's dev split."""
    from zhentu_training.dataset import read_manifest

    screener = build_screener(settings.changed({"models.active": model}), settings.worker_count)
    flagged = {}
    for name in truth:
        record = screener.screen(Inquiry.of((folder / name).read_bytes())).record
        flagged[name] = record.decision.action is not Action.ALLOW
    dev = [sample for sample in read_manifest(base) if sample.split == "dev" and not sample.recipe]
    dev = [dev[place] for place in np.random.default_rng(1).permutation(len(dev))[:_DEV]]
    scores = np.array([screener.detector.detect(decode(sample.path.read_bytes())).scores.forged for sample in dev])
    return Measured(flagged, scores, np.array([sample.forged for sample in dev]))


def compare(before: Measured, after: Measured, truth: dict[str, bool]) -> dict[str, object]:
    """Figures of both models, and the loss on the dev split with its 95 % interval (paired bootstrap over pictures)."""
    rng, count = np.random.default_rng(3), len(before.made)
    drawn = [rng.integers(0, count, count) for _ in range(1000)]
    low, high = np.quantile([before.auc(each) - after.auc(each) for each in drawn], [0.025, 0.975])
    figures: dict[str, object] = {
        name: {
            "recall_new_kind": round(each.recall(truth), 4),
            "false_alarms": each.false_alarms(truth),
            "dev_auc": round(each.auc(), 4),
        }
        for name, each in (("before", before), ("after", after))
    }
    return figures | {
        "new_pictures": {"forged": sum(truth.values()), "genuine": len(truth) - sum(truth.values())},
        "recall_rise": round(after.recall(truth) - before.recall(truth), 4),
        "dev_auc_loss": round(before.auc() - after.auc(), 4),
        "dev_auc_loss_interval": [round(float(low), 4), round(float(high), 4)],
    }


def main() -> None:
    """Run the whole loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genuine", type=Path, required=True, help="folder of genuine JPEGs")
    parser.add_argument("--base", type=Path, required=True, help="the training manifest so far")
    parser.add_argument("--config", type=Path, default=Path("configs/tune.yaml"), help="the new version's")
    parser.add_argument("--models", type=Path, default=models_folder(), help="the models folder to tune from")
    parser.add_argument("--work", type=Path, default=Path("runs/loop"))
    parser.add_argument("--reviewed", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--rehearse", type=int, default=800, help="how many training rows of the base are used again")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"{work}: already exists; remove it, or name another --work")
    shutil.copytree(arguments.models, work / "models")
    environment = {
        "ZHENTU_STORE_URL": f"sqlite:///{work / 'records.db'}",
        "ZHENTU_MODELS_DIR": str(work / "models"),
        "ZHENTU_REVIEW_PICTURES": str(work / "seen"),
        "ZHENTU_REVIEW_SECOND_RATIO": "0",
    }
    os.environ |= environment
    settings = load_settings()
    before = str(find_model(settings)[0].ref)  # in floating point where the processor has no 8-bit products
    seen = make_pictures(arguments.genuine, work / "seen", arguments.reviewed, seed=1)
    unseen = make_pictures(arguments.genuine, work / "unseen", arguments.held_out, seed=2)
    told = [_zhentu("model", "use", before)]
    mistakes = review(settings, work / "seen", seen)
    rehearsed = rehearsal(arguments.base, work / "base.csv", arguments.rehearse)
    told += [_zhentu("review", "export", str(work / "set"), "--add-to", str(rehearsed))]
    run = work / "run"
    manifest = str(work / "set" / "manifest.csv")
    pictures = ["--manifest", manifest, "--config", str(arguments.config), "--features", str(work / "features")]
    _python("zhentu_training.features", *pictures)
    _python(
        "zhentu_training.fit", *pictures, "--run", str(run), "--start-from", str(arguments.models), "--teach", "review"
    )
    _python("zhentu_training.export", "--run", str(run), "--models", str(work / "models"))
    after = Manifest.load(work / "models").active
    told += [_zhentu("model", "compare", before, after), _zhentu("model", "promote", after)]
    measured = [measure(settings, name, work / "unseen", unseen, arguments.base) for name in (before, after)]
    figures = compare(*measured, unseen)
    store = build_store(settings)
    found = {"reviewed": len(seen), "reviewers_mistakes": mistakes, "models": [before, after], **figures}
    found["in_force"] = ModelHistory(store.database).current()
    print("\n".join(told))
    print(json.dumps(found, indent=2))
    rose = measured[1].recall(unseen) > measured[0].recall(unseen)
    sys.exit(0 if rose and measured[0].auc() - measured[1].auc() <= 0.01 else 1)


def _python(module: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def _zhentu(*arguments: str) -> str:
    return _python("zhentu", *arguments).strip()


if __name__ == "__main__":
    main()
