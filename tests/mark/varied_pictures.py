"""Varied pictures: grounds that are white, black, busy or photographs, in sizes from tiny to panoramic."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from conftest import photo
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[2] / "src" / "zhentu" / "samples"
SIZES = [
    (800, 600),
    (600, 800),
    (500, 500),
    (1600, 120),
    (120, 1600),
    (64, 64),
    (48, 40),
    (1000, 34),
    (1200, 300),
    (33, 33),
]


def grounds(size: tuple[int, int]) -> Iterator[Image.Image]:
    """Ten pictures of one size."""
    width, height = size
    rng = np.random.default_rng(width * height)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    yield Image.new("RGB", size, "white")
    yield Image.new("RGB", size, "black")
    yield Image.new("RGB", size, (128, 128, 128))
    yield Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    yield Image.fromarray(np.where((columns // 3 + rows // 3) % 2, 255, 0).astype(np.uint8)).convert("RGB")
    yield Image.fromarray((columns * 255 // max(width - 1, 1)).astype(np.uint8)).convert("RGB")
    yield photo(size)
    yield from (Image.open(SAMPLES / f"genuine_{name}.jpg").resize(size) for name in ("cup", "portrait", "motorcycle"))


def varied() -> list[tuple[str, bytes]]:
    """200 files, (format, bytes): each ground in each size as PNG and as JPEG of some quality."""
    files = []
    for size in SIZES:
        for index, image in enumerate(grounds(size)):
            options = {"quality": (10, 30, 60, 80, 95)[index % 5], "subsampling": index % 3}
            files += [("PNG", _encoded(image, "PNG")), ("JPEG", _encoded(image, "JPEG", **options))]
    return files


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()
