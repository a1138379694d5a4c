"""exiftool as the independent reader and writer; tests that need it are skipped, loudly, where it is missing."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None,
    reason="exiftool is not installed: apt-get install libimage-exiftool-perl (.ci/run does so as root)",
)
CONFIG = Path(__file__).with_name("exiftool.config")
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tif", "AVIF": "avif"}


def read(payload: bytes, form: str, folder: Path) -> dict[str, object]:
    """Every tag by "group1:name"; tags that stand there twice keep both values in a list."""
    path = folder / f"read.{SUFFIXES[form]}"
    path.write_bytes(payload)
    (found,) = json.loads(_run("-json", "-G1", "-a", "-struct", "-api", "requestall=0", str(path)))
    return dict(found)


def labels(payload: bytes, form: str, folder: Path) -> list[tuple[str, str]]:
    """(group, value) of everything exiftool calls AIGC, or that holds one."""
    path = folder / f"labels.{SUFFIXES[form]}"
    path.write_bytes(payload)
    lines = _run("-G1", "-a", "-s", "-m", "-charset", "utf8", str(path)).splitlines()
    pairs = [(line.split("]")[0].lstrip("["), line.split("]")[1]) for line in lines if "]" in line]
    values = [(group, rest.partition(":")) for group, rest in pairs]
    return [(group, value.strip()) for group, (name, _, value) in values if "AIGC" in name or '"Label"' in value]


def write(payload: bytes, form: str, folder: Path, *arguments: str) -> bytes:
    """The picture after exiftool wrote into it."""
    path = folder / f"write.{SUFFIXES[form]}"
    path.write_bytes(payload)
    said = _run("-overwrite_original", "-m", *arguments, str(path))
    assert "1 image files updated" in said, said
    return path.read_bytes()


def _run(*arguments: str) -> str:
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join([*arguments, "-execute", ""]))
    process.stdin.flush()
    lines: list[str] = []
    for line in process.stdout:
        if line.strip() == "{ready}":
            return "".join(lines)
        lines.append(line)
    raise AssertionError(f"exiftool ended: {''.join(lines)}")


@lru_cache(maxsize=1)
def _process() -> subprocess.Popen[str]:
    command = ["exiftool", "-config", str(CONFIG), "-stay_open", "True", "-@", "-"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    atexit.register(process.kill)
    return process
