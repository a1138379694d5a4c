"""A picture is decoded once and hashed once on its way, whoever asks: counted where it happens."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient
from served import until

from zhentu.backlog.items import Item, Numbered
from zhentu.backlog.known import Claims
from zhentu.backlog.picture import WorkSpec, build_work
from zhentu.bootstrap.models import accepted_models
from zhentu.bootstrap.stores import build_store
from zhentu.gate.app import create_app
from zhentu.settings import Settings

PICTURE, REFERENCE = encoded(photo((300, 200)), "JPEG"), encoded(photo((200, 300), 2), "JPEG")


class Counts:
    """How often each file was decoded and hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded: Counter[bytes] = Counter()
        self.hashed: Counter[bytes] = Counter()
        sha256 = hashlib.sha256

        def counting_sha256(content: Any = b"", **options: Any) -> Any:
            self.hashed[bytes(content)] += 1
            return sha256(content, **options)

        import zhentu.intake.decode as decoding

        open_image = decoding.Image.open

        def counting_open(stream: Any, *arguments: Any, **options: Any) -> Any:
            self.decoded[stream.getvalue()] += 1
            return open_image(stream, *arguments, **options)

        monkeypatch.setattr(hashlib, "sha256", counting_sha256)
        monkeypatch.setattr(decoding.Image, "open", counting_open)

    def of(self, payload: bytes) -> tuple[int, int]:
        """Decodes and hashes."""
        return self.decoded[payload], self.hashed[payload]


def test_the_gate_decodes_and_hashes_once_with_key_reference_shadow_and_banks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.changed({"models.shadow": "tiny@1"})
    with TestClient(create_app(settings)) as client:
        counts = Counts(monkeypatch)
        files = [("picture", ("a.jpg", PICTURE, "image/jpeg")), ("reference", ("r.jpg", REFERENCE, "image/jpeg"))]
        answer = client.post("/v1/screen", files=files, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200, answer.text
        until(lambda: 'zhentu_shadow_total{agrees="true"' in client.get("/metrics").text)
        decodes, hashes = counts.of(PICTURE)
        assert (decodes, hashes) == (1, 1)
        assert counts.of(REFERENCE)[1] == 1


def test_a_scan_decodes_and_hashes_once(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    build_store(settings).close()
    spec = WorkSpec(settings, accepted_models(settings), tmp_path / "claims.db", store=True, banks=True)
    with closing(Claims(spec.claims)):
        work = build_work(spec)
        counts = Counts(monkeypatch)
        (outcome,) = work([Numbered(1, Item(str(tmp_path / "a.jpg")))])
    assert outcome.row is not None
    assert (outcome.row.error, len(outcome.row.pdq)) == ("", 64)
    assert counts.of(PICTURE) == (1, 1)
