from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from zhentu.backlog import ledger as books
from zhentu.backlog.items import Item
from zhentu.backlog.ledger import Ledger, Shard
from zhentu.backlog.parquet import write_part
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.sources import Found
from zhentu.errors import StoreError
from zhentu.types import Listing


def found(count: int) -> Iterator[Found]:
    return (Found(0, f"{number:07d}", Item(f"{number:07d}.jpg")) for number in range(count))


def row(seq: int, **values: object) -> tuple[int, ScanRow]:
    return seq, ScanRow(f"{seq - 1:07d}.jpg", action="allow", **values)  # type: ignore[arg-type]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(books, "PART_ROWS", 10)
    with closing(Ledger(tmp_path, tmp_path / "parts")) as ledger:
        ledger.list_items(found(40), Shard(), None)
        yield ledger


def test_rows_come_back_in_order_however_they_were_finished(opened: Ledger) -> None:
    for seqs in ([5, 1, 40], range(30, 20, -1), [2, 3, 4], range(31, 40), range(6, 21)):
        opened.add([row(seq) for seq in seqs])
    assert [seq for seq, _ in opened.rows()] == list(range(1, 41))
    opened.close_part()
    assert [each.path for _, each in opened.rows()] == [f"{number:07d}.jpg" for number in range(40)]
    assert opened.left == 0


def test_a_row_that_comes_twice_counts_once(opened: Ledger) -> None:
    opened.add([row(1, seller_id="s"), row(2, seller_id="s")])
    opened.add([row(2, seller_id="s"), row(3, seller_id="t")])
    assert [seq for seq, _ in opened.rows()] == [1, 2, 3]
    assert [(each.name, each.total) for each in opened.breakdown("seller")] == [("s", 2), ("t", 1)]


def test_a_part_that_was_written_but_not_noted_is_written_again(tmp_path: Path, opened: Ledger) -> None:
    opened.add([row(seq) for seq in range(1, 6)])
    write_part([row(seq) for seq in range(1, 6)], tmp_path / "parts" / "part-000001.parquet")
    with closing(Ledger(tmp_path, tmp_path / "parts")) as again:  # as after kill -9
        assert list((tmp_path / "parts").iterdir()) == []
        again.close_part()
        assert [seq for seq, _ in again.rows()] == [1, 2, 3, 4, 5]
        assert [numbered.seq for numbered in again.to_do()] == list(range(6, 41))


def test_one_picture_in_two_listings_is_two_items_and_twice_in_one_is_one(tmp_path: Path) -> None:
    items = [Item("a.jpg", Listing("L1")), Item("a.jpg", Listing("L2")), Item("a.jpg", Listing("L1", goods="x"))]
    with closing(Ledger(tmp_path, tmp_path)) as ledger:
        ledger.list_items([Found(0, "", item) for item in items], Shard(), None)
        assert [numbered.item for numbered in ledger.to_do()] == items[:2]


def test_a_listing_that_is_made_again_adds_what_is_new(opened: Ledger) -> None:
    opened.add([row(1)])
    opened.list_items(found(42), Shard(), None)
    assert (opened.total, opened.left) == (42, 41)


def test_books_that_are_no_books_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="--no-resume"):
        Ledger(tmp_path, tmp_path)


def test_memory_does_not_grow_with_the_backlog(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / f"{count}"
        folder.mkdir()
        tracemalloc.start()
        with closing(Ledger(folder, folder / "parts")) as ledger:
            ledger.list_items(found(count), Shard(), None)
            assert sum(1 for _ in ledger.to_do()) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2_000)  # what is loaded once is no part of it
    assert peak(16_000) < peak(4_000) * 2  # it would be four times as much
