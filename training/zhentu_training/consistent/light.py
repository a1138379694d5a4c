"""Light and place: colour of the light, its direction, the shadow where goods stand, and how goods lie in the picture.

Colour by grey-world of the sixth power (Finlayson & Trezzi 2004) and by grey edges (van de Weijer et al. 2007);
direction by brightness along the outline against its normals (Johnson & Farid 2005).
"""

from __future__ import annotations

import cv2
import numpy as np

from zhentu_training.consistent.regions import BoolArray, FloatArray, Regions, log_ratio, quantile, slopes, smoothed

_BELOW = ((0.005, 0.03), (0.03, 0.08))  # of the side, from the outline outwards
_FAR = (0.12, 0.25)
_EVERY = 5  # pixels: colours and tones need no more
_FLAT = 1.2  # grey levels of deviation in 5 x 5 pixels


def light(regions: Regions) -> dict[str, float]:
    """All figures of this file."""
    return {**_colours(regions), **_direction(regions), **_shadow(regions), **_placed(regions)}


def _colours(regions: Regions) -> dict[str, float]:
    lab = regions.lab
    edges = np.abs(cv2.Sobel(cv2.blur(regions.rgb, (3, 3)), cv2.CV_32F, 1, 0))
    lights, edged, means = {}, {}, {}
    found: dict[str, float] = {}
    for name in ("goods", "ground"):
        region = getattr(regions, name)
        lit = region & regions.exposed
        own = lit if lit.sum() > 200 else region
        lights[name] = _unit(_minkowski(regions.rgb[own]))
        edged[name] = _unit(_minkowski(edges[own]))
        inside, level = lab[region][::_EVERY], regions.grey[region][::_EVERY]
        means[name] = inside.mean(0) if inside.size else np.zeros(3)
        found |= {
            f"tone.black.{name}": quantile(level, 0.01),
            f"tone.white.{name}": quantile(level, 0.99),
            f"tone.spread.{name}": float(level.std()) if level.size else 0.0,
            f"tone.chroma.{name}": float(np.hypot(*inside[:, 1:].T).mean()) if inside.size else 0.0,
            f"light.warm.{name}": float(np.log(lights[name][0] / lights[name][2])),
        }
    found |= {
        f"tone.{kind}.apart": found[f"tone.{kind}.goods"] - found[f"tone.{kind}.ground"]
        for kind in ("black", "white", "spread", "chroma")
    }
    return found | {
        "light.warm.apart": found["light.warm.goods"] - found["light.warm.ground"],
        "light.angle": _angle(lights["goods"], lights["ground"]),
        "light.angle_edges": _angle(edged["goods"], edged["ground"]),
        "light.mean_apart": float(np.linalg.norm((means["goods"] - means["ground"])[1:])),
        "light.level_apart": float(means["goods"][0] - means["ground"][0]),
    }


def _minkowski(values: FloatArray) -> np.ndarray:
    """The mean of the sixth power of each colour, as a level; (N, 3) -> (3,)."""
    some = values[::_EVERY] / 64
    cubes = some * some * some
    return np.asarray((cubes * cubes).mean(0, dtype=np.float64) ** (1 / 6)) if len(values) else np.ones(3)


def _unit(values: np.ndarray) -> np.ndarray:
    values = np.maximum(values, 1e-3)
    return np.asarray(values / np.linalg.norm(values))


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Degrees between two colours of light."""
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


def _direction(regions: Regions) -> dict[str, float]:
    """Brightness of the goods' rim by its outward direction, and of the ground by its place in the picture."""
    rim = regions.goods & (regions.depth < 0.05 * regions.side)
    right, down = slopes(-smoothed(regions.depth, 0.05 * regions.side))
    length = np.hypot(down, right) + 1e-6
    goods = _fitted(regions.grey, rim, right / length, down / length)
    height, width = regions.grey.shape
    columns = np.broadcast_to(np.linspace(-1, 1, width, dtype=np.float32), (height, width))
    rows = np.broadcast_to(np.linspace(-1, 1, height, dtype=np.float32)[:, None], (height, width))
    ground = _fitted(regions.grey, regions.ground, columns, rows)
    strength = float(np.hypot(*goods)), float(np.hypot(*ground))
    alike = float(goods @ ground / (strength[0] * strength[1] + 1e-3))
    return {"light.across.goods": float(goods[0]), "light.down.goods": float(goods[1]),
            "light.across.ground": float(ground[0]), "light.down.ground": float(ground[1]),
            "light.alike": alike, "light.against": -alike * min(strength)}  # fmt: skip


def _fitted(grey: FloatArray, region: BoolArray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Least squares of log brightness against two coordinates; some pixels are enough."""
    level = np.log(grey[region][::_EVERY] + 8)
    if level.size < 60:
        return np.zeros(2)
    known = np.stack([across[region][::_EVERY], down[region][::_EVERY], np.ones_like(level)], 1)
    return np.asarray(np.linalg.lstsq(known, level, rcond=None)[0][:2])


def _shadow(regions: Regions) -> dict[str, float]:
    """How much darker the ground is close to the goods than further away: below them, and on their other sides."""
    right, down = slopes(-smoothed(regions.depth, 0.025 * regions.side))
    length = np.hypot(down, right) + 1e-6
    towards = {"below": down / length > 0.6, "above": down / length < -0.6, "beside": np.abs(right / length) > 0.7}
    found = {}
    for name, sector in towards.items():
        far = _level(regions, sector, _FAR)
        for k, reach in enumerate(_BELOW):
            level = _level(regions, sector, reach)
            found[f"shadow.{name}.{k}"] = log_ratio(level, far, 4.0) if min(level, far) >= 0 else 0.0
        found[f"shadow.{name}.room"] = float((regions.ground & sector).sum() / regions.ground.size)
    found["shadow.below_beside"] = found["shadow.below.0"] - found["shadow.beside.0"]
    return found


def _level(regions: Regions, sector: BoolArray, reach: tuple[float, float]) -> float:
    away = -regions.depth / regions.side
    own = regions.grey[sector & (away > reach[0]) & (away <= reach[1])]
    return float(np.median(own)) if own.size >= 30 else -1.0


def _placed(regions: Regions) -> dict[str, float]:
    """How big the goods are, where they stand, what they touch, and how plain the ground is."""
    solid = regions.depth > 0
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    height, width = solid.shape
    mean = cv2.blur(regions.grey, (5, 5))
    spread = np.sqrt(np.maximum(cv2.blur(regions.grey**2, (5, 5)) - mean**2, 0))
    ground = regions.ground
    white = (regions.rgb.min(2) > 250)[ground]
    flat = (spread < _FLAT)[ground]
    return {
        "place.share": float(solid.mean()),
        "place.bottom": float(rows[-1] / height) if rows.size else 0.0,
        "place.top": float(rows[0] / height) if rows.size else 0.0,
        "place.wide": float((columns[-1] - columns[0]) / width) if columns.size else 0.0,
        "place.touches": float(np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]]).mean()),
        "place.white": float(white.mean()) if white.size else 0.0,
        "place.flat": float(flat.mean()) if flat.size else 0.0,
        "place.flat.goods": float((spread < _FLAT)[regions.goods].mean()) if regions.goods.any() else 0.0,
        "place.side": float(np.log(regions.side)),
    }
