"""Pictures drawn from folders, and written onto the disk or an error.

`cv2.imwrite` says nothing on a full disk and leaves half a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from zhentu.errors import PictureError, UsageError
from zhentu.intake.decode import decode


def pictures_in(folders: Sequence[Path], count: int, seed: int, least: int | None = None) -> list[Path]:
    """So many files that can be read as pictures, whatever their names, drawn at random.

    least: how many will do, `count` by default. Raises UsageError if there are fewer.
    """
    found = sorted(each for folder in folders for each in folder.rglob("*") if each.is_file())
    chosen: list[Path] = []
    for k in np.random.default_rng(seed).permutation(len(found)):
        if len(chosen) == count:
            break
        with suppress(PictureError):
            decode(found[k].read_bytes())
            chosen.append(found[k])
    least = count if least is None else least
    if len(chosen) < least:
        where = ", ".join(map(str, folders))
        raise UsageError(f"{where}: {len(chosen)} pictures that can be read, {least} are needed; name more folders")
    return chosen


def write_picture(path: Path, pixels: np.ndarray, options: Sequence[int] = ()) -> None:
    """Encode by the suffix (uint8, BGR or grey) and write. Raises OSError."""
    path.write_bytes(cv2.imencode(path.suffix, pixels, list(options))[1].tobytes())
