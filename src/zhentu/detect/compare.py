"""A picture against pictures that are known to show the real goods: only this can prove a material mismatch.

Both are looked at alone, once: the goods are found, cut out and encoded (kept by sha256). Then each pair is measured,
and small heads answer: the same goods? the same colour, texture, print, construction?
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from zhentu.detect.canvas import SIDE, Canvas, FloatArray, canvas_of, view_of
from zhentu.detect.entries import ComparerEntry, WeightsFile
from zhentu.detect.figures import NAMES, Measured, measure
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.heatmap import LONG_SIDE
from zhentu.detect.look import Look, weight_of
from zhentu.detect.models import read_golden
from zhentu.detect.questions import ANSWERED, QUESTIONS
from zhentu.detect.sessions import Network, Opened, open_network
from zhentu.digest import digest_of
from zhentu.errors import ModelError, UsageError
from zhentu.types import (
    Answer,
    Category,
    Comparison,
    Heatmap,
    ModelRef,
    Picture,
    Question,
    QuestionAnswer,
    Runtime,
    Threshold,
)

MOST_REFERENCES = 16
# Of a probability: processors round differently, and key points move with it; with 8 or 16 bits a figure may cross the
# threshold of a tree. An altered model is further off.
GOLDEN_TOLERANCE, ROUNDED_TOLERANCE = 2e-2, 0.15
_LOOKS_KEPT = 48  # 2 MB each
_CLEAR = 0.6  # share of the unlike places' scale: where a place is that unlike, the map is full


class Comparer:
    """One comparison model, encoder and heads; `compare` may be called from several threads at once.

    Tolerant of pose, light, ground, crop and camera; sensitive to material, texture, pattern, colour and construction.
    runtime: what calculates the encoder; the heads, a millisecond of trees, are always ONNX Runtime's.  integer: take
    the encoder with 8-bit products, if there is one.
    Both are opened when first asked, because most processes never are: `compare` and `verify_golden` raise ModelError
    when a file is missing or altered, or when the heads take other figures than this version measures.
    """

    def __init__(
        self,
        entry: ComparerEntry,
        folder: Path,
        finder: GoodsFinder,
        threads: int = 1,
        runtime: Runtime = Runtime.ONNXRUNTIME,
        integer: bool = False,
    ) -> None:
        self._entry, self._folder, self._finder = entry, folder, finder
        self._threads, self._runtime = threads, runtime
        self._encoder = (entry.integer if integer else None) or WeightsFile(entry.file, entry.sha256)
        self._networks = Opened(self._open)
        self._keeping = Lock()
        self._looks: OrderedDict[str, Look] = OrderedDict()

    @property
    def model(self) -> ModelRef:
        """Name, version, and one sha256 over everything that decides: its files, its levels and the goods finder."""
        entry = self._entry
        parts = [self._encoder.sha256, entry.heads.sha256, entry.calibration, entry.levels, self._finder.model.sha256]
        return ModelRef(entry.name, self._runtime.marks(entry.version), digest_of(parts))

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The limit that ships with it: the score that at most one in a hundred true matches reaches."""
        return self._entry.thresholds

    def compare(self, picture: Picture, references: Sequence[Picture]) -> Comparison:
        """Whether the picture shows the goods of the references; the most similar reference speaks.

        A seller's references show the goods from several sides: the picture need agree with one of them only.
        Raises UsageError without references or with more than 16.
        """
        if not 1 <= len(references) <= MOST_REFERENCES:
            raise UsageError(f"{len(references)} references were given; give 1 to {MOST_REFERENCES}")
        own, *looks = self._looked_at([picture, *references])
        measured = [measure(own, look) for look in looks]
        scores = self._scores(measured)
        best = int(np.argmin(scores[:, 0]))
        found = own.found and looks[best].found
        answer, answers = self._answered(scores[best], found)
        return Comparison(
            score=float(scores[best, 0]),
            similarity=float(np.clip(measured[best].figures[_SIMILARITY], 0, 1)),
            reference_sha256=references[best].sha256,
            model=self.model,
            difference=over_picture(measured[best].unlike, own.canvas, picture),
            answer=answer,
            answers=answers,
            agreeing=sum(self._answer("mismatch", float(score)) is Answer.SAME for score in scores[:, 0]),
            compared=len(references),
            goods_found=found,
            reference_difference=over_picture(measured[best].unlike_back, looks[best].canvas, references[best]),
        )

    def scores_of(self, first: Picture, second: Picture) -> FloatArray:
        """Calibrated probabilities (6,) in the order of ANSWERED, for two pictures."""
        one, other = self._looked_at([first, second])
        return np.asarray(self._scores([measure(one, other)])[0])

    def verify_golden(self, samples: Path) -> float:
        """Compare the golden pairs and return the largest difference. Raises ModelError above the tolerance."""
        worst = self._finder.verify_golden(samples)
        exact = self._runtime is Runtime.ONNXRUNTIME and self._encoder.file == self._entry.file
        tolerance = GOLDEN_TOLERANCE if exact else ROUNDED_TOLERANCE
        for golden in self._entry.golden:
            names = golden.picture, golden.reference
            first, second = (read_golden(samples, name, self.model) for name in names)
            difference = abs(float(self.scores_of(first, second)[0]) - golden.score)
            if difference > tolerance:
                raise ModelError(
                    f"{self.model}: {golden.picture} against {golden.reference} is off by {difference:.4f} "
                    f"(tolerance {tolerance}); this processor or runtime gives other results than the tested "
                    "ones: upgrade onnxruntime, or leave references out"
                )
            worst = max(worst, difference)
        return worst

    def _answered(self, scores: FloatArray, goods_found: bool) -> tuple[Answer, tuple[QuestionAnswer, ...]]:
        """The answer to the whole, and to each question.

        "The same goods" is not said when the whole cannot be told, nor when it differs and no goods were found: the
        heads have learnt from no such pictures.
        """
        whole = self._answer("mismatch", float(scores[0]))
        answers = []
        for question, score in zip(QUESTIONS, scores[1:].tolist(), strict=True):
            answer = self._answer(question.value, score)
            unsure = whole is Answer.CANNOT_TELL or (whole is Answer.DIFFERS and not goods_found)
            if question is Question.PRODUCT and answer is Answer.SAME and unsure:
                answer = Answer.CANNOT_TELL
            answers.append(QuestionAnswer(question, answer, score))
        return whole, tuple(answers)

    def _answer(self, output: str, score: float) -> Answer:
        levels = self._entry.levels[output]
        if score >= levels.differs:
            return Answer.DIFFERS
        return Answer.SAME if score <= levels.same else Answer.CANNOT_TELL

    def _scores(self, measured: Sequence[Measured]) -> FloatArray:
        """Calibrated probabilities (pairs, ANSWERED)."""
        _, heads = self._networks()
        (logits,) = heads.run(("logits",), {"figures": np.stack([each.figures for each in measured])})
        columns = np.asarray(logits).T
        platts = [self._entry.calibration[name] for name in ANSWERED]
        found = [platt.probability(column) for platt, column in zip(platts, columns, strict=True)]
        return np.stack(found, 1).astype(np.float32)

    def _looked_at(self, pictures: Sequence[Picture]) -> list[Look]:
        """A look at each; those seen before are not looked at again."""
        with self._keeping:
            known = {each.sha256: self._looks[each.sha256] for each in pictures if each.sha256 in self._looks}
        new = list({each.sha256: each for each in pictures if each.sha256 not in known}.values())
        if new:
            known |= zip([each.sha256 for each in new], self._look(new), strict=True)
        with self._keeping:
            for each in pictures:
                self._looks[each.sha256] = known[each.sha256]
                self._looks.move_to_end(each.sha256)
            while len(self._looks) > _LOOKS_KEPT:
                self._looks.popitem(last=False)
        return [known[each.sha256] for each in pictures]

    def _look(self, pictures: Sequence[Picture]) -> list[Look]:
        encoder, _ = self._networks()
        goods = [self._finder.find(picture) for picture in pictures]
        canvases = [canvas_of(picture.rgb, found) for picture, found in zip(pictures, goods, strict=True)]
        views, weights = ([make(each) for each in canvases] for make in (view_of, weight_of))
        given = encoder.run(("tokens", "classes", "identity"), {"views": np.stack(views), "weights": np.stack(weights)})
        return [
            Look.of(canvas, [np.asarray(each)[k] for each in given], goods[k].found)
            for k, canvas in enumerate(canvases)
        ]

    def _open(self) -> tuple[Network, Network]:
        """Encoder and heads."""
        entry, folder, chosen = self._entry, self._folder, self._encoder
        if entry.figures != NAMES:
            raise ModelError(
                f"{self.model}: its heads take {len(entry.figures)} figures that this version of zhentu does not "
                "measure; install the version it was made with, or export it anew"
            )
        path, trees = folder / chosen.file, folder / entry.heads.file
        encoder = open_network(path, chosen.sha256, entry.weights, self._threads, self._runtime)
        return encoder, open_network(trees, entry.heads.sha256, (), self._threads, Runtime.ONNXRUNTIME)


def over_picture(unlike: FloatArray, canvas: Canvas, picture: Picture) -> Heatmap:
    """A map over the canvas, (places, places), laid over the whole picture; 0 where the canvas does not reach."""
    scale = LONG_SIDE / max(picture.height, picture.width)
    rows, columns = max(round(picture.height * scale), 1), max(round(picture.width * scale), 1)
    x = ((np.arange(columns) + 0.5) / columns * picture.width - canvas.corner[0]) * canvas.scale
    y = ((np.arange(rows) + 0.5) / rows * picture.height - canvas.corner[1]) * canvas.scale
    places = unlike.shape[0] / SIDE
    grid_x, grid_y = np.meshgrid(x * places - 0.5, y * places - 0.5)
    grid = cv2.remap(
        unlike / _CLEAR, grid_x.astype(np.float32), grid_y.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    return Heatmap(np.asarray(grid, np.float32).clip(0, 1), Category.MATERIAL_MISMATCH)


_SIMILARITY = NAMES.index("place1.mean")
