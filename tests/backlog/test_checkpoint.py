from __future__ import annotations

from pathlib import Path

import pytest

from zhentu.backlog.checkpoint import Checkpoint
from zhentu.backlog.rows import ScanRow
from zhentu.errors import UsageError


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def kept(output: Path, versions: str = "v1", resume: bool = True, paths: str = "abcd") -> list[str]:
    with Checkpoint(output, versions, resume) as checkpoint:
        return [row.path for row in checkpoint.rows(paths)]


def keep(output: Path, paths: str) -> Path:
    with Checkpoint(output, "v1", True) as checkpoint:
        checkpoint.add(ScanRow(path) for path in paths)
        return checkpoint.path


def test_rows_are_there_again_in_the_order_asked_for(output: Path) -> None:
    keep(output, "ca")
    keep(output, "b")
    assert kept(output) == ["a", "b", "c"]


def test_other_versions_or_no_resume_begin_anew(output: Path) -> None:
    keep(output, "ab")
    assert kept(output, versions="v2") == []
    keep(output, "ab")
    assert kept(output, resume=False) == []


def test_a_line_that_is_no_row_is_dropped_and_the_others_stay(output: Path) -> None:
    partial = keep(output, "ab")
    partial.write_bytes(partial.read_bytes() + b"\x00\xff\n[1]\n" + ScanRow("c").to_json().encode() + b'\n{"path": "d')
    assert kept(output) == ["a", "b", "c"]
    keep(output, "d")
    assert kept(output) == ["a", "b", "c", "d"]


def test_a_path_kept_twice_has_one_row(output: Path) -> None:
    keep(output, "aab")
    assert kept(output) == ["a", "b"]


def test_two_scans_cannot_write_one_output(output: Path) -> None:
    with Checkpoint(output, "v1", True), pytest.raises(UsageError, match="another scan"):
        Checkpoint(output, "v1", True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        Checkpoint(tmp_path / "missing" / "rows.csv", "v1", True)
