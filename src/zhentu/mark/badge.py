"""The visible label: words on an opaque plate in the corner where they hide the least.

GB 45438-2025 5.2: text with 人工智能 or AI and 生成 and/or 合成, on an edge or corner, legible, at least 5 % of the
shortest side high. Height is measured on the ink of the capital letters, the lowest of the full-height glyphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from zhentu.mark.spec import Badge
from zhentu.types import AiState, LabelLanguage

WORDS: Mapping[LabelLanguage, Mapping[AiState, tuple[str, ...]]] = {
    # Each as the pieces that may be put on separate lines if the picture is narrow.
    LabelLanguage.ZH: {
        AiState.IS: ("AI生成",),
        AiState.POSSIBLY: ("可能为", "AI生成"),
        AiState.SUSPECTED: ("疑似", "AI生成"),
    },
    LabelLanguage.EN: {
        AiState.IS: ("AI-generated",),
        AiState.POSSIBLY: ("Possibly ", "AI-generated"),
        AiState.SUSPECTED: ("Suspected ", "AI-generated"),
    },
}
LIGHT, DARK = 255, 16  # luminances of plate and text; their contrast is 18.9:1 by WCAG 2.2
LEGIBLE = 11  # pixels of capital height below which Chinese strokes run together
SMALLEST_SHARE = 0.05
_COMPACT, _WIDE = (0.6, 0.36), (0.98, 0.6)  # share of the picture's width and height that a plate may take
_PADDING, _LEADING = 0.34, 0.35  # of the capital height
_MOST_DIFFERENCE, _LEAST_CORRELATION = 24.0, 0.85  # grey levels; JPEG at quality 10 stays within
_THUMB = 256  # side of the copy on which the calmest corner is sought


@dataclass(frozen=True, slots=True)
class Plate:
    """A drawn badge: grey uint8 pixels of shape (height, width), and what was drawn."""

    pixels: npt.NDArray[np.uint8]
    lines: tuple[str, ...]
    size: int
    dark: bool
    ink: int


def design(picture: tuple[int, int], state: AiState, language: LabelLanguage, height: float, dark: bool) -> Plate:
    """The largest legible setting of the words that the picture (width, height in pixels) has room for.

    Words are broken over lines before they are made smaller, and never made smaller than 5 % of the shortest side.
    """
    shortest = min(picture)
    floor = int(np.ceil(SMALLEST_SHARE * shortest)) + 1
    for ink, (most_width, most_height) in _heights(max(int(np.ceil(height * shortest)) + 1, LEGIBLE), floor):
        for lines in settings_of(state, language):
            width, rows = _extent(lines, size_for(ink))
            if width <= most_width * picture[0] and rows <= most_height * picture[1]:
                return draw(lines, size_for(ink), dark)
    lines = tuple(settings_of(state, language))[-1]
    return draw(lines, size_for(floor), dark)


def settings_of(state: AiState, language: LabelLanguage) -> Iterator[tuple[str, ...]]:
    """The words on ever more, ever shorter lines."""
    if language is LabelLanguage.BOTH:
        both = [WORDS[each][state] for each in (LabelLanguage.ZH, LabelLanguage.EN)]
        yield (" ".join("".join(words) for words in both),)
        yield tuple("".join(words) for words in both)
        yield ("".join(both[0]), *(word.strip() for word in both[1]))
        yield tuple(word.strip() for words in both for word in words)
        language = LabelLanguage.ZH  # no room for both: what the law requires stays
    words = WORDS[language][state]
    yield ("".join(words),)
    if len(words) > 1:
        yield tuple(word.strip() for word in words)
    if language is LabelLanguage.ZH:
        yield (*words[:-1], "AI", "生成")
    else:
        yield (*(word.strip() for word in words[:-1]), "AI-gene-", "rated")


def draw(lines: tuple[str, ...], size: int, dark: bool) -> Plate:
    """Words on a plate with a hairline around it, so that it stands out from any background."""
    font = _font(size)
    ink = capital_height(size)
    padding, leading = max(round(_PADDING * ink), 3), max(round(_LEADING * ink), 2)
    boxes = [font.getbbox(line) for line in lines]
    heights = [round(bottom - top) for _, top, _, bottom in boxes]
    width, height = _extent(lines, size)
    ground, text = (DARK, LIGHT) if dark else (LIGHT, DARK)
    image = Image.new("L", (width, height), ground)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width - 1, height - 1), outline=text, width=max(ink // 12, 1))
    top = padding
    for line, box, line_height in zip(lines, boxes, heights, strict=True):
        pen.text(((width - (box[2] - box[0])) / 2 - box[0], top - box[1]), line, fill=text, font=font)
        top += line_height + leading
    return Plate(np.asarray(image, dtype=np.uint8), lines, size, dark, ink)


def _extent(lines: tuple[str, ...], size: int) -> tuple[int, int]:
    """Width and height of a plate, without drawing it."""
    ink, boxes = capital_height(size), [_font(size).getbbox(line) for line in lines]
    padding, leading = max(round(_PADDING * ink), 3), max(round(_LEADING * ink), 2)
    width = round(max(right - left for left, _, right, _ in boxes)) + 2 * padding
    height = sum(round(bottom - top) for _, top, _, bottom in boxes) + leading * (len(lines) - 1) + 2 * padding
    return width, height


def _fits(badge: Badge, box: tuple[int, int]) -> bool:
    width, height = _extent(badge.lines, badge.size)
    return width <= box[0] and height <= box[1]


@lru_cache(maxsize=256)
def capital_height(size: int) -> int:
    """Pixels of ink of a capital A at a font size, measured on the drawn glyph."""
    image = Image.new("L", (size + 8, 2 * size + 8), 0)
    ImageDraw.Draw(image).text((4, 4), "A", fill=255, font=_font(size))
    rows = np.flatnonzero((np.asarray(image) > 127).any(axis=1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0


@lru_cache(maxsize=256)
def size_for(ink: int) -> int:
    """The smallest font size whose capital letters have at least this many pixels of ink."""
    size = max(int(ink / 0.75), 4)
    while capital_height(size) < ink:
        size += 1
    return size


def place(grey: npt.NDArray[np.uint8], plate_size: tuple[int, int], right_to_left: bool = False) -> tuple[int, int]:
    """Left and top of the corner where a plate (width, height) covers the least detail.

    grey: uint8 luminance of the upright picture, shape (height, width). Of equally calm corners the lower right one
    is taken, or the lower left one for languages read from right to left.
    """
    rows, columns = grey.shape
    width, height = plate_size
    margin = max(round(0.015 * min(rows, columns)), 0)
    left, right = min(margin, max(columns - width, 0)), max(columns - width - margin, 0)
    top, bottom = min(margin, max(rows - height, 0)), max(rows - height - margin, 0)
    sides = (left, right) if right_to_left else (right, left)
    corners = [(side, edge) for edge in (bottom, top) for side in sides]
    scale = min(_THUMB / max(rows, columns), 1.0)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    across = cv2.Sobel(small, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(small, cv2.CV_32F, 0, 1)
    # Goods stand out from the ground along the edges, even if a smooth cup or face has little detail of its own.
    edges = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    detail = cv2.magnitude(across, down) + np.abs(small.astype(np.float32) - float(np.median(edges)))
    hidden = []
    for rank, (x, y) in enumerate(corners):
        window = detail[
            int(y * scale) : max(int((y + height) * scale), int(y * scale) + 1),
            int(x * scale) : max(int((x + width) * scale), int(x * scale) + 1),
        ]
        hidden.append((float(window.mean()) + 2.0 * rank if window.size else float("inf"), rank))
    return corners[min(hidden)[1]]


def wants_dark(grey: npt.NDArray[np.uint8], box: tuple[int, int, int, int]) -> bool:
    """A dark plate on a light ground and vice versa, so that it is seen at first glance."""
    left, top, width, height = box
    window = grey[top : top + height, left : left + width]
    return bool(window.size == 0 or window.mean() >= 110)


def is_there(grey: npt.NDArray[np.uint8], badge: Badge) -> bool:
    """Whether the pixels show the badge that metadata describes: it is drawn again and compared.

    Metadata alone proves nothing: anybody could write it to keep the label off.
    """
    rows, columns = grey.shape
    left, top, width, height = badge.box
    if badge.picture != (columns, rows) or left < 0 or top < 0 or width < 1 or height < 1:
        return False
    if left + width > columns or top + height > rows or badge.lines not in known_lines(badge.state):
        return False
    # The size comes from the file: anything that does not fit into the box is not drawn.
    if not 4 <= badge.size <= min(rows, columns, height) or not _fits(badge, (width, height)):
        return False
    expected = stretched(draw(badge.lines, badge.size, badge.dark), (width, height)).astype(np.float32)
    seen = grey[top : top + height, left : left + width].astype(np.float32)
    if seen.std() < 1 or float(np.abs(seen - expected).mean()) > _MOST_DIFFERENCE:
        return False
    return float(np.corrcoef(seen.ravel(), expected.ravel())[0, 1]) > _LEAST_CORRELATION


def known_lines(state: AiState) -> frozenset[tuple[str, ...]]:
    """Every variant of the words that zhentu itself writes for a state."""
    return frozenset(lines for language in LabelLanguage for lines in settings_of(state, language))


def stretched(plate: Plate, box: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The plate centred on a ground of (width, height) pixels, where an older, larger badge must be covered."""
    rows, columns = plate.pixels.shape
    width, height = box
    if (columns, rows) == (width, height):
        return plate.pixels
    ground = np.full((height, width), DARK if plate.dark else LIGHT, np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    ground[top : top + rows, left : left + columns] = plate.pixels
    return ground


def _heights(wanted: int, floor: int) -> Iterator[tuple[int, tuple[float, float]]]:
    """Heights to try with the space they may take: compact at full height first, then wide, then ever smaller."""
    ink = max(wanted, floor)
    yield ink, _COMPACT
    while ink > floor:
        yield ink, _WIDE
        ink = max(min(int(ink * 0.92), ink - 1), floor)
    yield floor, _WIDE


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = Path(__file__).parent / "fonts" / "ZhentuBadge-Bold.otf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
