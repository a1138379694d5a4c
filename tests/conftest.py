from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import tiny_model
from PIL import Image

from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.detect.models import ModelEntry
from zhentu.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the developer's own store or settings."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ZHENTU_CONFIG", raising=False)


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encode an array, or a seeded photograph-like picture, with Pillow."""

    def make(form: str = "JPEG", size: tuple[int, int] = (96, 64), seed: int = 1, **options: object) -> bytes:
        return encoded(photo(size, seed), form, **options)

    return make


def photo(size: tuple[int, int] = (96, 64), seed: int = 1) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    return tiny_model(tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path, entry: ModelEntry) -> Settings:
    return Settings(models_dir=tmp_path / "models", store_url=f"sqlite:///{tmp_path}/records.db", workers=2)


@pytest.fixture
def policy():
    return load_policy(default_policy_path())
