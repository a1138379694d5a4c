"""Foreground masks of goods; poor ones are found and dropped."""

from __future__ import annotations

import cv2
import numpy as np

_WORK_SIDE = 224  # pixels; GrabCut on more is slow and no better for recipes
_COVERAGE = (0.04, 0.8)
_PLAIN_GROUND = 9.0  # deviation in grey levels of the border of a picture on plain ground


def foreground_mask(rgb: np.ndarray) -> np.ndarray | None:
    """float32 (H, W) in [0, 1], or None if no trustworthy mask is found."""
    height, width = rgb.shape[:2]
    scale = min(_WORK_SIDE / max(height, width), 1.0)
    small = cv2.resize(rgb, (max(round(width * scale), 8), max(round(height * scale), 8)), interpolation=cv2.INTER_AREA)
    plain = _plain_ground(small)
    mask = plain if plain is not None else _grabcut(small)
    if mask is None or not _trustworthy(mask):
        return None
    large = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    guided = _snap(rgb, large, max(int(2 / scale), 2))
    return guided.astype(np.float32)


def _plain_ground(rgb: np.ndarray) -> np.ndarray | None:
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    border = np.concatenate([lab[:3].reshape(-1, 3), lab[:, :3].reshape(-1, 3), lab[:, -3:].reshape(-1, 3)])
    ground = np.median(border, 0)
    away = np.linalg.norm(border - ground, axis=1)
    if np.percentile(away, 80) > _PLAIN_GROUND:
        return None
    distance = np.linalg.norm(lab - ground, axis=2)
    solid = (distance > max(6.0, 2.5 * float(np.percentile(away, 80)))).astype(np.uint8)
    solid = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    filled = _fill_holes(solid)
    return cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    flooded = padded.copy()
    cv2.floodFill(flooded, None, (0, 0), 1)
    return (padded | (1 - flooded))[1:-1, 1:-1].astype(np.uint8)


def _grabcut(rgb: np.ndarray) -> np.ndarray | None:
    height, width = rgb.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    inset_y, inset_x = max(int(height * 0.06), 1), max(int(width * 0.06), 1)
    cv2.setRNGSeed(7)  # GrabCut's k-means draws from OpenCV's own generator
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(
            np.ascontiguousarray(rgb),
            mask,
            (inset_x, inset_y, width - 2 * inset_x, height - 2 * inset_y),
            *models,
            2,
            cv2.GC_INIT_WITH_RECT,
        )
    except cv2.error:  # a flat picture leaves GrabCut without a background model
        return None
    solid = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    return cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))


def _trustworthy(mask: np.ndarray) -> bool:
    """Goods fill a fair share, hang together, and do not touch most of the border."""
    coverage = float(mask.mean())
    if not _COVERAGE[0] <= coverage <= _COVERAGE[1]:
        return False
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if border.mean() > 0.45:
        return False
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return False
    return float(stats[1:, cv2.CC_STAT_AREA].max()) > 0.45 * mask.sum()


def _snap(rgb: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Guided filter (He et al. 2010) with the picture as guide: the coarse mask snaps to real edges."""
    guide = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    kernel = (2 * radius + 1, 2 * radius + 1)
    mean_g, mean_m = cv2.blur(guide, kernel), cv2.blur(mask, kernel)
    variance = cv2.blur(guide * guide, kernel) - mean_g * mean_g
    slope = (cv2.blur(guide * mask, kernel) - mean_g * mean_m) / (variance + 1e-4)
    offset = mean_m - slope * mean_g
    soft = cv2.blur(slope, kernel) * guide + cv2.blur(offset, kernel)
    return ((soft - 0.25) * 2).clip(0, 1)
