"""Change thresholds in the text of a policy file: comments, order and everything else stay as written."""

from __future__ import annotations

import json
from collections.abc import Sequence

import yaml

from zhentu.decide.policy_file import parse_policy
from zhentu.errors import ConfigError
from zhentu.types import Threshold

_MARK = "# zhentu policy fit: "
_BY_HAND = "thresholds: categories share one YAML node; write each out, or put the numbers in by hand"


def with_thresholds(text: str, source: str, thresholds: Sequence[Threshold], version: str, note: str) -> str:
    """A checked policy's text with these thresholds, another version, and a first line that says where they are from.

    Those of goods categories stay. Raises ConfigError if the text is written so that they cannot be put in.
    """
    changed = text
    for each in thresholds:
        value = json.dumps(each.value)
        changed = _set(changed, ("thresholds", each.category.value, each.action.value), value, source)
    changed = _set(changed, ("version",), json.dumps(version), source)
    kept = [line for line in changed.splitlines(keepends=True) if not line.startswith(_MARK)]
    changed = f"{_MARK}{note}\n{''.join(kept)}"
    before, after = parse_policy(text, source), parse_policy(changed, source)
    wanted = {key: dict(limits) for key, limits in before.limits.items()}
    for each in thresholds:
        wanted.setdefault((each.category, ""), {})[each.action] = each.value
    if {key: dict(limits) for key, limits in after.limits.items()} != wanted:  # e.g. one anchor for two categories
        raise ConfigError(source, [_BY_HAND])
    return changed


def _set(text: str, path: Sequence[str], value: str, source: str) -> str:
    """Put a scalar at a path of mappings, in the place of what is there or as the first key of its mapping."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:  # an alias whose anchor stood where a threshold was put in
        raise ConfigError(source, [_BY_HAND]) from error
    if root is None:
        raise ConfigError(source, ["is empty"])
    node: yaml.Node = root
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(source, [f"{'.'.join(path[:depth])}: is not a mapping"])
        child = next((found for name, found in node.value if name.value == key), None)
        if child is None:
            return _first_key(text, node, path[depth:], value)
        node = child
    return f"{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}"


def _first_key(text: str, mapping: yaml.MappingNode, path: Sequence[str], value: str) -> str:
    inner = value
    for key in reversed(path[1:]):
        inner = f"{{{key}: {inner}}}"
    entry = f"{path[0]}: {inner}"
    if mapping.flow_style:
        inside = text.index("{", mapping.start_mark.index) + 1  # an anchor may stand before the brace
        return f"{text[:inside]}{entry}{', ' if mapping.value else ''}{text[inside:]}"
    at = mapping.value[0][0].start_mark
    return f"{text[: at.index]}{entry}\n{' ' * at.column}{text[at.index :]}"
