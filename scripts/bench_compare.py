"""Benchmark a comparison on one core: a new picture against references whose looks are cached, without decoding.

    OMP_NUM_THREADS=1 python scripts/bench_compare.py --pictures src/zhentu/samples --references 3 --rounds 3

Every picture is compared with the ones that follow it in the folder. Prints the median and the maximum in milliseconds:
for a new picture with cached references, for a cached one (comparing the pairs only), and with nothing cached.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2

from zhentu.bootstrap.models import build_comparer
from zhentu.detect.compare import Comparer
from zhentu.intake.decode import decode
from zhentu.settings import load_settings
from zhentu.types import Picture


def milliseconds(comparer: Comparer, picture: Picture, references: list[Picture]) -> float:
    """Processor time of one comparison; with one thread on an idle core, that equals wall-clock time."""
    began = time.process_time()
    comparer.compare(picture, references)
    return (time.process_time() - began) * 1e3


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("src/zhentu/samples"))
    parser.add_argument("--references", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with suppress(AttributeError, OSError):  # not on every system
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    comparer = build_comparer(load_settings())
    assert comparer is not None, "there is no comparison model in the models folder"  # noqa: S101
    pictures = [decode(path.read_bytes()) for path in sorted(arguments.pictures.glob("*.jpg"))]
    count = arguments.references
    comparer.compare(pictures[0], pictures[1 : 1 + count])  # opens the sessions
    told: dict[str, list[float]] = {"new picture": [], "kept picture": [], "nothing kept": []}
    for turn in range(arguments.rounds):
        for k, picture in enumerate(pictures):
            references = [pictures[(k + step) % len(pictures)] for step in range(1, count + 1)]
            # Looks are cached by sha256, so the same pixels under another sha256 are looked at again.
            unseen = [replace(each, sha256=f"{turn}-{k}-{j}") for j, each in enumerate([picture, *references])]
            if turn == 0:
                told["nothing kept"].append(milliseconds(comparer, *_first(unseen)))
            comparer.compare(picture, references)
            told["new picture"].append(milliseconds(comparer, replace(picture, sha256=f"new-{turn}-{k}"), references))
            told["kept picture"].append(milliseconds(comparer, picture, references))
    print(f"{comparer.model}, {count} references, {len(pictures)} pictures, one core, ms beyond decoding:")
    for name, spent in told.items():
        print(f"{name}: median {statistics.median(spent):.0f}, most {max(spent):.0f} of {len(spent)}")


def _first(pictures: list[Picture]) -> tuple[Picture, list[Picture]]:
    return pictures[0], pictures[1:]


if __name__ == "__main__":
    main()
