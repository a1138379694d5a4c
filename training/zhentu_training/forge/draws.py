"""Seeded draws: every parameter of a forgery comes from a named distribution in configs/forge.yaml and is recorded.

A distribution is written as it is drawn: `[low, high]` uniform (or a whole number between them, both included), a list
of ranges of which one is taken, a probability, a list of equally likely words, or words with their weights.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from zhentu.errors import ConfigError
from zhentu.yaml_text import read_yaml

Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The draws of one recipe. `recorded` fills as it draws; `rng` is for noise fields and positions."""

    rng: np.random.Generator
    sections: Sections
    section: str
    recorded: dict[str, float | int | str] = field(default_factory=dict)

    def of(self, section: str) -> Draws:
        """The same generator and record, another section's distributions."""
        return Draws(self.rng, self.sections, section, self.recorded)

    def uniform(self, name: str) -> float:
        """A number from `[low, high]`."""
        return self._keep(name, float(self.rng.uniform(*self._find(name))))

    def either(self, name: str) -> float:
        """A number from one of several ranges, each equally likely."""
        ranges = self._find(name)
        return self._keep(name, float(self.rng.uniform(*ranges[int(self.rng.integers(len(ranges)))])))

    def integer(self, name: str) -> int:
        """A whole number from `[low, high]`, both included."""
        low, high = self._find(name)
        return self._keep(name, int(self.rng.integers(low, high + 1)))

    def chance(self, name: str) -> bool:
        """True with the given probability."""
        return bool(self._keep(name, int(self.rng.random() < self._find(name))))

    def choice(self, name: str) -> Any:
        """One of a list, or of a mapping of words to weights."""
        options = self._find(name)
        weights = None
        if isinstance(options, Mapping):
            weights = np.array(list(options.values()), float)
            weights /= weights.sum()
        options = list(options)
        return self._keep(name, options[int(self.rng.choice(len(options), p=weights))])

    def sign(self) -> int:
        """-1 or 1; symmetric things need no distribution."""
        return 1 if self.rng.random() < 0.5 else -1

    def _find(self, name: str) -> Any:
        return self.sections[self.section][name]

    def _keep(self, name: str, value: Any) -> Any:
        self.recorded[name if name not in self.recorded else f"{self.section}.{name}"] = value
        return value


@lru_cache(maxsize=8)
def load_sections(path: Path | None = None) -> Sections:
    """The distributions: those of the package, changed by a file of the same form that need not name them all.

    Raises ConfigError with one sentence a problem: unknown names with the nearest known one, values of another form.
    """
    sections: dict[str, dict[str, Any]] = yaml.safe_load(_default_path().read_text(encoding="utf-8"))
    if path is None:
        return sections
    try:
        changes = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    problems = []
    for section, values in changes.items():
        if section not in sections:
            problems.append(_unknown(str(section), sections))
            continue
        if not isinstance(values, Mapping):
            problems.append(f"{section}: give its distributions by name ({', '.join(sections[section])})")
            continue
        for name, value in values.items():
            if name not in sections[section] and section != "families":
                problems.append(f"{section}.{_unknown(str(name), sections[section])}")
            elif not _same_form(value, sections[section].get(name, 1.0)):
                problems.append(f"{section}.{name}: has the form of {sections[section].get(name)!r}, got {value!r}")
            else:
                sections[section][name] = value
    if problems:
        raise ConfigError(str(path), problems)
    return sections


def _same_form(value: Any, known: Any) -> bool:
    if isinstance(known, Mapping):
        return isinstance(value, Mapping) and all(_number(each) for each in value.values())
    if isinstance(known, list):
        if not isinstance(value, list) or not value:
            return False
        if _number(known[0]) and len(known) == 2:
            return len(value) == 2 and all(map(_number, value)) and value[0] <= value[1]
        return all(isinstance(each, type(known[0])) for each in value)
    return _number(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"{name}: unknown" + (f", did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")


def _default_path() -> Path:
    packaged = Path(__file__).with_name("_forge.yaml")  # in an installed wheel
    return packaged if packaged.is_file() else Path(__file__).resolve().parents[3] / "configs" / "forge.yaml"
