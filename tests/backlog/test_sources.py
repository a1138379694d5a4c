from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from zhentu.backlog.ledger import Ledger, Shard
from zhentu.backlog.sources import find_items
from zhentu.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.JPG", "b/1.webp", "b/notes.txt", "a.png", "b/c/3.mpo", "[odd].gif"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"x")
    return tmp_path


def find_pictures(sources: list[str], limit: int | None = None, shard: Shard | None = None) -> list[str]:
    """The paths a job of these sources would do, in its order."""
    with tempfile.TemporaryDirectory() as place, closing(Ledger(Path(place), Path(place))) as ledger:
        ledger.list_items(find_items(sources), shard or Shard(), limit)
        return [numbered.item.path for numbered in ledger.to_do()]


def test_folders_are_searched_to_the_bottom_and_sorted() -> None:
    assert find_pictures(["."]) == ["[odd].gif", "a.png", "b/1.webp", "b/2.JPG", "b/c/3.mpo"]


def test_a_file_named_outright_is_taken_whatever_its_suffix() -> None:
    assert find_pictures(["b/notes.txt", "[odd].gif"]) == ["b/notes.txt", "[odd].gif"]


def test_globs_take_files_and_folders() -> None:
    assert find_pictures(["b/*"]) == ["b/1.webp", "b/2.JPG", "b/c/3.mpo", "b/notes.txt"]
    assert find_pictures(["**/*.mpo"]) == ["b/c/3.mpo"]


def test_each_picture_is_there_once_in_the_order_given() -> None:
    assert find_pictures(["b/2.JPG", "./b", "b"]) == ["b/2.JPG", "b/1.webp", "b/c/3.mpo"]


def test_a_broken_link_is_listed_so_that_its_row_can_say_so() -> None:
    Path("gone.jpg").symlink_to("nowhere")
    assert find_pictures(["gone.jpg"]) == ["gone.jpg"]


def test_a_link_back_to_a_folder_is_no_endless_loop() -> None:
    Path("b/loop").symlink_to("..")
    assert len(find_pictures(["."])) == 5


@pytest.mark.parametrize("source", ["none.jpg", "none/*", "empty"])
def test_a_source_that_matches_nothing_is_named(source: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UsageError, match="no pictures found") as caught:
        find_pictures(["a.png", source])
    assert source in str(caught.value)


def test_a_folder_that_cannot_be_read_is_no_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(folder: str, onerror: object) -> list[object]:  # root may read everything, so the refusal is played
        raise onerror(PermissionError(13, "Permission denied", "b/c"))  # type: ignore[operator]

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(UsageError, match="b/c: the folder cannot be read"):
        find_pictures(["."])


def test_a_limit_takes_the_first_and_shards_share_everything() -> None:
    assert find_pictures(["."], limit=2) == ["[odd].gif", "a.png"]
    shared = [path for index in (1, 2, 3) for path in find_pictures(["."], shard=Shard(index, 3))]
    assert sorted(shared) == find_pictures(["."])
