"""Every command in docs/ is run by a test, or says why not; and every one of them exists, with its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from zhentu.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"(?:<!-- ([^>]*) -->\n)?```(\w+)\n(.*?)```", re.S)
RUN = {"docs/labels.md", "docs/labels.zh-CN.md"}  # by tests/mark/test_label_docs.py


def blocks(name: str) -> list[tuple[str, str, str]]:
    """What is marked, language and body of each block."""
    return BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))


def lines(name: str) -> Iterator[list[str]]:
    """Each `zhentu` command of a document as words, without its comment."""
    for _, language, body in blocks(name):
        for line in body.replace("\\\n", " ").splitlines() if language in ("bash", "text") else ():
            if line.startswith("zhentu "):
                yield shlex.split(line, comments=True)


@pytest.mark.parametrize("name", DOCS)
def test_every_command_is_run_or_says_why_not(name: str) -> None:
    silent = [
        body.splitlines()[0]
        for mark, language, body in blocks(name)
        if language in ("bash", "python") and name not in RUN and not re.match(r"not run: .{15,}", mark)
    ]
    assert silent == []


@pytest.mark.parametrize("name", DOCS)
def test_a_test_that_a_document_names_is_there(name: str) -> None:
    named = [path for mark, _, _ in blocks(name) for path in re.findall(r"tests/[\w/]+(?:\.py)?", mark)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", [*DOCS, "README.md", "README.zh-CN.md"])
def test_every_command_exists_with_its_options(name: str) -> None:
    for words in lines(name):
        command, left = typer.main.get_command(app), words[1:]
        while left and left[0] in getattr(command, "commands", {}):
            command, left = command.commands[left[0]], left[1:]
        assert not getattr(command, "commands", {}), f"{name}: {' '.join(words)}: no such command"
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        used = [word.partition("=")[0] for word in left if re.match(r"--?[a-z]", word)]
        assert [option for option in used if option not in known] == [], f"{name}: {' '.join(words)}"
