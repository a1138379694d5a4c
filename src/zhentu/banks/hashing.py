"""Fingerprints of a picture: sha256 of its bytes, PDQ of its look, and a colour signature: PDQ is blind to colour.

PDQ is computed here after the published description (Meta, "The TMK+PDQF video-hashing algorithm and the PDQ
image-hashing algorithm", 2019): `pdqhash` ships no wheels and would need a compiler on every machine. The oracle test
compares both bit by bit.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.types import Fingerprint, Picture

MATCH_DISTANCE = 31  # of 256 bits: the published threshold for "the same picture"
HASH_BYTES = 32
COLOUR_BYTES = 48

_SIDE = 64  # the hash looks at 64 x 64 luma values
_COEFFICIENTS = 16
_SMALL = 512  # pixels a side up to which luma is kept in floating point
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_COLOUR_SIDE = 4
_COLOUR_SCALE = 441.673  # sqrt(3) * 255: the distance from black to white


def fingerprint_of(picture: Picture) -> Fingerprint:
    """The fingerprint of a decoded picture; a few milliseconds."""
    pdq, quality = pdq_hash(picture.rgb)
    return Fingerprint(picture.sha256, pdq, quality, colour_signature(picture.rgb))


def pdq_hash(rgb: npt.NDArray[np.uint8]) -> tuple[bytes, int]:
    """PDQ of an uint8 array (height, width, 3), sRGB: 32 bytes and a quality in 0..100."""
    height, width = rgb.shape[:2]
    if max(height, width) <= _SMALL:
        luma = cv2.transform(rgb.astype(np.float32), _LUMA.reshape(1, 3)).reshape(height, width)
    else:  # whole grey levels: the mean over at least 25 pixels that follows hides the rounding
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    # Filtering and decimation are linear and separable: a few weights per axis do both at once.
    small = luma.astype(np.float32) if (height, width) == (_SIDE, _SIDE) else _reduce(_reduce(luma).T).T
    frequencies = _dct() @ small @ _dct().T
    bits = frequencies.ravel()[::-1] > _median(frequencies)
    return np.packbits(bits).tobytes(), _quality(small)


def hamming(one: bytes, other: bytes) -> int:
    """Bits that differ between two hashes of the same length."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def colour_signature(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Mean colour of 4 x 4 cells, as 48 bytes: the second signal beside PDQ, which is blind to colour."""
    size = (_COLOUR_SIDE, _COLOUR_SIDE)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8).tobytes()


def colour_distance(one: bytes, other: bytes) -> float:
    """Distance of two colour signatures: the largest of the cells' distances in sRGB, 0 same, 1 black to white.

    The largest, not the mean: goods recoloured in the middle of a white ground must not hide behind the ground.
    """
    cells = np.frombuffer(one, np.uint8).astype(np.float32) - np.frombuffer(other, np.uint8)
    return float(np.sqrt((cells.reshape(-1, 3) ** 2).sum(axis=1)).max()) / _COLOUR_SCALE


def _reduce(luma: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """(length, n) -> (64, n) along the first axis."""
    reduced = np.empty((_SIDE, luma.shape[1]), np.float32)
    for row, (first, weights) in enumerate(_tents(luma.shape[0])):
        reduced[row] = weights @ luma[first : first + len(weights)].astype(np.float32)
    return reduced


@lru_cache(maxsize=256)
def _tents(length: int) -> tuple[tuple[int, npt.NDArray[np.float32]], ...]:
    """For each cell its first pixel and weights: two box filters, cut at the edges, read at the centres of 64 cells."""
    window = (length + 2 * _SIDE - 1) // (2 * _SIDE)
    after = (window + 2) // 2

    def box(place: int) -> tuple[int, int]:
        return max(place - (window - after), 0), min(place + after, length)

    tents = []
    for cell in range(_SIDE):
        outer_first, outer_end = box(int((cell + 0.5) * length / _SIDE))
        first, end = box(outer_first)[0], box(outer_end - 1)[1]
        weights = np.zeros(end - first)
        for place in range(outer_first, outer_end):
            inner_first, inner_end = box(place)
            weights[inner_first - first : inner_end - first] += 1 / (inner_end - inner_first)
        tents.append((first, (weights / (outer_end - outer_first)).astype(np.float32)))
    return tuple(tents)


@lru_cache(maxsize=1)
def _dct() -> npt.NDArray[np.float32]:
    """(16, 64): the cosine transform's rows 1 to 16."""
    rows, columns = np.arange(1, _COEFFICIENTS + 1)[:, None], np.arange(_SIDE)[None, :]
    waves = np.sqrt(2 / _SIDE) * np.cos(np.pi / 2 / _SIDE * rows * (2 * columns + 1))
    return np.asarray(waves, dtype=np.float32)


def _median(values: npt.NDArray[np.floating]) -> float:
    """The lower median, so that 128 of 256 distinct values lie above it."""
    middle = values.size // 2 - 1
    return float(np.partition(values.ravel(), middle)[middle])


def _quality(small: npt.NDArray[np.float32]) -> int:
    """Counts significant gradients; the constants are those of the publication."""
    total = 0
    for axis in (0, 1):
        steps = np.diff(small, axis=axis) * 100 / 255
        total += int(np.abs(np.trunc(steps)).sum())
    return min(total // 90, 100)
