"""YAML that people write: read safely, and a key that stands there twice is said and not swallowed."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class DoubledKey(yaml.YAMLError):
    """A mapping names one key twice; YAML's own readers keep the last and drop the others without a word."""


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """As `SafeLoader` does. Raises DoubledKey."""
        if isinstance(node, yaml.MappingNode):
            seen: set[Hashable] = set()
            # Before what `<<` merges is laid beneath: to override that is what it is for.
            for name, _ in node.value:
                if name.tag == _MERGE or not isinstance(name, yaml.ScalarNode):
                    continue
                key = self.construct_object(name)
                if key in seen:
                    raise DoubledKey(f"line {name.start_mark.line + 1}: key {key!r} given twice; keep one of them")
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """The content of a YAML text. Raises yaml.YAMLError; of a doubled key with its line."""
    return yaml.load(text, _Strict)  # noqa: S506 - a safe loader
