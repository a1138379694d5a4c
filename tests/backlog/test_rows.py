from __future__ import annotations

import csv
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import encoded, photo

from zhentu.backlog.items import Item
from zhentu.backlog.outputs import write_rows
from zhentu.backlog.rows import ScanRow, plain, row_of_crash, row_of_error
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.errors import PictureTruncated
from zhentu.settings import Settings

ODD = ScanRow('a,"b"\n真图 =1+1.jpg', detail="line\r\nbreak", forged=0.5, width=3)


def test_a_row_survives_its_json_line() -> None:
    assert "\n" not in ODD.to_json()
    assert ScanRow.from_json(ODD.to_json()) == ODD


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_odd_names_come_back_from_every_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{suffix}"
    write_rows([ODD, ScanRow("b")], path)
    if suffix == "csv":
        with path.open(newline="", encoding="utf-8") as stream:
            found = [row["path"] for row in csv.DictReader(stream)]
    elif suffix == "jsonl":
        found = [ScanRow.from_json(line).path for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        found = pq.read_table(path).column("path").to_pylist()
    assert found == [ODD.path, "b"]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_errors_keep_their_code_and_unknown_ones_their_name() -> None:
    assert row_of_error(Item("a"), PictureTruncated("ends early")).error == "picture_truncated"
    unknown = row_of_error(Item("a"), KeyError("x"))
    assert (unknown.error, unknown.detail) == ("internal_error", "KeyError: 'x'")
    assert row_of_crash(Item("a")).error == "worker_crashed"


def test_text_that_no_file_could_hold_is_escaped() -> None:
    assert plain("a\udce9\ud800真") == "a\\udce9\\ud800真"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_name_that_is_no_utf8_and_a_broken_link_have_their_rows(
    suffix: str, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).write_bytes(encoded(photo(), "JPEG"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (folder / "gone.jpg").symlink_to("nowhere")
    rows: list[ScanRow] = []
    run_scan(ScanJob((str(folder),), tmp_path / f"rows.{suffix}"), settings, lambda each: rows.append(each.row))
    assert [(Path(row.path).name, row.error) for row in rows] == [
        ("caf\\udce9.jpg", ""),
        ("gone.jpg", "picture_not_found"),
    ]
