"""Reference pages made from the code: commands from typer, settings from settings.py, Python from docstrings."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from zhentu.settings import PREFIX, Settings

API: Mapping[str, tuple[str, ...]] = {
    "Screening": ("zhentu.bootstrap.screener", "zhentu.screen"),
    "Values": ("zhentu.types.enums", "zhentu.types.values"),
    "Errors": ("zhentu.errors",),
    "Client": ("zhentu.client.client", "zhentu.client.asgi", "zhentu.client.answer"),
    "Policy": ("zhentu.decide.policy", "zhentu.decide.policy_file"),
    "Labels": ("zhentu.mark.label", "zhentu.mark.spec", "zhentu.mark.verify", "zhentu.mark.notices"),
    "Pictures": ("zhentu.intake.decode", "zhentu.intake.provenance"),
}


def command_line_page() -> str:
    """Every command with its options, as `typer` itself documents them."""
    command = [sys.executable, "-m", "typer", "zhentu.cli.app", "utils", "docs", "--name", "zhentu"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return made.replace("# `zhentu`", "# Commands", 1)


def settings_page() -> str:
    """Every setting: environment variable, type, default, what it is for."""
    text = "# Settings\n\nFrom the environment, over a YAML file (`zhentu --config FILE`), over these defaults.\n"
    return text + "".join(_group(Settings, "", PREFIX, 2))


def api_pages() -> dict[str, str]:
    """One page of Python reference; the generator fills it in."""
    parts = [f"## {title}\n\n" + "".join(f"::: {each}\n\n" for each in modules) for title, modules in API.items()]
    return {"reference/api.md": "# Python\n\n" + "\n".join(parts)}


def _group(model: type[BaseModel], path: str, prefix: str, level: int) -> Iterator[str]:
    """A table of a group's own settings under its docstring, then the groups in it."""
    yield f"\n{'#' * level} {path.rstrip('.') or 'All settings'}\n\n{_prose(model)}\n\n"
    inner = {name: kind for name, field in model.model_fields.items() if (kind := _nested(field)) is not None}
    rows = [_row(name, field, path, prefix) for name, field in model.model_fields.items() if name not in inner]
    if rows:
        yield "| setting | environment | type | default |\n| --- | --- | --- | --- |\n" + "".join(rows)
    for name, kind in inner.items():
        yield from _group(kind, f"{path}{name}.", f"{prefix}{name.upper()}_", level + 1)


def _row(name: str, field: FieldInfo, path: str, prefix: str) -> str:
    kind = re.sub(r"\b(?:[a-z_]+\.)+(\w+)", r"\1", str(getattr(field.annotation, "__name__", field.annotation)))
    cells = (f"`{path}{name}`", f"`{prefix}{name.upper()}`", f"`{kind}`{_limits(field)}", _default(field))
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |\n"


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
    value = getattr(field.default, "value", field.default)
    return "`none`" if value is None else f"`{value}`" if value != "" else "empty"


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _prose(model: type[BaseModel]) -> str:
    """The docstring: its first paragraph as it is, then each "name: words" on a line of its own."""
    first, _, rest = (inspect.getdoc(model) or "").partition("\n\n")
    flowed = re.sub(r"\s*\n\s*", " ", rest)
    told = [each.strip().rstrip(".") for each in re.split(r"\s{2,}|(?<=\.) (?=[a-z_, ]+: )", flowed) if each.strip()]
    return f"{first}\n\n" + "\n".join(f"- {_named(each)}." for each in told)


def _named(sentence: str) -> str:
    names, colon, words = sentence.partition(": ")
    return f"`{names}`: {words}" if colon and re.fullmatch(r"[\w, ]+", names) else sentence
