"""The comparison of zhentu-compare 0.1.0: one graph over whole pictures, one score.

It stands in until a `compare.Comparer` is fitted on enough goods; it cannot say what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime as ort

from zhentu.detect.compare import MOST_REFERENCES
from zhentu.detect.models import PlacesEntry
from zhentu.detect.sessions import open_session
from zhentu.detect.views import whole_view
from zhentu.errors import ModelError, UsageError
from zhentu.intake.decode import decode
from zhentu.types import Answer, Category, Comparison, Heatmap, ModelRef, Picture, Threshold

GOLDEN_TOLERANCE = 5e-3  # of a probability: processors round differently


class PlacesComparer:
    """One comparison model in one ONNX Runtime session; `compare` may be called from several threads at once.

    Tolerant of pose, light, ground, crop and camera; sensitive to material, texture, pattern, colour and construction.
    The session is opened when first asked, because most processes never are: `compare` and `verify_golden` raise
    ModelError when a file is missing or altered.
    """

    def __init__(
        self,
        entry: PlacesEntry,
        folder: Path,
        threads: int = 1,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self._entry, self._folder = entry, folder
        self._threads, self._providers = threads, providers
        self._session: ort.InferenceSession | None = None
        self._opening = Lock()

    @property
    def model(self) -> ModelRef:
        """Name, version and sha256 of the model."""
        return self._entry.ref

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The limit for review: the score that at most one in a hundred true matches reaches."""
        return self._entry.thresholds

    def compare(self, picture: Picture, references: Sequence[Picture]) -> Comparison:
        """How likely the picture shows other goods than the references; the most similar reference speaks.

        A seller's references show the goods from several sides: the picture need agree with one of them only.
        Raises UsageError without references or with more than 16.
        """
        if not 1 <= len(references) <= MOST_REFERENCES:
            raise UsageError(f"{len(references)} references were given; give 1 to {MOST_REFERENCES}")
        views = np.stack([whole_view(each.rgb, self._entry.view_size) for each in (picture, *references)])
        logits, likeness, maps = self._opened().run(("logits", "likeness", "map"), {"views": views})
        scores = self._entry.calibration.probability(np.asarray(logits))
        best = int(np.argmin(scores))
        return Comparison(
            score=float(scores[best]),
            similarity=float(np.clip(np.asarray(likeness)[best], 0, 1)),
            reference_sha256=references[best].sha256,
            model=self.model,
            # Where nothing alike was found in the reference.
            difference=Heatmap((1 - np.asarray(maps)[best]).clip(0, 1).astype(np.float32), Category.MATERIAL_MISMATCH),
            answer=self._answer(float(scores[best])),
            agreeing=int((scores < self._entry.review_threshold).sum()),
            compared=len(references),
        )

    def _answer(self, score: float) -> Answer:
        """Two answers, as this model was shipped: it has no level from which it cannot tell."""
        return Answer.DIFFERS if score >= self._entry.review_threshold else Answer.SAME

    def _opened(self) -> ort.InferenceSession:
        with self._opening:
            if self._session is None:
                entry, path = self._entry, self._folder / self._entry.file
                self._session = open_session(path, entry.sha256, entry.weights, self._threads, self._providers)
            return self._session

    def verify_golden(self, samples: Path) -> float:
        """Compare the golden pairs and return the largest difference. Raises ModelError above the tolerance."""
        worst = 0.0
        for golden in self._entry.golden:
            paths = samples / golden.picture, samples / golden.reference
            missing = [str(path) for path in paths if not path.is_file()]
            if missing:
                raise ModelError(f"{self.model}: golden pictures are missing: {', '.join(missing)}; reinstall zhentu")
            first, second = (decode(path.read_bytes()) for path in paths)
            difference = abs(self.compare(first, [second]).score - golden.score)
            if difference > GOLDEN_TOLERANCE:
                raise ModelError(
                    f"{self.model}: {golden.picture} against {golden.reference} is off by {difference:.4f} "
                    f"(tolerance {GOLDEN_TOLERANCE}); this processor or runtime gives other results than the tested "
                    "ones: upgrade onnxruntime, or leave references out"
                )
            worst = max(worst, difference)
        return worst
