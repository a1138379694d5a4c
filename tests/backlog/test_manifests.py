"""Sheets as programs save them: the same rows out, whatever the program."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlwt
from sqlalchemy import create_engine, text

from zhentu.backlog.items import Item
from zhentu.backlog.manifests import read_manifest, read_query
from zhentu.backlog.sheets import Sheet, SheetForm
from zhentu.backlog.sources import Finding, Found, find_items
from zhentu.cli.progress import _sheet_words
from zhentu.errors import UsageError
from zhentu.intake.skipped import Skipped
from zhentu.types import Listing

ROWS = [
    {
        "url": "https://shop.example/1.jpg",
        "listing_id": "L1",
        "seller_id": "S1",
        "goods": "apparel",
        "declared_ai": True,
        "references": ["r1.jpg", "r2.jpg"],
        "price": 3,
    },
    {"url": "b/2.jpg", "listing_id": "7", "seller_id": None, "goods": None, "declared_ai": None, "references": None},
]
ITEMS = [
    Item("https://shop.example/1.jpg", Listing("L1", "S1", "apparel", declared_ai=True), ("r1.jpg", "r2.jpg")),
    Item("b/2.jpg", Listing("7")),
]
HEADER = ["图片链接", "商品ID", "店铺", "标题", "是否AI生成"]
TABLE = [["杯子.jpg", 1001, "店铺A", "陶瓷杯；“新款”", "是"], ["b/2.jpg", 1002, None, 'a,b;c\t5" cup', "否"]]
TABLE_ITEMS = [
    Item("杯子.jpg", Listing("1001", "店铺A", "", "陶瓷杯；“新款”", True)),
    Item("b/2.jpg", Listing("1002", "", "", 'a,b;c\t5" cup', False)),
]


def read(content: bytes, name: str = "m.csv", form: SheetForm | None = None) -> list[Item | Skipped]:
    return list(read_manifest(io.BytesIO(content), name, form))


def skipped(found: list[Item | Skipped]) -> list[tuple[int, str]]:
    return [(each.line, each.reason.value) for each in found if isinstance(each, Skipped)]


def as_csv() -> bytes:
    lines = ["url,listing_id,seller_id,goods,declared_ai,references,price"]
    lines += ["https://shop.example/1.jpg,L1,S1,apparel,true,r1.jpg r2.jpg,3", "b/2.jpg,7,,,,,"]
    return ("\ufeff" + "\n".join(lines)).encode()


def as_jsonl() -> bytes:
    return "\n\n".join(json.dumps(row) for row in ROWS).encode()


def as_parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), stream)
    return stream.getvalue()


@pytest.mark.parametrize(("name", "make"), [("m.csv", as_csv), ("m.jsonl", as_jsonl), ("m.parquet", as_parquet)])
def test_every_form_gives_the_same_items(name: str, make: Callable[[], bytes]) -> None:
    assert read(make(), name) == ITEMS


def excel_csv(delimiter: str, ending: str) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=ending)
    writer.writerows([HEADER, *(["" if cell is None else cell for cell in row] for row in TABLE)])
    return stream.getvalue()


def xlsx() -> bytes:
    book = openpyxl.Workbook()
    for row in [HEADER, *TABLE]:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def xls() -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    for place, row in enumerate([HEADER, *TABLE]):
        for column, cell in enumerate(row):
            if cell is not None:
                sheet.write(place, column, cell)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def pandas_parquet() -> bytes:
    frame = pd.DataFrame(TABLE, columns=HEADER)
    frame["商品ID"] = frame["商品ID"].astype("float64")  # what a column of ids with a gap becomes
    frame["店铺"] = frame["店铺"].astype("category")
    return frame.to_parquet(index=False)


def duckdb_parquet(tmp_path: Path) -> bytes:
    values = ", ".join(
        f"('{row[0]}'::BLOB, {row[1]}::DOUBLE, {'NULL' if row[2] is None else repr(row[2])}, '{row[3]}', '{row[4]}')"
        for row in [["b/0.jpg", 1000, None, "x", "是"], ["b/1.jpg", 1001, "S", "y", "否"]]
    )
    names = ", ".join(f'"{name}"' for name in HEADER)
    path = tmp_path / "duck.parquet"
    duckdb.sql(f"COPY (SELECT * FROM (VALUES {values}) AS rows({names})) TO '{path}' (FORMAT parquet)")  # noqa: S608
    return path.read_bytes()


SAVED = {
    "Excel, CSV UTF-8": excel_csv(",", "\r\n").encode("utf-8-sig"),
    "Excel, CSV, Chinese Windows": excel_csv(",", "\r\n").encode("gb18030"),
    "Excel, Unicode text": excel_csv("\t", "\r\n").encode("utf-16"),
    "Excel, German list separator": excel_csv(";", "\r\n").encode("utf-8-sig"),
    "Excel for the old Mac": excel_csv(",", "\r").encode("utf-8"),
    "Google Sheets, CSV": excel_csv(",", "\r\n").removesuffix("\r\n").encode("utf-8"),
    "WPS, CSV with its separator named": b"sep=;\r\n" + excel_csv(";", "\r\n").encode("gb18030"),
    "Excel, xlsx": xlsx(),
    "Excel 97, xls": xls(),
    "pandas, Parquet": pandas_parquet(),
}


@pytest.mark.parametrize("program", SAVED)
def test_whatever_program_saved_it_the_rows_are_the_same(program: str) -> None:
    assert read(SAVED[program]) == TABLE_ITEMS


def test_a_warehouse_that_writes_text_as_bytes_and_ids_as_floats_is_read(tmp_path: Path) -> None:
    assert read(duckdb_parquet(tmp_path), "duck.parquet") == [
        Item("b/0.jpg", Listing("1000", "", "", "x", True)),
        Item("b/1.jpg", Listing("1001", "S", "", "y", False)),
    ]


def test_the_guess_is_told_and_can_be_set() -> None:
    told: list[tuple[str, SheetForm]] = []

    def hear(name: str, sheet: Sheet) -> None:
        told.append((sheet.kind, sheet.form))

    list(read_manifest(io.BytesIO("图片;标题\na.jpg;x\n".encode("gb18030")), "m.csv", None, hear))
    assert told == [("CSV", SheetForm("gb18030", ";"))]
    latin = read("path|title\né.jpg|x,y;z\n".encode("latin-1"), form=SheetForm("latin-1", "|"))
    assert latin == [Item("é.jpg", Listing(title="x,y;z"))]
    with pytest.raises(UsageError, match="--encoding klingon"):
        read(b"path\na.jpg\n", form=SheetForm("klingon"))


@pytest.mark.parametrize("header", [" Path ", "URL", "Image-URL", "\ufeff图片", "图片 链接", "ＵＲＬ", "主图"])
def test_headers_are_understood_whatever_their_case_space_and_language(header: str) -> None:
    assert read(f"{header},x\na.jpg,1\n".encode()) == [Item("a.jpg")]


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("m.csv", b"path,declared_ai\n1.jpg,perhaps\n2.jpg,no\n", [(2, "bad_row")]),
        ("m.csv", b"path,listing_id\n,3\n2.jpg,4\n", [(2, "bad_row")]),
        ("m.csv", b'path,title\n1.jpg,"never closed\n2.jpg,x\n', [(2, "bad_row")]),
        ("m.csv", b"path,title\n2.jpg,x\n,\n\n ,\t\n", [(3, "empty_row"), (5, "empty_row")]),
        ("m.csv", b"path,listing_id\n2.jpg,4\n3.jpg,\xff\xff\xff\n", [(3, "bad_row")]),
        ("m.jsonl", b'{"path": "2.jpg"}\n{"path"\n[1]\n{"x": 1}\n', [(2, "bad_row"), (3, "bad_row"), (4, "bad_row")]),
        ("m.csv", b"path,references\n2.jpg,\n1.jpg,[\n", [(3, "bad_row")]),
    ],
)
def test_a_bad_row_costs_that_row_and_its_line_is_known(name: str, content: bytes, lines: list[object]) -> None:
    found = read(content, name)
    assert skipped(found) == lines
    assert [each.path for each in found if isinstance(each, Item)] == ["2.jpg"]


def test_a_record_may_have_several_lines_and_lines_are_counted_as_an_editor_does() -> None:
    found = read(b'path,title\na.jpg,"two\nlines"\n,gone\n')
    assert found[0] == Item("a.jpg", Listing(title="two\nlines"))
    assert skipped(found) == [(4, "bad_row")]


def test_null_paths_of_parquet_cost_their_rows() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"path": ["a.jpg", None, "b.jpg"], "listing_id": pa.array([1, 2, 3])}), stream)
    found = read(stream.getvalue(), "m.parquet")
    assert skipped(found) == [(2, "bad_row")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", b"patth,listing_id\n1.jpg,2\n", "rename column 'patth'"),
        ("m.csv", b"", "needs a column"),
        ("m.parquet", b"PAR1 no", "not readable as Parquet"),
        ("m.xlsx", b"PK\x03\x04 no", "not readable as a workbook"),
        ("m.xls", b"<html><table><tr>", "a web page"),
    ],
)
def test_what_is_no_sheet_of_pictures_is_refused(name: str, content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(content, name)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("r1.jpg;r2.jpg", ["r1.jpg", "r2.jpg"]),
        ("r1.jpg | r2.png|", ["r1.jpg", "r2.png"]),
        ("参考 一.jpg；二.jpg", ["参考 一.jpg", "二.jpg"]),
        ("a.jpg b.jpg;c.jpg", ["a.jpg", "b.jpg", "c.jpg"]),
        ("https://x.example/a.jpg;https://x.example/b", ["https://x.example/a.jpg", "https://x.example/b"]),
        (
            "https://x.example/a;v=1.jpg https://x.example/b|2.jpg",
            ["https://x.example/a;v=1.jpg", "https://x.example/b|2.jpg"],
        ),
        ("a;b.jpg c.jpg", ["a;b.jpg", "c.jpg"]),
    ],
)
def test_references_of_a_cell_are_told_apart(cell: str, found: list[str]) -> None:
    (item,) = read(f"path\treferences\n1.jpg\t{cell}\n".encode())
    assert isinstance(item, Item)
    assert list(item.references) == found


def test_items_survive_the_ledgers_form() -> None:
    for item in ITEMS:
        assert Item.from_extras(item.path, item.listing.listing_id, item.extras()) == item


def test_paths_of_a_manifest_are_relative_to_it_and_goods_fill_gaps(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(as_csv())
    found = find_items([str(tmp_path / "m.csv")], Finding(goods="shoes"))
    first, second = (each.item for each in found if isinstance(each, Found))
    assert (first.path, first.listing.goods) == ("https://shop.example/1.jpg", "apparel")
    assert (second.path, second.listing.goods) == (str(tmp_path / "b/2.jpg"), "shoes")
    assert first.references == (str(tmp_path / "r1.jpg"), str(tmp_path / "r2.jpg"))


def test_a_query_yields_items_and_says_what_is_wrong(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    with create_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE pictures (url TEXT, listing_id TEXT)"))
        connection.execute(text("INSERT INTO pictures VALUES ('a.jpg', 'L1'), (NULL, 'L2'), ('b.jpg', 'L3')"))
    found = list(find_items(["sql:SELECT * FROM pictures"], Finding(database=url)))
    assert [each.item for each in found if isinstance(each, Found)] == [
        Item("a.jpg", Listing("L1")),
        Item("b.jpg", Listing("L3")),
    ]
    assert [each.line for each in found if isinstance(each, Skipped)] == [2]
    with pytest.raises(UsageError, match="no such table"):
        list(read_query(url, "SELECT path FROM absent"))
    with pytest.raises(UsageError, match="needs a column `path` or `url`"):
        list(read_query(url, "SELECT listing_id FROM pictures"))
    with pytest.raises(UsageError, match="--database"):
        list(find_items(["sql:SELECT 1"]))


PATHS = [
    (b"url,image_url\n/page,1.jpg\n", "'url' and 'image_url'"),
    ("主图,图片\n1.jpg,2.jpg\n".encode(), "'图片' and '主图'"),
]


@pytest.mark.parametrize(("content", "named"), [*PATHS, (b"path,path\n1.jpg,2.jpg\n", "'path' is there 2 times")])
def test_two_columns_of_pictures_are_refused_by_name(content: bytes, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        read(content)


def test_a_column_that_is_used_is_there_once() -> None:
    with pytest.raises(UsageError, match="'title' is there 2 times"):
        read(b"path,title,title\n1.jpg,a,b\n")
    assert len(read(b"path,note,note\n1.jpg,a,b\n")) == 1, "others are ignored"


def test_two_columns_of_one_meaning_are_told_with_the_one_that_is_used(tmp_path: Path) -> None:
    told: list[Sheet] = []
    rows = list(
        read_manifest(
            io.BytesIO("path,标题,title\n1.jpg,杯,cup\n2.jpg,壶,\n".encode()),
            "m.csv",
            on_sheet=lambda _, sheet: told.append(sheet),
        )
    )
    assert [item.listing.title for item in rows if isinstance(item, Item)] == ["cup", "壶"]
    assert [sheet.doubles for sheet in told] == [(("title", "标题"),)]
    assert "'title' is used, and where it is empty '标题'" in _sheet_words("m.csv", told[0])
    url = f"sqlite:///{tmp_path}/shop.db"
    list(read_query(url, "SELECT '1.jpg' AS path, 1 AS sku_id, 2 AS item_id", lambda _, sheet: told.append(sheet)))
    assert told[1].doubles == (("item_id", "sku_id"),)


def test_a_json_row_of_two_pictures_costs_that_row_alone() -> None:
    lines = [b'{"url": "/page", "image_url": "1.jpg"}', b'{"url": "2.jpg"}', b'{"url": "3.jpg", "url": "4.jpg"}']
    found = read(b"\n".join(lines), "m.jsonl")
    assert skipped(found) == [(1, "bad_row"), (3, "bad_row")]
    assert "'url' and 'image_url'" in found[0].detail  # type: ignore[union-attr]
    assert "'url' is there twice" in found[2].detail  # type: ignore[union-attr]
