from __future__ import annotations

import csv
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import encoded, photo

from zhentu.backlog.items import Item
from zhentu.backlog.outputs import read_columns, write_rows
from zhentu.backlog.rows import ScanRow, plain, row_of_crash, row_of_error
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.cells import from_cell, to_cell
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
        with path.open(newline="", encoding="utf-8-sig") as stream:
            found = [from_cell(row["path"]) for row in csv.DictReader(stream)]
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
    assert sorted((Path(row.path).name, row.error) for row in rows) == [
        ("caf\\udce9.jpg", ""),
        ("gone.jpg", "picture_not_found"),
    ]


CELLS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", "'=x", "''=x", "'plain", "a=b", "", "真图"]


@pytest.mark.parametrize("text", CELLS)
def test_no_cell_is_a_formula_and_each_comes_back(text: str) -> None:
    written = to_cell(text)
    assert not written or written[0] not in "=+-@\t\r"
    assert from_cell(written) == text


def test_numbers_are_no_texts_and_stay_numbers() -> None:
    assert [to_cell(each) for each in (-1, -0.5, True, None)] == [-1, -0.5, True, ""]


def test_rows_open_in_chinese_excel_and_come_back_from_it(tmp_path: Path) -> None:
    path, rows = tmp_path / "rows.csv", [ScanRow("=杯子.jpg", "a" * 64, action="label"), ScanRow("b;c.jpg", "b" * 64)]
    write_rows(rows, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    columns = ("path", "sha256", "action")
    expected = [{name: getattr(row, name) for name in columns} for row in rows]
    assert read_columns(path, columns) == expected
    with path.open(encoding="utf-8-sig", newline="") as stream:
        cells = list(csv.reader(stream))
    with (tmp_path / "saved.csv").open("w", encoding="gb18030", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(cells)  # as Excel saves it again
    assert read_columns(tmp_path / "saved.csv", columns) == expected
