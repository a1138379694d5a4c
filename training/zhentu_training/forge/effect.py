"""`exaggerated_effect`: the look is pushed beyond what the goods or the skin can show.

Every function takes a `strength`: 1 is a forgery, a fifth of it is what honest studios do (`negatives.retouch`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from zhentu.types import Category
from zhentu_training.forge.base import (
    Forgery,
    Materials,
    NotApplicable,
    blend,
    changed_share,
    local_noise,
    to_uint8,
)
from zhentu_training.forge.draws import Draws

_LEAST_CHANGE = 5.0  # grey levels, mean over the picture or region

Effect = Callable[[np.ndarray, float, Draws], np.ndarray]


def smooth(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Over-smoothed: every pore and thread gone, edges kept."""
    soft = rgb
    for _ in range(2):
        soft = cv2.bilateralFilter(soft, 9, 30 + 45 * strength, 5 + 3 * strength)
    return to_uint8(rgb + strength * (soft.astype(np.float32) - rgb))


def glow(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Bloom: bright parts spill light."""
    light = rgb.astype(np.float32) / 255
    bright = (
        light * cv2.GaussianBlur((light.max(2) > draw.uniform("bright_from")).astype(np.float32), (0, 0), 3)[..., None]
    )
    spill = cv2.GaussianBlur(bright, (0, 0), max(rgb.shape[:2]) * draw.uniform("reach"))
    tint = np.array([1.0, draw.uniform("green"), draw.uniform("blue")], np.float32)
    return to_uint8(255 * (1 - (1 - light) * (1 - (strength * draw.uniform("spill") * spill * tint).clip(0, 1))))


def halo(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Sharpened until bright rims stand along every edge."""
    base = rgb.astype(np.float32)
    detail = base - cv2.GaussianBlur(base, (0, 0), draw.uniform("width"))
    return to_uint8(base + strength * draw.uniform("gain") * detail)


def tone_map(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """The HDR look: local contrast everywhere, grey shadows."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    tiles = draw.integer("tiles")
    equal = cv2.createCLAHE(2.0 + 5 * strength, (tiles, tiles)).apply(lab[..., 0])
    light = lab[..., 0].astype(np.float32)
    lab[..., 0] = to_uint8(light + strength * (equal - light))
    out = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return saturate(out, 0.35 * strength, draw.of("effect.saturate"))


def saturate(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Colours that no dye has."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * (1 + strength * draw.uniform("gain"))
    return cv2.cvtColor(to_uint8(lab), cv2.COLOR_LAB2RGB)


def whiten(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Impossible whiteness: bright, pale parts become paper white, shadows vanish from them."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    pale = ((hsv[..., 2] / 255 - 0.35) * 2.5).clip(0, 1) * (1 - (hsv[..., 1] / 140).clip(0, 1))
    pale = cv2.GaussianBlur(pale, (0, 0), 2)
    hsv[..., 1] *= 1 - strength * 0.9 * pale
    hsv[..., 2] += strength * pale * (252 - hsv[..., 2]) * draw.uniform("towards_white")
    return cv2.cvtColor(to_uint8(hsv), cv2.COLOR_HSV2RGB)


def plastic(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Plastic skin and wax goods: texture gone, highlights hard and shiny."""
    soft = smooth(rgb, min(1.0, strength), draw)
    lab = cv2.cvtColor(soft, cv2.COLOR_RGB2LAB).astype(np.float32)
    light = cv2.GaussianBlur(lab[..., 0], (0, 0), 4)
    high = ((light - np.percentile(light, 60)) / 60).clip(0, 1) ** 2
    lab[..., 0] += strength * draw.uniform("shine") * high
    return cv2.cvtColor(to_uint8(lab), cv2.COLOR_LAB2RGB)


def sparkle(rgb: np.ndarray, strength: float, draw: Draws) -> np.ndarray:
    """Light rays, stars and floating glitter."""
    height, width = rgb.shape[:2]
    light = np.zeros((height, width), np.float32)
    for _ in range(draw.integer("count")):
        x, y = int(draw.rng.integers(width)), int(draw.rng.integers(height))
        reach = int(draw.uniform("reach") * max(height, width)) + 3
        cv2.line(light, (x - reach, y), (x + reach, y), 1.0, 1, cv2.LINE_AA)
        cv2.line(light, (x, y - reach), (x, y + reach), 1.0, 1, cv2.LINE_AA)
        cv2.circle(light, (x, y), max(reach // 5, 1), 1.0, -1, cv2.LINE_AA)
    light = light + 2.5 * cv2.GaussianBlur(light, (0, 0), 4)
    if draw.chance("rays"):
        angle = float(draw.rng.uniform(0, np.pi))
        yy, xx = np.mgrid[:height, :width].astype(np.float32)
        beam = np.sin((xx * np.cos(angle) + yy * np.sin(angle)) / draw.uniform("ray_width")) + local_noise(
            (height, width), draw.rng, 60
        )
        light = light + 0.35 * beam.clip(0, 1)
    tint = np.array([255, draw.uniform("green"), draw.uniform("blue")], np.float32)
    return to_uint8(rgb + strength * (light[..., None] * tint) * 0.8)


EFFECTS: Mapping[str, Effect] = {
    "smooth": smooth,
    "glow": glow,
    "halo": halo,
    "tone_map": tone_map,
    "saturate": saturate,
    "whiten": whiten,
    "plastic": plastic,
    "sparkle": sparkle,
}


def _recipe(name: str) -> Callable[..., Forgery]:
    def forge(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
        general = draw.of("effect")
        strength = general.uniform("strength")
        region = np.ones(rgb.shape[:2], np.float32)
        if mask is not None and general.chance("goods_only"):
            region = mask
        changed = EFFECTS[name](rgb, strength, draw)
        if general.chance("stacked"):  # retouchers stack effects
            other = str(draw.rng.choice([key for key in EFFECTS if key != name]))
            changed = EFFECTS[other](changed, general.uniform("second_strength"), draw.of(f"effect.{other}"))
        forged = blend(rgb, changed, region)
        least = 1.5 if name in ("smooth", "sparkle") else _LEAST_CHANGE
        if changed_share(rgb, forged, region) < least:
            raise NotApplicable("the effect would be invisible")
        return Forgery(forged, region, frozenset({Category.EXAGGERATED_EFFECT}), f"effect.{name}")

    forge.__doc__ = EFFECTS[name].__doc__
    return forge


def before_after(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Before and after side by side: the left darkened and dulled, the right pushed."""
    height, width = rgb.shape[:2]
    half = cv2.resize(rgb, (max(width // 2, 32), height), interpolation=cv2.INTER_AREA)
    before = to_uint8(cv2.cvtColor(half, cv2.COLOR_RGB2GRAY)[..., None] * 0.5 + half * draw.uniform("before_colour"))
    name = draw.choice("after")
    after = EFFECTS[name](half, draw.uniform("strength"), draw.of(f"effect.{name}"))
    forged = np.hstack([before, after])
    cv2.line(forged, (half.shape[1], 0), (half.shape[1], height), (255, 255, 255), 3)
    return Forgery(
        forged,
        np.ones(forged.shape[:2], np.float32),
        frozenset({Category.EXAGGERATED_EFFECT}),
        "effect.before_after",
        source=np.hstack([half, half]),
    )


RECIPES = {f"effect.{name}": _recipe(name) for name in EFFECTS} | {"effect.before_after": before_after}
