"""Generate reference pages from the code: commands by typer, settings from their groups, Python from docstrings."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from zhentu.settings import Settings
from zhentu.settings.groups import variable

API: Mapping[str, tuple[str, ...]] = {
    "Screening": ("zhentu.bootstrap.screener", "zhentu.screen"),
    "Values": ("zhentu.types.enums", "zhentu.types.pictures", "zhentu.types.values", "zhentu.types.screening"),
    "Errors": ("zhentu.errors",),
    "Client": ("zhentu.client.client", "zhentu.client.asgi", "zhentu.client.answer"),
    "Policy": ("zhentu.decide.policy", "zhentu.decide.policy_file"),
    "Labels": ("zhentu.mark.label", "zhentu.mark.spec", "zhentu.mark.verify", "zhentu.mark.notices"),
    "Pictures": ("zhentu.intake.decode", "zhentu.intake.provenance"),
}


def command_line_page() -> str:
    """Every command and its options, as typer documents them."""
    command = [sys.executable, "-m", "typer", "zhentu.cli.app", "utils", "docs", "--name", "zhentu"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return made.replace("# `zhentu`", "# Commands", 1)


def settings_page() -> str:
    """Every setting with its environment variable, type, default and purpose."""
    text = (
        "# Settings\n\nFrom the environment, over a YAML file (`zhentu --config FILE`), over these defaults. In the "
        "file a group is a mapping: `gate.port` is `port` under `gate:`.\n"
    )
    return text + "".join(_group(Settings, "", 2))


def api_pages() -> dict[str, str]:
    """The page of the Python reference; the site generator fills it in."""
    parts = [f"## {title}\n\n" + "".join(f"::: {each}\n\n" for each in modules) for title, modules in API.items()]
    return {"reference/api.md": "# Python\n\n" + "\n".join(parts)}


def _group(model: type[BaseModel], path: str, level: int) -> Iterator[str]:
    """A group's docstring, a table of its own settings, then the groups inside it."""
    yield f"\n{'#' * level} {path.rstrip('.') or 'All of zhentu'}\n\n{inspect.getdoc(model)}\n\n"
    inner = {name: kind for name, field in model.model_fields.items() if (kind := _nested(field)) is not None}
    yield "| setting | environment | type | default | what it is for |\n| --- | --- | --- | --- | --- |\n"
    purposes = _purposes(model)
    for name, field in model.model_fields.items():
        if name not in inner:
            yield _row(f"{path}{name}", field, purposes.get(name, ""))
    for name, kind in inner.items():
        yield from _group(kind, f"{path}{name}.", level + 1)


def _purposes(model: type[BaseModel]) -> dict[str, str]:
    """The docstring under each setting. pydantic could read them too, but that would cost every command 35 ms."""
    body = ast.parse(inspect.getsource(model)).body[0].body  # type: ignore[attr-defined]
    return {
        setting.target.id: " ".join(below.value.value.split())
        for setting, below in itertools.pairwise(body)
        if isinstance(setting, ast.AnnAssign) and isinstance(setting.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def _row(path: str, field: FieldInfo, purpose: str) -> str:
    cells = (f"`{path}`", f"`{variable(path)}`", _kind(field), _default(field), purpose)
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |\n"


def _kind(field: FieldInfo) -> str:
    """The type as written in Python, without modules and constraints, then its choices or limits."""
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(next(iter(kind)), str):
        return ", ".join(f"`{each.value}`" for each in kind)
    named = str(kind.__name__ if isinstance(kind, type) and not get_args(kind) else kind)
    named = re.sub(r"Annotated\[([\w.]+), FieldInfo\(.*?\]\)\]", r"\1", named)
    named = re.sub(r"Optional\[(.*)\]", r"\1 | None", named)
    named = re.sub(r"\b(?:[a-z_]+\.)+(\w+)", r"\1", named)
    return f"`{named}`{_limits(field)}"


def _limits(field: FieldInfo) -> str:
    words = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(each, name)}"
        for each in field.metadata
        for name, sign in words.items()
        if hasattr(each, name)
    ]
    return f" {', '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "made at start"
    if field.default is PydanticUndefined:
        return "none: must be given"
    if isinstance(field.default, frozenset | tuple):
        return ", ".join(f"`{getattr(each, 'value', each)}`" for each in sorted(field.default)) or "none"
    value = getattr(field.default, "value", field.default)
    return "none" if value is None else f"`{value}`" if value != "" else "empty"


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
