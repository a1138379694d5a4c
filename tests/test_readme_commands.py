"""Every command in both READMEs is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loadgen import free_port, gate_command, started

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh-CN.md")
BLOCK = re.compile(r"(?:<!-- test: (\w+) -->\n)?```(\w+)\n(.*?)```", re.S)


def blocks(readme: str, language: str, mark: str = "") -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return [body for marked, lang, body in BLOCK.findall(text) if lang == language and marked == mark]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    shutil.copy(ROOT / "src/zhentu/samples/genuine_cup.jpg", tmp_path / "pictures" / "cup.jpg")
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    own = str(Path(sys.executable).parent)
    return os.environ | {"PATH": f"{own}:{os.environ['PATH']}", "XDG_DATA_HOME": str(place)}


def test_both_readmes_hold_the_same_commands() -> None:
    for mark, language in (("", "bash"), ("install", "bash"), ("server", "bash"), ("", "python")):
        found = [[re.sub(r"\s*#.*", "", body) for body in blocks(readme, language, mark)] for readme in READMES]
        assert found[0] == found[1]
        assert found[0]


@pytest.mark.parametrize("readme", READMES)
def test_every_command_runs(readme: str, place: Path) -> None:
    for body in blocks(readme, "bash"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", body], cwd=place, env=environment(place), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert (place / "rows.csv").is_file()
    assert (place / "report.html").is_file()
    assert (place / "heat.png").is_file()


def test_the_python_example_runs(place: Path) -> None:
    (body,) = blocks("README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", body], cwd=place, env=environment(place), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "forged" in done.stdout


@pytest.fixture
def server(place: Path) -> Iterator[int]:
    port, patient = free_port(), {"ZHENTU_GATE_DEADLINE_S": "120"}
    with started(gate_command(port), port, environment(place) | patient, cwd=place) as process:
        yield port
    assert process.returncode in (0, -15)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_examples_are_answered(server: int, place: Path) -> None:
    (body,) = blocks("README.md", "bash", "server")
    for line in body.replace(":8000", f":{server}").strip().splitlines():
        done = subprocess.run(["bash", "-c", line], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "tiny" in done.stdout or "zhentu" in done.stdout


def test_make_does_what_the_pip_lines_say() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "pip install --quiet --editable .\n" in makefile
    assert "pip install --quiet --editable '.[dev,train,cluster]'" in makefile
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("exec make test")
