"""Whether one picture is a copy of another or of most of it: resized, re-encoded, cropped a little, mirrored.

PDQ alone loses a picture that was cropped by more than 2 % a side. So the part of the original that the copy shows is
sought first, at a low resolution, and PDQ and colours are compared with that part, by the limits of the banks. An
edited picture lies as near to the photograph it was made from; the cell that differs most tells them apart.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.banks.entries import COLOUR_LIMIT
from zhentu.banks.hashing import MATCH_DISTANCE, colour_distance, colour_signature, hamming, pdq_hash
from zhentu.intake.frames import CELL_PIXELS, SAME_SCENE, by_cells, differences
from zhentu.types import LEAST_QUALITY, Picture

_SEEN, _SOUGHT = 512, 256  # longer side in pixels: of what is compared, and of what the part is sought in
_SHARES = np.linspace(1.0, 0.8, 21)  # of the side that was cropped less
_LEAST_SHARE, _LEAST_SIDE = 0.75, 8
Rgb = npt.NDArray[np.uint8]


def copied_bits(original: Picture, copy: Picture) -> int | None:
    """How many of 256 bits of PDQ differ, if `copy` is a copy of `original` or of most of it; None if it is none."""
    whole, seen = _fitted(original.rgb, _SEEN), _fitted(copy.rgb, _SEEN)
    found = (_bits(whole, each) for each in (seen, np.ascontiguousarray(seen[:, ::-1])))
    return min((each for each in found if each is not None), default=None)


def _bits(original: Rgb, copy: Rgb) -> int | None:
    part = _part_shown(original, copy)
    if part is None:
        return None
    (one, quality), (other, other_quality) = pdq_hash(part), pdq_hash(copy)
    bits = hamming(one, other)
    if min(quality, other_quality) < LEAST_QUALITY or bits > MATCH_DISTANCE:
        return None
    if colour_distance(colour_signature(part), colour_signature(copy)) > COLOUR_LIMIT:
        return None
    cells = [by_cells(_resized(each, (CELL_PIXELS, CELL_PIXELS)).astype(np.float32)) for each in (part, copy)]
    return bits if float(differences(cells[0][None], cells[1])[0]) <= SAME_SCENE else None


def _part_shown(original: Rgb, copy: Rgb) -> Rgb | None:
    """The part of `original` that looks most like `copy`, of the same proportions; None if no large part has them."""
    small = cv2.cvtColor(_fitted(original, _SOUGHT), cv2.COLOR_RGB2GRAY)
    height, width = small.shape
    ratio = copy.shape[0] / copy.shape[1]
    best, found = -2.0, None
    for share in _SHARES:
        across = share * min(width, height / ratio)
        size = round(across), round(across * ratio)
        if min(size) < _LEAST_SIDE or size[0] < _LEAST_SHARE * width or size[1] < _LEAST_SHARE * height:
            continue
        sought = cv2.cvtColor(_resized(copy, size), cv2.COLOR_RGB2GRAY)
        _, likeness, _, place = cv2.minMaxLoc(cv2.matchTemplate(small, sought, cv2.TM_CCOEFF_NORMED))
        if likeness > best:
            best, found = likeness, (place[0] / width, place[1] / height, size[0] / width, size[1] / height)
    if found is None:
        return None
    (rows, columns), (left, top, across, down) = original.shape[:2], found
    x, y = round(left * columns), round(top * rows)
    return np.ascontiguousarray(original[y : y + round(down * rows), x : x + round(across * columns)])


def _fitted(rgb: Rgb, most: int) -> Rgb:
    height, width = rgb.shape[:2]
    scale = min(most / max(height, width), 1.0)
    return rgb if scale == 1.0 else _resized(rgb, (max(round(width * scale), 1), max(round(height * scale), 1)))


def _resized(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
