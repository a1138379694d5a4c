"""How many pictures the whole look settles, and whether any verdict would have been another with the crops looked at.

    python scripts/settled.py --genuine ../shared/data/dev/genuine --made ../shared/data/dev/ai --count 400

The model in force, cascade and full look on the same pictures. A verdict is which thresholds of a profile the scores
reach, in any of the three profiles. Pictures that taught the model are settled more surely than strangers': the model
card has the shares of sources that the judging heads had not seen.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
from scipy.stats import binomtest

from zhentu.bootstrap.screener import build_screener
from zhentu.detect.detector import Detector
from zhentu.detect.views import make_views
from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu.settings import load_settings
from zhentu.types import Profile, Scores

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Both:
    """What the cascade and the full look say of one picture. differs: the largest difference of a probability."""

    settled: bool
    same_verdict: bool
    differs: float


def verdict(detector: Detector, scores: Scores) -> tuple[bool, ...]:
    """Whether each threshold of each profile is reached."""
    said = scores.as_dict()
    return tuple(
        said[threshold.category.value] >= threshold.value
        for profile in Profile
        for threshold in detector.entry.thresholds_for(profile, {})
    )


def both(detector: Detector, path: Path) -> Both | None:
    """One picture, looked at both ways; None if it cannot be read."""
    try:
        views = make_views(decode(path.read_bytes()).rgb, detector.entry.views)
    except PictureError as error:
        print(f"{path}: {error}")
        return None
    first, full = detector.look(views), detector.scores_of(detector.both_looks(views))
    cascade = detector.scores_of(first)
    one, other = cascade.as_dict(), full.as_dict()
    differs = max(abs(one[name] - other[name]) for name in one)
    return Both(first.crops is None, verdict(detector, cascade) == verdict(detector, full), differs)


def drawn(folder: Path, count: int) -> list[Path]:
    """So many of a folder's pictures, the same in every run."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    return random.Random(7).sample(paths, min(count, len(paths)))


def told(name: str, found: Sequence[Both]) -> Iterator[str]:
    """What was found in one class, for people."""
    settled, other = sum(each.settled for each in found), sum(not each.same_verdict for each in found)
    yield f"{name}: {len(found)} pictures, settled {settled / len(found):.3f} [{limits(settled, len(found))}]"
    yield f"  another verdict {other} of {len(found)} [{limits(other, len(found))}]"
    yield f"  largest difference of a probability {max((each.differs for each in found), default=0):.3f}"


def limits(hits: int, count: int) -> str:
    """The 95 % limits of a share (Wilson 1927)."""
    told = binomtest(hits, count).proportion_ci(method="wilson")
    return f"{told.low:.4f}, {told.high:.4f}"


def main() -> None:
    """Look at both classes and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genuine", type=Path, required=True)
    parser.add_argument("--made", type=Path, required=True)
    parser.add_argument("--count", type=int, default=400, help="pictures of each class")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    detector = build_screener(load_settings()).detector
    assert isinstance(detector, Detector)  # noqa: S101 - the port's only implementation outside tests
    print(detector.model)
    with ThreadPoolExecutor(arguments.workers) as pool:
        for name, folder in (("genuine", arguments.genuine), ("AI-made", arguments.made)):
            rows = pool.map(lambda path: both(detector, path), drawn(folder, arguments.count))
            print("\n".join(told(name, [row for row in rows if row is not None])), flush=True)


if __name__ == "__main__":
    main()
