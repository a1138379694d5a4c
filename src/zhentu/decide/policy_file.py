"""policy.yaml -> Policy, or every problem of it at once, in plain words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import yaml

from zhentu.decide.policy import ACTIONS, BANK_KEYS, UNSIGNED, Limit, LimitWord, Policy, goods_key
from zhentu.errors import ConfigError
from zhentu.types import CATEGORIES, Action, Category, Mode, Profile, Trust
from zhentu.yaml_text import read_yaml

_KEYS = ("version", "mode", "rollout", "profile", "prior", "thresholds", "comparison", "banks", "provenance")
_LONGEST_VERSION = 200  # it stands in every record, row and answer
LEAST_PRIOR, MOST_PRIOR = 1e-4, 1 - 1e-4  # beyond them scores would crowd at 0 or 1 and no longer differ
_TRUSTS = (Trust.SIGNED, Trust.DECLARED, Trust.FORGEABLE)


def default_policy_path() -> Path:
    """The policy shipped with the package, or the checkout's `configs/policy.yaml`."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_configs" / "policy.yaml"
    return installed if installed.is_file() else package.parents[1] / "configs" / "policy.yaml"


def load_policy(path: Path) -> Policy:
    """Read and check a policy file. Raises ConfigError with all problems."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    return parse_policy(text, str(path))


def parse_policy(text: str, source: str) -> Policy:
    """Check a policy's text. Raises ConfigError with all problems; `source` names it there."""
    try:
        content = read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(source, [f"not YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise ConfigError(source, [f"must be a mapping with {', '.join(_KEYS)}"])
    problems: list[str] = _unknown(content, _KEYS, "")
    problems += [f"{key}: is missing" for key in ("version", "mode", "thresholds") if key not in content]
    version = _version(content.get("version", ""), problems) if "version" in content else ""
    mode = _mode(content.get("mode", Mode.ENFORCE.value), problems)
    thresholds = _thresholds(content.get("thresholds", {}), problems)
    provenance = _provenance(content.get("provenance", {}), problems)
    rollout = _rollout(content.get("rollout", 100), problems)
    banks = _banks(content.get("banks", {}), problems)
    comparison = _comparison(content.get("comparison", {}), problems)
    profile = _profile(content.get("profile", Profile.BALANCED.value), problems)
    prior = _prior(content.get("prior", {}), problems)
    if problems:
        raise ConfigError(source, problems)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Policy(version, digest, mode, thresholds, provenance, rollout, banks, comparison, profile, prior)


def _version(value: object, problems: list[str]) -> str:
    """What every record and row names as the policy that decided."""
    if not isinstance(value, str):
        problems.append(f"version: must be text; put {value!r} in quotes")
    elif not value.strip():
        problems.append("version: is empty; name this state of the policy, e.g. a date, for records to refer to")
    elif value != value.strip() or not value.isprintable():
        problems.append(f"version: {value!r} begins or ends with white space, or holds what cannot be printed")
    elif len(value) > _LONGEST_VERSION:
        problems.append(f"version: has {len(value)} characters, the limit is {_LONGEST_VERSION}; comments hold more")
    return str(value)


def _mode(value: object, problems: list[str]) -> Mode:
    if value is False:  # YAML reads a bare `off` as false
        value = Mode.OFF.value
    names = [mode.value for mode in Mode]
    if value not in names:
        problems.append(f"mode: {value!r} is not one of {', '.join(names)}{_hint(value, names)}")
        return Mode.ENFORCE
    return Mode(str(value))


def _profile(value: object, problems: list[str]) -> Profile:
    names = [profile.value for profile in Profile]
    if value not in names:
        problems.append(f"profile: {value!r} is not one of {', '.join(names)}{_hint(value, names)}")
        return Profile.BALANCED
    return Profile(str(value))


def _prior(section: object, problems: list[str]) -> Mapping[Category, float]:
    categories = [category.value for category in CATEGORIES]
    if not isinstance(section, dict):
        problems.append(
            f"prior: must be a mapping from {', '.join(categories)} to a share of your pictures, or `model`"
        )
        return {}
    problems += _unknown(section, categories, "prior.")
    shares: dict[Category, float] = {}
    for name, value in section.items():
        if name not in categories or value == LimitWord.MODEL:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool) and LEAST_PRIOR <= value <= MOST_PRIOR:
            shares[Category(name)] = float(value)
        else:
            problems.append(
                f"prior.{name}: {value!r} is not a share from {LEAST_PRIOR} to {MOST_PRIOR} (0.05 is one picture in "
                "twenty) or `model`"
            )
    return shares


def _rollout(value: object, problems: list[str]) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
        return float(value)
    problems.append(f"rollout: {value!r} is not a percentage from 0 to 100")
    return 0.0


def _banks(section: object, problems: list[str]) -> Mapping[str, Action]:
    if not isinstance(section, dict):
        problems.append(f"banks: must be a mapping from {', '.join(BANK_KEYS)} to an action")
        return {}
    problems += _unknown(section, BANK_KEYS, "banks.")
    actions = [action.value for action in Action]
    chosen: dict[str, Action] = {}
    for name, value in section.items():
        if name not in BANK_KEYS:
            continue
        if value not in actions:
            problems.append(f"banks.{name}: {value!r} is not one of {', '.join(actions)}{_hint(value, actions)}")
        elif Action(value) is Action.BLOCK and str(name).endswith("_similar"):
            problems.append(f"banks.{name}: a perceptual match ignores colour, it may not block; use review")
        else:
            chosen[str(name)] = Action(value)
    return chosen


def _comparison(section: object, problems: list[str]) -> Mapping[Action, Limit]:
    actions = [action.value for action in ACTIONS]
    if not isinstance(section, dict):
        problems.append(f"comparison: must be a mapping from {', '.join(actions)} to thresholds")
        return {}
    problems += _unknown(section, actions, "comparison.")
    limits: dict[Action, Limit] = {}
    for name, value in section.items():
        if name not in actions:
            continue
        if value == LimitWord.MODEL and name != Action.REVIEW.value:
            problems.append(f"comparison.{name}: comparisons ship a threshold for review only; give a number or `off`")
        else:
            limits[Action(name)] = _limit(value, f"comparison.{name}", problems)
    problems += _order(limits, "comparison")
    return limits


def _thresholds(section: object, problems: list[str]) -> Mapping[tuple[Category, str], Mapping[Action, Limit]]:
    if not isinstance(section, dict):
        problems.append("thresholds: must be a mapping from forgery category to actions")
        return {}
    categories, actions = [category.value for category in CATEGORIES], [action.value for action in ACTIONS]
    limits: dict[tuple[Category, str], dict[Action, Limit]] = {}
    for key, entry in section.items():
        category, _, goods = str(key).partition(":")
        path = f"thresholds.{key}"
        if category not in categories:
            problems.append(f"{path}: unknown forgery category{_hint(category, categories)}")
            continue
        goods = goods_key(goods)
        if ":" in str(key) and not goods:
            problems.append(f"{path}: no goods category after the colon")
        if (Category(category), goods) in limits:
            problems.append(f"{path}: there twice; upper and lower case are one goods category")
        if not isinstance(entry, dict):
            problems.append(f"{path}: must be a mapping from {', '.join(actions)} to thresholds")
            continue
        problems += _unknown(entry, actions, f"{path}.")
        found = limits[Category(category), goods] = {
            Action(name): _limit(value, f"{path}.{name}", problems) for name, value in entry.items() if name in actions
        }
        problems += _order(found, path)
    return limits


def _limit(value: object, path: str, problems: list[str]) -> Limit:
    if value is False or value == LimitWord.OFF:
        return LimitWord.OFF
    if value == LimitWord.MODEL:
        return LimitWord.MODEL
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    problems.append(f"{path}: {value!r} is not a number from 0 to 1, `model` or `off`")
    return LimitWord.OFF


def _order(entry: Mapping[Action, Limit], path: str) -> list[str]:
    numbers = [(action, entry[action]) for action in ACTIONS if isinstance(entry.get(action), float)]
    return [
        f"{path}: {graver.value} at {high} would come before {milder.value} at {low}; "
        "the graver action needs the higher score"
        for (milder, low), (graver, high) in pairwise(numbers)
        if float(high) < float(low)
    ]


def _provenance(section: object, problems: list[str]) -> Mapping[Trust, Action]:
    if not isinstance(section, dict):
        problems.append("provenance: must be a mapping from trust to action")
        return {}
    trusts, actions = [trust.value for trust in _TRUSTS], [action.value for action in Action]
    problems += _unknown(section, trusts, "provenance.")
    chosen: dict[Trust, Action] = {}
    for name, value in section.items():
        if name not in trusts:
            continue
        if value not in actions:
            problems.append(f"provenance.{name}: {value!r} is not one of {', '.join(actions)}{_hint(value, actions)}")
        elif Action(value) is Action.BLOCK and Trust(name) in UNSIGNED:
            problems.append(
                f"provenance.{name}: unsigned marks can be forged or stripped, they may not block; use review"
            )
        else:
            chosen[Trust(name)] = Action(value)
    return chosen


def _unknown(section: Mapping[object, object], known: Iterable[str], prefix: str) -> list[str]:
    known = list(known)
    return [f"Unknown key '{prefix}{key}'.{_hint(key, known)}" for key in section if key not in known]


def _hint(value: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(value), list(known), 1)
    return f" Did you mean '{close[0]}'?" if close else ""
