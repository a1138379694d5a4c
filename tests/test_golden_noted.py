from __future__ import annotations

from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import change_manifest as change

from zhentu.bootstrap import golden
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.errors import ModelError
from zhentu.intake.decode import decode


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: ModelEntry) -> list[str]:
    """A golden picture with its scores; every look at golden pictures is written down here."""
    (tmp_path / "sample.png").write_bytes(encoded(photo((120, 80)), "PNG"))
    picture = decode((tmp_path / "sample.png").read_bytes())
    scores = Detector(entry, tmp_path / "models").detect(picture).scores.as_dict()
    change(tmp_path / "models", golden=[{"picture": "sample.png", "scores": scores}])
    seen: list[str] = []
    verify = Detector.verify_golden

    def watched(detector: Detector, samples: Path, most: int = 0) -> float:
        seen.append(str(detector.model))
        return verify(detector, tmp_path, most)

    monkeypatch.setattr(Detector, "verify_golden", watched)
    return seen


def check(tmp_path: Path) -> None:
    entry = Manifest.load(tmp_path / "models").active_entry
    golden.check_golden(entry, tmp_path / "models", 1, tmp_path / "notes")


def test_golden_scores_found_good_are_not_tried_again(tmp_path: Path, looked: list[str]) -> None:
    check(tmp_path)
    check(tmp_path)
    assert len(looked) == 1


def test_another_processor_or_another_runtime_tries_them_again(
    tmp_path: Path, looked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path)
    monkeypatch.setattr(golden, "processor_flags", lambda: frozenset({"avx2"}))
    check(tmp_path)
    monkeypatch.setattr(golden, "version", lambda package: "99.0")
    check(tmp_path)
    assert len(looked) == 3


def test_what_was_wrong_is_not_noted(tmp_path: Path, looked: list[str]) -> None:
    scores = dict(Manifest.load(tmp_path / "models").active_entry.golden[0].scores)
    change(tmp_path / "models", golden=[{"picture": "sample.png", "scores": scores | {"forged": scores["forged"] / 2}}])
    for _ in range(2):
        with pytest.raises(ModelError, match="forged"):
            check(tmp_path)
    assert len(looked) == 2


def test_an_altered_file_is_found_whatever_was_noted(tmp_path: Path, looked: list[str], entry: ModelEntry) -> None:
    check(tmp_path)
    path = tmp_path / "models" / entry.file
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="file altered"):
        check(tmp_path)


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, looked: list[str]) -> None:
    (tmp_path / "notes").write_text("a file where the folder would be")
    check(tmp_path)
    check(tmp_path)
    assert len(looked) == 2
