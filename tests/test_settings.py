from __future__ import annotations

from pathlib import Path

import pytest

from zhentu.errors import ConfigError
from zhentu.settings import load_settings


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "zhentu.yaml"
    path.write_text("workers: 3\nport: 9000\n")
    settings = load_settings(path, {"ZHENTU_WORKERS": "5"})
    assert (settings.workers, settings.port) == (5, 9000)


def test_every_problem_is_reported_at_once_with_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "zhentu.yaml"
    path.write_text("worker: 3\nport: 99999\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {"ZHENTU_QUEUE_SIZ": "1", "ZHENTU_DEADLINE_S": "-1"})
    text = "\n".join(caught.value.problems)
    assert "Did you mean 'workers'?" in text
    assert "Did you mean 'ZHENTU_QUEUE_SIZE'?" in text
    assert "port" in text
    assert "deadline_s" in text


def test_zero_workers_means_every_core() -> None:
    assert load_settings(None, {}).worker_count >= 1


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml", {})
