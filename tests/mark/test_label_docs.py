"""The commands and the Python example of docs/labels.md are run, and both languages show the same commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from zhentu.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("labels.md", "labels.zh-CN.md")]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_examples_run(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    shutil.copy(ROOT / "src/zhentu/samples/genuine_cup.jpg", tmp_path / "pictures" / "cup.jpg")
    own = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{own}:{os.environ['PATH']}", "XDG_DATA_HOME": str(tmp_path)}
    (commands,) = blocks(DOCS[0], "bash")
    (example,) = blocks(DOCS[0], "python")
    for call in (["bash", "-euo", "pipefail", "-c", commands], [sys.executable, "-c", example]):
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "labelled" / "cup.jpg").is_file()


def test_both_languages_show_the_same_commands() -> None:
    found = [[re.sub(r"\s*#.*", "", block) for block in blocks(text, "bash")] for text in DOCS]
    assert found[0] == found[1]


def test_every_label_setting_is_explained() -> None:
    settings = [name for name in Settings.model_fields if name.startswith(("label_", "c2pa_", "notices", "appeal_url"))]
    shown = DOCS[0].replace("`_", "`label_")
    assert [name for name in settings if name not in shown] == []
