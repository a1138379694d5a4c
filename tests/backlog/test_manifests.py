from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text

from zhentu.backlog.items import Item
from zhentu.backlog.manifests import read_manifest, read_query
from zhentu.backlog.sources import find_items
from zhentu.errors import UsageError
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
    assert list(read_manifest(io.BytesIO(make()), name)) == ITEMS


def test_items_survive_the_ledgers_form() -> None:
    for item in ITEMS:
        assert Item.from_extras(item.path, item.listing.listing_id, item.extras()) == item


def test_paths_of_a_manifest_are_relative_to_it_and_goods_fill_gaps(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(as_csv())
    first, second = (found.item for found in find_items([str(tmp_path / "m.csv")], goods="shoes"))
    assert (first.path, first.listing.goods) == ("https://shop.example/1.jpg", "apparel")
    assert (second.path, second.listing.goods) == (str(tmp_path / "b/2.jpg"), "shoes")
    assert first.references == (str(tmp_path / "r1.jpg"), str(tmp_path / "r2.jpg"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", b"patth,listing_id\n1.jpg,2\n", "rename column 'patth'"),
        ("m.csv", b"path\n\xff\n", "must be CSV in UTF-8"),
        ("m.csv", b"path,declared_ai\n1.jpg,perhaps\n", "row 1: declared_ai is 'perhaps'"),
        ("m.csv", b"path,listing_id\n,3\n", "row 1: `path` or `url` is empty"),
        ("m.jsonl", b'{"path": "a"}\n{"path"\n', "line 2: not JSON"),
        ("m.jsonl", b"[1]\n", "must be an object"),
        ("m.parquet", b"PAR1 no", "not readable as Parquet"),
    ],
)
def test_a_broken_manifest_is_refused_by_its_row(name: str, content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        list(read_manifest(io.BytesIO(content), name))


def test_a_query_yields_items_and_says_what_is_wrong(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    with create_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE pictures (url TEXT, listing_id TEXT)"))
        connection.execute(text("INSERT INTO pictures VALUES ('a.jpg', 'L1'), ('b.jpg', 'L2')"))
    items = [found.item for found in find_items(["sql:SELECT * FROM pictures ORDER BY url"], url)]
    assert items == [Item("a.jpg", Listing("L1")), Item("b.jpg", Listing("L2"))]
    with pytest.raises(UsageError, match="no such table"):
        list(read_query(url, "SELECT path FROM absent"))
    with pytest.raises(UsageError, match="needs a column `path` or `url`"):
        list(read_query(url, "SELECT listing_id FROM pictures"))
    with pytest.raises(UsageError, match="--database"):
        list(find_items(["sql:SELECT 1"]))
