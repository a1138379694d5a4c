"""Read settings: environment (ZHENTU_*) over a YAML file over defaults; every problem is reported at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

import yaml

from zhentu.settings.groups import (
    PREFIX,
    DecodeSettings,
    GateSettings,
    Settings,
    data_dir,
    nested,
    setting_paths,
    validated,
    variable,
)
from zhentu.yaml_text import read_yaml

COMMAND_LINE = frozenset({"ZHENTU_CONFIG", "ZHENTU_DEBUG", "ZHENTU_SCAN_DATABASE"})  # options of the commands
TRAINING_PREFIX = "ZHENTU_TRAINING_"  # read by zhentu_training alone

_log = logging.getLogger(__name__)

# Names before 0.4, in the environment and in files: they are read, and a warning names the new one.
FORMER: Mapping[str, str] = {
    "model": "models.active",
    "shadow_model": "models.shadow",
    "picture_store": "store.pictures",
    **{name: f"store.{name}" for name in ("auto_migrate", "spool_dir", "retention_days")},
    **{name: f"decode.{name}" for name in DecodeSettings.model_fields},
    **{name: f"gate.{name}" for name in GateSettings.model_fields},
}


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from an environment over a file over defaults. Raises ConfigError with every problem.

    path: a YAML file; None = the one in the environment's ZHENTU_CONFIG, if any.  environment: the only one that is
    read; None = the process's own.
    """
    environment = os.environ if environment is None else environment
    named = environment.get("ZHENTU_CONFIG")
    path = path or (Path(named) if named else None)
    problems: list[str] = []
    values: dict[str, object] = {"data_dir": data_dir(environment)}
    if path:
        values |= _chosen(dict(_flattened(_file_values(path, problems), problems)), f" in {path}", problems)
    variables = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not name.startswith(TRAINING_PREFIX) and name not in COMMAND_LINE
    }
    values |= _chosen(variables, "", problems)
    return validated(nested(values, {}), str(path) if path else "settings", problems)


def _chosen(given: Mapping[str, object], where: str, problems: list[str]) -> dict[str, object]:
    """Values by path for settings given by path, variable or former name; unknown ones become problems."""
    known = {path: path for path in setting_paths()} | {path.replace(".", "_"): path for path in setting_paths()}
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name, value in given.items():
        from_environment = name.startswith(PREFIX)
        key = name.removeprefix(PREFIX).lower() if from_environment else name
        path = known.get(key) or FORMER.get(key)
        if path is None:
            kind = "environment variable" if from_environment else "key"
            names = [variable(each) for each in setting_paths()] if from_environment else list(setting_paths())
            problems.append(f"Unknown {kind} '{name}'{where}.{_hint(name, names)}")
            continue
        if path in values:
            problems.append(f"'{name}' and '{sources[path]}'{where} are the same setting; give one of them")
        if key not in known:
            current = variable(path) if from_environment else path
            _log.warning("%s%s is now called %s; the former name will be removed in version 1.0", name, where, current)
        values[path], sources[path] = value, name
    return values


def _flattened(content: Mapping[str, object], problems: list[str]) -> Iterator[tuple[str, object]]:
    """The settings of a file by path."""
    groups = {name for name in Settings.model_fields if name not in set(setting_paths())}
    for name, value in content.items():
        if name not in groups:
            yield str(name), value
        elif isinstance(value, dict):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        elif value is not None:
            problems.append(f"{name}: must be a mapping from setting to value")


def _file_values(path: Path, problems: list[str]) -> Mapping[str, object]:
    try:
        content = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path}: must be a mapping from setting to value")
        return {}
    return content


def _hint(value: str, known: list[str]) -> str:
    close = get_close_matches(value, known, 1)
    return f" Did you mean '{close[0]}'?" if close else ""
