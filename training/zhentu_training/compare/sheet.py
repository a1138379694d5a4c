"""Twelve comparisons side by side with both heatmaps, four of them failures, for the model card.

    python -m zhentu_training.compare.sheet --out models/comparison.png

Only the package's own samples are shown, and forgeries made of them here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from zhentu.detect.compare import Comparer
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.heatmap import render
from zhentu.detect.models import Manifest, samples_folder
from zhentu.intake.decode import decode
from zhentu.types import Answer, Comparison, Picture
from zhentu_training.commands import errors_said_plainly
from zhentu_training.compare.pairs import ALTERED, Framing, Matted, altered, matted, view
from zhentu_training.forge.base import Materials

_GOODS = ("rendered_mug", "rendered_stool", "genuine_cup", "genuine_cat", "genuine_motorcycle", "genuine_rocket")
_FAILURES, _ROWS = 4, 12
_TILE, _CAPTION = 150, 34


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One comparison. kind: how the picture was altered; "match", or "other goods"."""

    name: str
    kind: str
    picture: Picture
    reference: Picture
    found: Comparison

    @property
    def failed(self) -> bool:
        """Whether the answer is not the true one; "cannot tell" is none either."""
        return self.found.answer is not (Answer.SAME if self.kind == "match" else Answer.DIFFERS)


def cases(comparer: Comparer, finder: GoodsFinder, seed: int) -> Iterator[Case]:
    """Each of the samples against another view of it, each of its alterations, and the next sample."""
    materials = Materials(textures=(samples_folder() / "genuine_bricks.jpg",))
    goods = {name: matted(samples_folder() / f"{name}.jpg", finder) for name in _GOODS}
    known = [(name, each) for name, each in goods.items() if each is not None]
    for k, (name, own) in enumerate(known):
        rng = np.random.default_rng([seed, k])
        reference = _shown(own, rng)
        others: list[tuple[str, Matted | None]] = [("match", own), ("other goods", known[(k + 1) % len(known)][1])]
        others += [(kind, altered(own, kind, materials, rng)) for kind in ALTERED]
        for kind, shown in others:
            if shown is not None:
                picture = _shown(shown, rng)
                yield Case(name, kind, picture, reference, comparer.compare(picture, [reference]))


def chosen(every: list[Case]) -> list[Case]:
    """Right answers first, then failures; kinds and samples in turn."""
    kept: list[Case] = []
    for failed, most in ((False, _ROWS - _FAILURES), (True, _FAILURES)):
        left = [case for case in every if case.failed is failed]
        for _ in range(min(most, len(left))):
            best = min(left, key=lambda case: (_times(kept, "kind", case), _times(kept, "name", case)))
            left.remove(best)
            kept.append(best)
    return kept


def sheet_of(shown: list[Case]) -> np.ndarray:
    """BGR: two columns of rows; each picture with its map, then its reference with its map."""
    rows = [_row(case) for case in shown]
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    return np.concatenate([np.concatenate(rows[k : k + 2], 1) for k in range(0, len(rows), 2)])


def _shown(goods: Matted, rng: np.random.Generator) -> Picture:
    rgb = view(goods, Framing(int(rng.integers(2**31))), (), rng)
    return decode(
        cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    )


def _times(kept: list[Case], what: str, case: Case) -> int:
    return sum(getattr(each, what) == getattr(case, what) for each in kept)


def _row(case: Case) -> np.ndarray:
    found = case.found
    tiles = []
    for picture, heatmap in ((case.picture, found.difference), (case.reference, found.reference_difference)):
        tiles.append(_tile(cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR)))
        drawn = None
        if heatmap is not None:
            drawn = cv2.imdecode(np.frombuffer(render(picture, heatmap), np.uint8), cv2.IMREAD_COLOR)
        tiles.append(tiles[-1] if drawn is None else _tile(drawn))
    caption = np.full((_CAPTION, 4 * _TILE, 3), 235 if not case.failed else (205, 205, 255), np.uint8)
    differing = ", ".join(found.differing) or "-"
    first = f"{case.name.split('_')[1]}, {case.kind}: {'FAILED, ' if case.failed else ''}says {found.answer.value}"
    second = f"mismatch {found.score:.2f}; differs: {differing}"
    for place, text in enumerate((first, second)):
        cv2.putText(caption, text, (5, 13 + 15 * place), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cv2.copyMakeBorder(np.concatenate([caption, np.concatenate(tiles, 1)]), 2, 2, 2, 2, cv2.BORDER_CONSTANT,
                              value=(255, 255, 255))  # fmt: skip


def _tile(bgr: np.ndarray) -> np.ndarray:
    scale = _TILE / max(bgr.shape[:2])
    size = max(round(bgr.shape[1] * scale), 1), max(round(bgr.shape[0] * scale), 1)
    small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    tile = np.full((_TILE, _TILE, 3), 255, np.uint8)
    top, left = (_TILE - size[1]) // 2, (_TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


@errors_said_plainly()
def main() -> None:
    """Compare, choose, write the sheet and say how all of them came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--out", type=Path, default=Path("models/comparison.png"))
    parser.add_argument("--seed", type=int, default=20261127)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    manifest = Manifest.load(arguments.models)
    entry, finder_entry = manifest.comparer, manifest.finder
    assert entry is not None, "the models hold no comparison"  # noqa: S101
    assert finder_entry is not None, "the models hold no finder"  # noqa: S101
    finder = GoodsFinder(finder_entry, arguments.models)
    every = list(cases(Comparer(entry, arguments.models, finder), finder, arguments.seed))
    sheet = Image.fromarray(cv2.cvtColor(sheet_of(chosen(every)), cv2.COLOR_BGR2RGB))
    sheet.quantize(128).save(arguments.out, optimize=True)  # a third of the bytes, in a wheel that many download
    for answer in Answer:
        own = [case.kind for case in every if case.found.answer is answer]
        print(f"{answer.value}: {len(own)}, {own.count('match')} of them matches")


if __name__ == "__main__":
    main()
