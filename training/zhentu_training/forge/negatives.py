"""Hard negatives: what honest shops do every day and must not be punished for. No labels; the mask is empty."""

from __future__ import annotations

import cv2
import numpy as np

from zhentu_training.forge.base import Forgery, Materials, blend, goods_mask, to_uint8
from zhentu_training.forge.compose import contact_shadow
from zhentu_training.forge.cutout import plain_ground
from zhentu_training.forge.draws import Draws
from zhentu_training.forge.effect import EFFECTS

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
_WORDS = ("SALE", "-50%", "NEW", "$19.99", "FREE SHIPPING", "HOT", "199", "BEST", "2 FOR 1", "Summer", "100% cotton")


def _honest(rgb: np.ndarray, name: str) -> Forgery:
    return Forgery(rgb, np.zeros(rgb.shape[:2], np.float32), frozenset(), f"negatives.{name}")


def retouch(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """The effects of `effect`, at the strength of an honest studio."""
    name = draw.choice("effect")
    return _honest(EFFECTS[name](rgb, draw.uniform("strength"), draw.of(f"effect.{name}")), "retouch")


def tuned(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Exposure, white balance, and a mild hue change of the whole picture, as a colour variant is shot."""
    balance = np.array([draw.uniform("white_balance") for _ in range(3)])
    hsv = cv2.cvtColor(to_uint8(rgb * draw.uniform("exposure") * balance), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + draw.integer("hue")) % 180
    return _honest(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), "tuned")


def catalogue(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """A careful cut-out on plain ground with a soft contact shadow: ordinary catalogue practice."""
    if materials.cutouts and draw.chance("given"):
        goods, matte = materials.cutout(draw.rng)
        height, width = matte.shape
        rgb, mask = goods, matte
    mask = goods_mask(mask)
    height, width = mask.shape
    ground = contact_shadow(plain_ground(draw, height, width), mask, draw.uniform("shadow"), (0, 5), 9)
    tight = cv2.erode(mask, np.ones((3, 3), np.uint8))
    return _honest(blend(ground, rgb, cv2.GaussianBlur(tight, (0, 0), 0.7)), "catalogue")


def lettered(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Price stickers, badges, headings and watermarks."""
    out, rng = rgb.copy(), draw.rng
    height, width = rgb.shape[:2]
    for _ in range(draw.integer("count")):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        x, y = int(rng.uniform(0, 0.7) * width), int(rng.uniform(0.1, 0.95) * height)
        size = draw.uniform("size") * max(width, height) / 640
        layer = out.copy()
        if draw.chance("badge"):
            cv2.rectangle(layer, (x - 6, y - int(30 * size)), (x + int(110 * size), y + 10), colour, -1)
            colour = (255, 255, 255) if sum(colour) < 380 else (20, 20, 20)
        elif draw.chance("round"):
            cv2.circle(layer, (x + int(40 * size), y - 8), int(48 * size), colour, -1, cv2.LINE_AA)
            colour = (255, 255, 255) if sum(colour) < 380 else (20, 20, 20)
        cv2.putText(layer, str(rng.choice(_WORDS)), (x, y), _FONTS[int(rng.integers(3))], size, colour, 2, cv2.LINE_AA)
        opacity = draw.uniform("opacity") if draw.chance("watermark") else 1.0
        out = cv2.addWeighted(layer, opacity, out, 1 - opacity, 0)
    return _honest(out, "lettered")


def collage(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Two or four views side by side, with or without gaps."""
    height, width = rgb.shape[:2]
    gap = draw.integer("gap")
    count = {"two": 2, "four": 4}[draw.choice("cells")]
    cells = [rgb]
    while len(cells) < count:
        other = materials.scenes and draw.chance("other")
        cells.append(materials.scene(draw.rng, height, width) if other else rgb[:, ::-1])
    cells = [np.pad(cell, ((gap, gap), (gap, gap), (0, 0)), constant_values=255) for cell in cells]
    rows = [np.hstack(cells[:2])] if count == 2 else [np.hstack(cells[:2]), np.hstack(cells[2:])]
    out = np.vstack(rows)
    return _honest(
        cv2.resize(out, (width, max(out.shape[0] * width // out.shape[1], 8)), interpolation=cv2.INTER_AREA), "collage"
    )


def screenshot(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Inside a phone page: bars above and below, lines of text, buttons."""
    height, width = rgb.shape[:2]
    top, bottom = int(height * draw.uniform("top")), int(height * draw.uniform("bottom"))
    shade = int(draw.choice("page"))
    page = np.pad(rgb, ((top, bottom), (0, 0), (0, 0)), constant_values=shade)
    ink = (40, 40, 40) if shade > 100 else (220, 220, 220)
    for line in range(draw.integer("lines")):
        y = top + height + 18 + 22 * line
        cv2.putText(page, str(draw.rng.choice(_WORDS)), (12, y), _FONTS[0], 0.55, ink, 1, cv2.LINE_AA)
    cv2.rectangle(page, (int(width * 0.6), page.shape[0] - 34), (width - 10, page.shape[0] - 8), (255, 80, 0), -1)
    return _honest(page, "screenshot")


def depth_of_field(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """A wide aperture: the ground is out of focus, the goods are not."""
    mask = goods_mask(mask)
    blurred = cv2.GaussianBlur(rgb, (0, 0), draw.uniform("blur"))
    return _honest(
        blend(rgb, blurred, 1 - cv2.GaussianBlur(cv2.dilate(mask, np.ones((7, 7))), (0, 0), 4)), "depth_of_field"
    )


def phone(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """A phone in poor light: noise, its own denoising, vignetting."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    dark = 1 - draw.uniform("vignette") * (x**2 + y**2) / 2
    noisy = to_uint8(
        rgb * dark[..., None] * draw.uniform("light") + draw.rng.normal(0, draw.uniform("noise"), rgb.shape)
    )
    return _honest(cv2.medianBlur(noisy, 3) if draw.chance("denoised") else noisy, "phone")


RECIPES = {
    "negatives.retouch": retouch,
    "negatives.tuned": tuned,
    "negatives.catalogue": catalogue,
    "negatives.lettered": lettered,
    "negatives.collage": collage,
    "negatives.screenshot": screenshot,
    "negatives.depth_of_field": depth_of_field,
    "negatives.phone": phone,
}
