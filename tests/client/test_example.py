"""Client, middleware and gate together, as a platform would wire them."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from conftest import encoded, photo
from fakes import FakeDetector
from served import listening
from starlette.testclient import TestClient

from zhentu.bootstrap.screener import build_screener
from zhentu.client import AsyncClient
from zhentu.gate.app import create_app
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import Action, Category, OnError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "example_pipeline.py"


@pytest.fixture
def pipeline() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_pipeline", SCRIPT)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def strict(settings: Settings, score: float) -> Screener:
    """A gate whose model gives every picture one score, and whose policy blocks from 0.9."""
    built = build_screener(settings)
    limits = {Action.REVIEW: 0.5, Action.BLOCK: 0.9}
    policy = replace(built.policy, limits={(Category.CUTOUT_ARTIFACT, ""): limits})
    return replace(built, detector=FakeDetector(built.detector.entry, score), policy=policy)


@pytest.mark.parametrize(
    ("score", "status", "folders"), [(0.1, 201, ["public"]), (0.6, 201, ["held"]), (0.95, 422, [])]
)
def test_a_picture_is_published_held_or_refused(
    settings: Settings, tmp_path: Path, pipeline: ModuleType, score: float, status: int, folders: list[str]
) -> None:
    settings = settings.changed({"gate.reload_s": 3600})
    with listening(create_app(settings, lambda each: strict(each, score))) as port:
        client = AsyncClient(f"http://127.0.0.1:{port}", on_error=OnError.BLOCK, budget_s=120.0)
        shop = tmp_path / "shop"
        shop.mkdir()
        with TestClient(pipeline.create_app(client, str(shop))) as seller:
            files = {"photo": ("a.jpg", encoded(photo(), "JPEG"), "image/jpeg"), "note": ("n.txt", b"text")}
            answer = seller.post("/upload", files=files, data={"listing_id": "L1"})
        assert answer.status_code == status, answer.text
        assert [each.name for each in shop.iterdir()] == folders
        if status == 201:
            assert answer.json()["stored"][0]["record_id"]
        else:
            assert answer.json()["pictures"][0]["reasons"][0]["zh"]


def test_without_a_gate_nothing_is_published(tmp_path: Path, pipeline: ModuleType) -> None:
    client = AsyncClient("http://127.0.0.1:1", on_error=OnError.BLOCK, budget_s=0.5)
    with TestClient(pipeline.create_app(client, str(tmp_path / "shop"))) as seller:
        answer = seller.post("/upload", files={"photo": ("a.jpg", encoded(photo(), "JPEG"), "image/jpeg")})
    assert (answer.status_code, answer.json()["code"]) == (422, "picture_blocked")
    assert not (tmp_path / "shop").exists()
