"""Colour and texture of one canvas: everything that can be measured before there is a second picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import PLACES, SIDE, Canvas, FloatArray, lab_of

BANDS = 5  # octaves of lightness
PATTERN_SCALES = (1, 2, 4)  # pixels
_COLOUR_SIDE = 112  # pixels; colour needs no more
_RANKS = np.linspace(0.02, 0.98, 33)
_SLICES = np.array([[np.cos(t), np.sin(t)] for t in np.arange(4) * np.pi / 4], np.float32)
_RING = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # of a pixel, one after the other
_WIDE = 16.0  # pixels; from there on a blur is made at half the size, at an eighth of the cost


def _uniform_patterns() -> npt.NDArray[np.intp]:
    """Of each code of a ring, a bit for each neighbour that is lighter: how many are, or 9 if they are scattered."""
    codes = np.arange(256, dtype=np.uint8)
    bits = (codes[:, np.newaxis] >> np.arange(8, dtype=np.uint8)) & 1
    return np.where((bits != np.roll(bits, 1, 1)).sum(1) <= 2, bits.sum(1, dtype=np.intp), 9)


_UNIFORM = _uniform_patterns()


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """Colours of the goods, in Lab units.

    slices: quantiles (4, 33) of the a-b plane seen from four sides.  light: quantiles (33,) of lightness.  mean: of a
    and b.  chroma, contrast, spread: mean chroma, deviations of lightness and of a and b.  shares (8, 24, 24): how much
    of the goods has each colour, softly counted; sums to 1.
    """

    slices: FloatArray
    light: FloatArray
    mean: FloatArray
    chroma: float
    contrast: float
    spread: float
    shares: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """raw, lit: colours as stored and with the picture's neutral areas made neutral.

    energy, peaked (BANDS,): log contrast and log kurtosis of each octave.  patterns (scales, 10): histograms of local
    binary patterns.  turn (2,): how strongly two octaves point one way.  period (2,): of a repeated pattern.
    gloss (3,): skewness of lightness, share of highlights, depth of folds.  cells (PLACES * PLACES, 3 + BANDS): Lab and
    the log energy of each octave at each place.
    """

    raw: Palette
    lit: Palette
    energy: FloatArray
    peaked: FloatArray
    patterns: FloatArray
    turn: FloatArray
    period: FloatArray
    gloss: FloatArray
    cells: FloatArray


def surface_of(canvas: Canvas) -> Surface:
    """Sum up a canvas."""
    light = np.asarray(cv2.extractChannel(lab_of(canvas.rgb), 0), dtype=np.float32)
    inside = _inside(canvas.mask)
    small = np.asarray(cv2.resize(canvas.rgb, (_COLOUR_SIDE, _COLOUR_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    goods = cv2.erode(cv2.resize(canvas.mask, (_COLOUR_SIDE, _COLOUR_SIDE)), np.ones((3, 3), np.uint8)) > 0.8
    bands = _bands(light)
    own = [band[inside] for band in bands]
    return Surface(
        raw=_palette(lab_of(small), goods),
        lit=_palette(lab_of(small, canvas.light), goods),
        energy=np.array([np.log(band.std() + 2e-3) for band in own], np.float32),
        peaked=np.array([_peakedness(band) for band in own], np.float32),
        patterns=np.stack([_binary_patterns(light, inside, scale) for scale in PATTERN_SCALES]),
        turn=np.array([_one_way(band, inside) for band in bands[1:3]], np.float32),
        period=_period(bands[1] + bands[2], inside),
        gloss=_gloss(light, inside),
        cells=_cells(canvas, bands),
    )


def _inside(mask: FloatArray) -> npt.NDArray[np.bool_]:
    """The goods without their rim, where ground mixes in; with it if little else would be left."""
    core = cv2.erode((mask > 0.8).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    for inside in (core, mask > 0.5):
        if inside.sum() >= 2000:
            return np.asarray(inside)
    return np.ones(mask.shape, bool)


def _bands(light: FloatArray) -> list[FloatArray]:
    """Octaves of lightness, relative to the surrounding lightness."""
    around = _blurred(light, 24) + 12
    bands, smooth = [], light
    for octave in range(BANDS):
        smoother = _blurred(light, 0.8 * 2**octave)
        bands.append(np.asarray((smooth - smoother) / around, np.float32))
        smooth = np.asarray(smoother, np.float32)
    return bands


def _blurred(values: FloatArray, sigma: float) -> FloatArray:
    """A Gaussian blur; a wide one at half the size.

    Taking means of two by two pixels, and lines between these, blurs by a pixel's variance of its own.
    """
    if sigma < _WIDE:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma))
    height, width = values.shape
    half = cv2.resize(values, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(half, (0, 0), np.sqrt(sigma**2 - 1) / 2), (width, height)))


def _palette(lab: FloatArray, goods: npt.NDArray[np.bool_]) -> Palette:
    own = lab[goods] if goods.sum() >= 40 else lab.reshape(-1, 3)
    return Palette(
        slices=_quantiles(_SLICES @ own[:, 1:].T),
        light=_quantiles(own[:, 0]),
        mean=own[:, 1:].mean(0),
        chroma=float(np.hypot(own[:, 1], own[:, 2]).mean()),
        contrast=float(own[:, 0].std()),
        spread=float(own[:, 1:].std(0).sum()),
        shares=_shares(own),
    )


def _quantiles(values: FloatArray) -> FloatArray:
    """Of the last axis, at _RANKS. As np.quantile, which looks for each rank on its own."""
    ordered = np.sort(values)
    place = _RANKS * (values.shape[-1] - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, values.shape[-1] - 1)
    return np.asarray(ordered[..., low] + (ordered[..., high] - ordered[..., low]) * (place - low), np.float32)


def _shares(lab: FloatArray) -> FloatArray:
    """Histogram of colours, blurred by about a step, so that a little more light moves little of it."""
    steps = np.concatenate([lab[:, :1] / 100 * 8, (lab[:, 1:] + 72) / 6], 1)
    l, a, b = np.floor(steps).astype(int).clip(0, (7, 23, 23)).T  # noqa: E741
    counts = np.bincount((l * 24 + a) * 24 + b, minlength=8 * 24 * 24).reshape(8, 24, 24).astype(np.float32)
    flat = np.stack([cv2.GaussianBlur(layer, (0, 0), 1.0, borderType=cv2.BORDER_CONSTANT) for layer in counts])
    across = cv2.GaussianBlur(flat.reshape(8, -1), (1, 0), sigmaX=1e-6, sigmaY=0.8, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(across.reshape(8, 24, 24) / max(float(across.sum()), 1e-6), np.float32)


def _peakedness(values: FloatArray) -> float:
    squares = values * values  # `values**4` takes thirty times as long
    return float(np.log((squares * squares).mean() + 1e-12) - 2 * np.log(squares.mean() + 1e-6))


def _binary_patterns(light: FloatArray, inside: npt.NDArray[np.bool_], scale: int) -> FloatArray:
    """Histogram (10,) of rotation-invariant uniform local binary patterns (Ojala et al. 2002), the others one bin."""
    smooth = cv2.GaussianBlur(light, (0, 0), 0.5 * scale)
    around = cv2.copyMakeBorder(smooth, scale, scale, scale, scale, cv2.BORDER_WRAP)
    least, codes = smooth + 0.6, np.zeros(light.shape, np.uint8)
    height, width = light.shape
    for bit, (y, x) in enumerate(_RING):
        neighbours = around[scale * (1 - y) :, scale * (1 - x) :][:height, :width]
        codes |= np.asarray(cv2.compare(neighbours, least, cv2.CMP_GT), np.uint8) & np.uint8(1 << bit)
    counts = cv2.calcHist([codes], [0], inside.view(np.uint8), [256], [0, 256]).ravel()
    kinds = np.bincount(_UNIFORM, weights=counts, minlength=10)
    return np.asarray(kinds / max(float(counts.sum()), 1), dtype=np.float32)


def _one_way(band: FloatArray, inside: npt.NDArray[np.bool_]) -> float:
    """How strongly a band has one direction: stripes and twills do, knits and leather do not."""
    dx, dy = cv2.Sobel(band, cv2.CV_32F, 1, 0)[inside], cv2.Sobel(band, cv2.CV_32F, 0, 1)[inside]
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    return float(np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9))


def _period(band: FloatArray, inside: npt.NDArray[np.bool_]) -> FloatArray:
    """Height of the second peak of the autocorrelation, and the log of its distance times that height: (2,)."""
    reach = SIDE // 8
    correlation = _autocorrelation(np.where(inside, band, np.float32(0)))[:reach, :reach]
    covered = _autocorrelation(inside.astype(np.float32))[:reach, :reach]
    correlation = np.asarray(correlation / np.maximum(covered, 1), dtype=np.float64)
    correlation = correlation / max(float(correlation[0, 0]), 1e-9)
    y, x = np.mgrid[:reach, :reach]
    distance = np.hypot(x, y)
    far = np.where((distance >= 5) & (distance < reach), correlation, -1)
    height = max(float(far.max()), 0.0)
    return np.array([height, height * np.log(distance.ravel()[far.argmax()] + 1)], np.float32)


def _autocorrelation(values: FloatArray) -> FloatArray:
    spectrum = cv2.dft(values)  # packed: half the work of complex numbers
    power = cv2.mulSpectrums(spectrum, spectrum, 0, conjB=True)
    return np.asarray(cv2.idft(power, flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE))


def _gloss(light: FloatArray, inside: npt.NDArray[np.bool_]) -> FloatArray:
    smooth = cv2.GaussianBlur(light, (0, 0), 3)[inside]
    spread = max(float(smooth.std()), 1.0)
    deviation = (smooth - smooth.mean()) / spread
    skew = float((deviation * deviation * deviation).mean())
    return np.array([skew, (smooth > np.median(smooth) + 22).mean(), np.log(spread)], np.float32)


def _cells(canvas: Canvas, bands: list[FloatArray]) -> FloatArray:
    def by_place(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.resize(values * canvas.mask, (PLACES, PLACES), interpolation=cv2.INTER_AREA))

    weight = cv2.resize(canvas.mask, (PLACES, PLACES), interpolation=cv2.INTER_AREA) + 1e-3
    mean = [by_place(np.asarray(lab, np.float32)) / weight for lab in cv2.split(lab_of(canvas.rgb, canvas.light))]
    energy = [np.log(by_place(band**2) / weight + 4e-6) / 2 for band in bands]
    return np.stack([*mean, *energy], 2).reshape(-1, 3 + BANDS).astype(np.float32)
