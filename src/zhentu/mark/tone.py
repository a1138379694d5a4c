"""High dynamic range values (PQ, HLG) converted to sRGB when a picture must be re-encoded in 8 bits.

ITU-R BT.2100 gives the curves, BT.2087 the way from BT.2020 to BT.709, BT.2408 the white of graphics: 203 cd/m2, which
becomes sRGB white. What is brighter is compressed above a knee, so that highlights keep their shape.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zhentu.intake.containers.block import ColourCoding

_WHITE = 203.0  # cd/m2
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_TO_709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020, _KNEE = 9, 0.8
_ROWS = 256  # rows at a time bound the memory


def to_srgb(pixels: npt.NDArray[np.uint8], coding: ColourCoding) -> npt.NDArray[np.uint8]:
    """Full-range RGB of shape (height, width, 3), coded in PQ or HLG, as sRGB of the same shape."""
    brought = np.empty_like(pixels)
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    table = _pq(levels) if coding.curve == "PQ" else _hlg(levels)
    for start in range(0, len(pixels), _ROWS):
        light = table[pixels[start : start + _ROWS]]
        if coding.curve == "HLG":  # scene light to what a display of 1000 cd/m2 shows
            luma = np.maximum(light @ _LUMA, 1e-6)[..., None]
            light = light * luma ** (_HLG_GAMMA - 1) * np.float32(_HLG_PEAK / _WHITE)
        if coding.primaries == _BT2020:
            light = light @ _TO_709.T
        brought[start : start + _ROWS] = _srgb(_compressed(np.maximum(light, 0)))
    return brought


def _pq(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Light in units of graphics white."""
    power = values ** (1 / _M2)
    light = 10_000.0 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return np.asarray(light / _WHITE, np.float32)


def _hlg(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scene light from 0 to 1."""
    low, high = values**2 / 3, (np.exp((values - _C) / _A) + _B) / 12
    return np.asarray(np.where(values <= 0.5, low, high), np.float32)


def _compressed(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Above the knee the range up to 1 is compressed by brightness; colours keep their ratios."""
    brightest = light.max(axis=-1, keepdims=True)
    over = np.maximum(brightest - _KNEE, 0)
    wanted = np.where(brightest > _KNEE, _KNEE + (1 - _KNEE) * over / (over + 1 - _KNEE), brightest)
    return np.asarray(light * (wanted / np.maximum(brightest, 1e-6)), np.float32)


def _srgb(light: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.asarray((coded.clip(0, 1) * 255).round(), np.uint8)
