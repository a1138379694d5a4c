"""A scan that is started in a folder of sellers' files imports nothing of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import encoded, photo

from zhentu.settings import Settings

# The console script, whose path of modules begins with the script's folder, not with the working directory.
_SCRIPT = """
from zhentu.cli import main
if __name__ == "__main__":
    main()
"""


def test_a_module_in_the_working_directory_is_not_imported(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    for name in ("h2", "httpcore", "json", "numpy", "zhentu"):  # whatever a worker imports first
        (folder / f"{name}.py").write_text("raise SystemExit('somebody else runs code here')")
    (tmp_path / "run.py").write_text(_SCRIPT)
    ran = subprocess.run(
        [
            sys.executable,
            str(tmp_path / "run.py"),
            "scan",
            ".",
            "--output",
            str(tmp_path / "rows.csv"),
            "--workers",
            "1",
        ],
        cwd=folder,
        env=os.environ | {"ZHENTU_MODELS_DIR": str(settings.models.dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "somebody else" not in ran.stderr
    assert "a.jpg" in (tmp_path / "rows.csv").read_text(encoding="utf-8-sig")
