from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from docs_reference import settings_page

from zhentu.errors import ConfigError
from zhentu.settings import Settings, load_settings
from zhentu.settings.groups import setting_paths, variable
from zhentu.settings.reading import COMMAND_LINE, FORMER, TRAINING_PREFIX
from zhentu.types import Action, AiState, LabelLanguage

ROOT = Path(__file__).resolve().parents[1]


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "zhentu.yaml"
    path.write_text("workers: 3\ngate:\n  port: 9000\n  host: 127.0.0.2\n")
    settings = load_settings(path, {"ZHENTU_WORKERS": "5", "ZHENTU_GATE_PORT": "9001"})
    assert (settings.workers, settings.gate.port, settings.gate.host) == (5, 9001, "127.0.0.2")


def test_only_the_environment_that_is_given_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = load_settings(None, {"HOME": str(home)})
    (tmp_path / "file.yaml").write_text("workers: 3\n")
    monkeypatch.setenv("ZHENTU_CONFIG", str(tmp_path / "file.yaml"))
    for path in setting_paths():
        monkeypatch.setenv(variable(path), "nothing that any setting could be")
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    monkeypatch.setenv("HOME", "/nobody")
    assert load_settings(None, {"HOME": str(home)}) == before
    assert before.data_dir == home / ".local" / "share" / "zhentu"
    assert Settings().gate == load_settings(None, {}).gate


def test_defaults_are_this_users_as_in_a_process_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Settings().data_dir == load_settings(None, {"XDG_DATA_HOME": "/data"}).data_dir == Path("/data/zhentu")


def test_every_problem_is_reported_at_once_with_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "zhentu.yaml"
    path.write_text("worker: 3\ngate:\n  prot: 1\n  port: 99999\nstore: sqlite:///r.db\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {"ZHENTU_GATE_QUEUE_SIZ": "1", "ZHENTU_GATE_DEADLINE_S": "-1"})
    text = "\n".join(caught.value.problems)
    assert "Did you mean 'workers'?" in text
    assert "Did you mean 'gate.port'?" in text
    assert "Did you mean 'ZHENTU_GATE_QUEUE_SIZE'?" in text
    assert "gate.port: Input should be less than or equal to 65535 (got 99999)" in text
    assert "gate.deadline_s" in text
    assert "store: must be a mapping" in text


def test_what_is_secret_is_not_repeated() -> None:
    wrong = {"webhook.secret": ["hunter2"], "store.url": ["postgresql://zhentu:hunter2@db/zhentu"]}
    with pytest.raises(ConfigError) as caught:
        Settings().changed(wrong)
    assert len(caught.value.problems) == 2
    assert "hunter2" not in str(caught.value)


def test_former_names_are_read_and_the_new_one_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "zhentu.yaml"
    path.write_text("fetch_ports: [8080]\nport: 9000\n")
    with caplog.at_level(logging.WARNING):
        settings = load_settings(path, {"ZHENTU_ON_ERROR": "block"})
    assert (settings.gate.on_error, settings.gate.port, settings.fetch.ports) == ("block", 9000, {8080})
    assert "ZHENTU_ON_ERROR is now called ZHENTU_GATE_ON_ERROR" in caplog.text
    assert "port in " in caplog.text
    with pytest.raises(ConfigError, match="the same setting"):
        load_settings(None, {"ZHENTU_PORT": "1", "ZHENTU_GATE_PORT": "2"})


def test_former_names_stand_for_settings_that_there_are_and_hide_none() -> None:
    paths = set(setting_paths())
    assert set(FORMER.values()) <= paths
    assert not {variable(name) for name in FORMER} & {variable(path) for path in paths}


def test_sets_and_states_have_types_of_their_own() -> None:
    given = {
        "ZHENTU_LABEL_PRODUCER_STATES": "13",
        "ZHENTU_LABEL_LANGUAGE": "both",
        "ZHENTU_WEBHOOK_ACTIONS": "block, label",
        "ZHENTU_FETCH_PORTS": "443,8443",
    }
    settings = load_settings(None, given)
    assert settings.label.producer_states == {AiState.IS, AiState.SUSPECTED}
    assert settings.label.language is LabelLanguage.BOTH
    assert settings.webhook.actions == {Action.BLOCK, Action.LABEL}
    assert settings.fetch.ports == {443, 8443}
    with pytest.raises(ConfigError, match="producer_states"):
        load_settings(None, {"ZHENTU_LABEL_PRODUCER_STATES": "14"})


def test_variables_of_training_are_none_of_serving() -> None:
    assert load_settings(None, {f"{TRAINING_PREFIX}CLIP": "/weights"}).gate == Settings().gate


def test_a_changed_copy_is_checked_like_any_other() -> None:
    settings = Settings().changed({"gate.port": 0, "data_dir": "/data"})
    assert (settings.gate.port, settings.store_url) == (0, "sqlite:////data/records.db")
    assert settings.spool_dir == Path("/data/spool")
    with pytest.raises(ConfigError, match=r"gate\.port"):
        settings.changed({"gate.port": -1})
    with pytest.raises(ConfigError, match="gates"):
        settings.changed({"gates.port": 1})


def test_zero_workers_means_every_core() -> None:
    assert load_settings(None, {}).worker_count >= 1


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml", {})


def test_every_setting_says_what_it_is_for() -> None:
    page = settings_page()
    for path in setting_paths():
        (row,) = re.findall(rf"^\| `{re.escape(path)}` \| `{variable(path)}` \|.*$", page, re.M)
        assert row.rstrip(" |").endswith("."), f"{path} has no docstring"


def test_variables_that_are_named_anywhere_exist() -> None:
    known = {variable(path) for path in setting_paths()} | COMMAND_LINE
    known |= {"ZHENTU_VERSION"}  # compose's own
    wrong = []
    for path in named_files():
        for name in re.findall(r"ZHENTU_[A-Z0-9_]+", path.read_text(encoding="utf-8")):
            if name not in known and not name.startswith(TRAINING_PREFIX):
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == []


def named_files() -> list[Path]:
    """What people read and what runs, but the log of changes and of decisions, which tell what was."""
    folders = [path for name in ("src", "training", "docs", "deploy", "scripts") for path in (ROOT / name).rglob("*")]
    suffixes = {".py", ".md", ".yaml", ".html", ".js", ".j2", ""}
    files = [path for path in folders if path.is_file() and path.suffix in suffixes]
    return [*files, ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "Makefile"]
