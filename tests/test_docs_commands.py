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
READMES = ("README.md", "README.zh-CN.md")
COMMAND = re.compile(
    r"^(?:[A-Z_]+=\S+ )*(?:\S*/)?(?:python3?|pip|zhentu(?:-\w+)?|make|curl|ray|git|docker|kubectl|export|uv) ", re.M
)
INDENTED = re.compile(r"\n\n((?:    \S.*\n)+)")  # a block of Markdown's other form, which names no language
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


def runs(name: str, language: str) -> bool:
    """Whether the documents' own tests run such a block."""
    return language in ("bash", "python") and name in (*RUN, *READMES)


@pytest.mark.parametrize("name", [*DOCS, *READMES])
def test_every_command_is_run_or_says_why_not(name: str) -> None:
    silent = [
        body.splitlines()[0]
        for mark, language, body in blocks(name)
        if (language in ("bash", "python") or COMMAND.search(body))
        and not runs(name, language)
        and not re.match(r"not run: .{15,}", mark)
    ]
    assert silent == []


@pytest.mark.parametrize("name", [*DOCS, *READMES])
def test_no_command_hides_in_a_block_without_a_language(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    unfenced = re.sub(r"```.*?```", "", text, flags=re.S)
    assert [body for body in INDENTED.findall(unfenced) if COMMAND.search(body.replace("    ", ""))] == []


@pytest.mark.parametrize("name", [*DOCS, *READMES])
def test_every_program_of_the_repository_is_there_with_its_options(name: str) -> None:
    wrong = []
    for _, _, body in blocks(name):
        for line in body.replace("\\\n", " ").splitlines():
            words = line.partition(" #")[0].split()
            found = re.search(r"(?:^|\s|/)python3? (?:-m (?P<module>zhentu_training\S*)|(?P<script>scripts/\S+))", line)
            if not found:
                continue
            module = (found["module"] or "").replace(".", "/")
            module = "zhentu_training/run" if module == "zhentu_training" else module
            source = ROOT / (found["script"] or f"training/{module}.py")
            text = source.read_text(encoding="utf-8") if source.is_file() else ""
            wrong += [f"{source.name}: {word}" for word in words if word.startswith("--") and f'"{word}"' not in text]
            wrong += [] if text else [f"{source} is not there"]
    assert wrong == []


@pytest.mark.parametrize("name", [*DOCS, *READMES])
def test_every_script_that_is_named_is_there(name: str) -> None:
    named = re.findall(r"`(?:python )?(scripts/[\w/]+\.py)", (ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", [*DOCS, *READMES])
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
