from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from zhentu.backlog.ledger import Ledger, Shard
from zhentu.backlog.sources import Finding, find_items
from zhentu.errors import UsageError
from zhentu.intake import find
from zhentu.intake.find import Taking
from zhentu.intake.skipped import Skipped


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


def reasons(sources: list[str], taking: Taking | None = None) -> dict[str, str]:
    """What a listing does not take, and why."""
    found = find_items(sources, Finding(taking=taking or Taking()))
    return {each.path: each.reason.value for each in found if isinstance(each, Skipped)}


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
    Path("self.jpg").symlink_to("self.jpg")
    assert len(find_pictures(["."])) == 5
    assert reasons(["."]) == {
        "b/loop": "symlink_loop",
        "self.jpg": "symlink_loop",
        "b/notes.txt": "not_a_picture",
    }
    assert find_pictures(["**/*.mpo"]) == ["b/c/3.mpo"]


@pytest.mark.parametrize("source", ["none.jpg", "none/*", "empty"])
def test_a_source_that_matches_nothing_is_named(source: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UsageError, match="no pictures found") as caught:
        find_pictures(["a.png", source])
    assert source in str(caught.value)


def test_a_folder_that_cannot_be_read_is_counted_and_the_rest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(folder: str) -> object:  # root may read everything, so the refusal is played
        if folder == "b/c":
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(find.os, "scandir", refuse)
    assert find_pictures(["."]) == ["[odd].gif", "a.png", "b/1.webp", "b/2.JPG"]
    assert reasons(["."])["b/c"] == "unreadable_folder"


def test_what_is_no_file_or_no_picture_is_counted_by_its_reason() -> None:
    os.mkfifo("pipe.jpg")
    Path("elsewhere").mkdir()
    Path("b/x.jpg").mkdir()
    Path("linked").symlink_to("elsewhere")
    Path("b/x.jpg/real").write_bytes(b"\xff\xd8\xff\xe0")
    Path("b/drawing").write_bytes(b"<svg xmlns='a'/>")
    found = find_pictures(["."])
    assert [path for path in found if path.startswith("b/x")] == ["b/x.jpg/real"]
    assert "b/drawing" in found
    assert reasons(["."]) == {
        "pipe.jpg": "special_file",
        "linked": "linked_folder",
        "b/notes.txt": "not_a_picture",
    }


def test_patterns_leave_out_paths_and_names() -> None:
    assert reasons(["."], Taking(exclude=("b/c/*", "*.gif"))) == {
        "b/c/3.mpo": "excluded",
        "[odd].gif": "excluded",
        "b/notes.txt": "not_a_picture",
    }


def test_what_is_named_twice_is_counted_once_as_a_duplicate() -> None:
    with tempfile.TemporaryDirectory() as place, closing(Ledger(Path(place), Path(place))) as ledger:
        for _ in range(2):  # listing again is no naming twice
            ledger.list_items(find_items(["b", "b/2.JPG"]), Shard(), None)
            assert ledger.skip_counts() == {"duplicate": 1, "not_a_picture": 1}
            assert ledger.total == 3


@pytest.mark.parametrize(
    "name",
    ["a.JPG", "a.jpg!q90", "a.jpg@600w_90q", "a.jpg_400x400.jpg", "a.awebp", "a.jpg ", ".jpg", "杯.heic", "a\nb.png"],
)
def test_names_of_content_networks_and_phones_say_that_a_picture_is_meant(name: str) -> None:
    assert find.named_like_a_picture(f"folder/{name}")


@pytest.mark.parametrize("name", ["jpg", "a.jpg.txt", "a.jpg/b", "notes", "a.xmp", "a.jpg.bak"])
def test_other_names_are_judged_by_content(name: str) -> None:
    assert not find.named_like_a_picture(f"folder/{name}")


def test_a_limit_takes_the_first_and_shards_share_everything() -> None:
    assert find_pictures(["."], limit=2) == ["[odd].gif", "a.png"]
    shared = [path for index in (1, 2, 3) for path in find_pictures(["."], shard=Shard(index, 3))]
    assert sorted(shared) == find_pictures(["."])
