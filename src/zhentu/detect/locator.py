"""Where a picture was forged, for each of the five: a small convolutional network over the traces of its cells.

It is asked for heatmaps alone, costs a few milliseconds beside the traces, and depends on no other model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from zhentu.detect.calibration import sigmoid
from zhentu.detect.entries import LocatorEntry
from zhentu.detect.models import Manifest
from zhentu.detect.sessions import Opened, open_session
from zhentu.detect.traces import traces_of
from zhentu.detect.views import RgbArray
from zhentu.types import ModelRef

_PROVIDERS = ("CPUExecutionProvider",)  # done before a GPU would have its input


class Locator:
    """One ONNX Runtime session, opened when first asked; `find` may be called from several threads.

    Raises ModelError if its file is missing or altered.
    """

    def __init__(self, entry: LocatorEntry, folder: Path, threads: int = 1) -> None:
        self._entry = entry
        self._session = Opened(lambda: open_session(folder / entry.file, entry.sha256, (), threads, _PROVIDERS))

    @staticmethod
    def of(folder: Path, threads: int = 1) -> Locator | None:
        """That of a models folder, None if it holds none."""
        entry = Manifest.load(folder).locator
        return None if entry is None else Locator(entry, folder, threads)

    @property
    def model(self) -> ModelRef:
        """Name, version and sha256 of the network."""
        return self._entry.ref

    def find(self, rgb: RgbArray) -> npt.NDArray[np.float32]:
        """How surely each cell of a picture, uint8 RGB (height, width, 3), was forged, if the picture was.

        float32 (5, CELLS, CELLS) in the order of `CATEGORIES`, over the whole picture.
        """
        (logits,) = self._session().run(("maps",), {"traces": traces_of(rgb)[np.newaxis]})
        return sigmoid(np.asarray(logits)[0]).astype(np.float32)
