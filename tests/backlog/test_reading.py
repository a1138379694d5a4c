from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import encoded, photo
from servers import ShakyServer, object_store, serving

from zhentu.backlog import reading
from zhentu.backlog.reading import Pace, Reader
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.errors import DependencyError, PictureEmpty, PictureNotFound, PictureTooLarge, SourceUnreadable, ZhentuError
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.settings import Settings

PICTURE = encoded(photo(), "JPEG")


@pytest.fixture
def server() -> Iterator[ShakyServer]:
    with serving(ShakyServer({f"/{number}.jpg": PICTURE for number in range(6)})) as server:
        yield server


def reader(**options: float) -> Reader:
    return Reader(DecodeLimits(), attempts=3, wait_s=0.001, **options)


def test_a_shaky_read_is_tried_again(server: ShakyServer) -> None:
    server.fail["/1.jpg"] = 2
    assert reader().read(f"{server.url}/1.jpg") == PICTURE
    assert server.requests["/1.jpg"] == 3


def test_what_fails_every_time_is_given_up_by_name(server: ShakyServer) -> None:
    server.gone_wrong.add("/1.jpg")
    with pytest.raises(SourceUnreadable, match=r"failed 3 times.*500"):
        reader().read(f"{server.url}/1.jpg")


def test_what_is_not_there_is_asked_for_once(server: ShakyServer) -> None:
    with pytest.raises(PictureNotFound):
        reader().read(f"{server.url}/none.jpg")
    assert server.requests["/none.jpg"] == 1


def test_no_more_is_taken_than_the_limit(server: ShakyServer) -> None:
    with pytest.raises(PictureTooLarge):
        Reader(DecodeLimits(max_bytes=100)).read(f"{server.url}/1.jpg")


def test_an_unknown_protocol_says_what_is_missing() -> None:
    with pytest.raises(DependencyError, match="nosuch"):
        reader().read("nosuch://bucket/1.jpg")


def test_a_disk_under_pressure_is_tried_again_and_a_missing_file_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def read(path: Path, limits: DecodeLimits) -> bytes:
        tries.append(1)
        if len(tries) < 3:
            raise PictureNotFound("busy") from OSError(errno.EIO, "I/O error")
        return PICTURE

    monkeypatch.setattr(reading, "read_file", read)
    assert reader().read("some.jpg") == PICTURE
    monkeypatch.undo()
    with pytest.raises(PictureNotFound):
        reader().read("/nowhere.jpg")


def test_the_pace_is_kept_over_all_threads() -> None:
    pace, began = Pace(100), time.monotonic()
    for _ in range(11):
        pace.wait()
    assert 0.099 < time.monotonic() - began < 1


def test_a_scan_of_urls_scores_all_but_those_that_never_come(
    server: ShakyServer, settings: Settings, tmp_path: Path
) -> None:
    server.fail |= {"/0.jpg": 1, "/3.jpg": 1}
    server.gone_wrong.add("/2.jpg")
    manifest = tmp_path / "m.csv"
    manifest.write_text("url\n" + "".join(f"{server.url}/{number}.jpg\n" for number in (*range(6), 99)))
    job = ScanJob((str(manifest),), tmp_path / "out", attempts=2)
    rows = {}
    run_scan(job, settings, lambda progress: rows.update({progress.row.path.rsplit("/", 1)[1]: progress.row.error}))
    unreadable = {"2.jpg": "source_unreadable", "99.jpg": "picture_not_found"}
    assert rows == dict.fromkeys([f"{number}.jpg" for number in range(6)], "") | unreadable
    assert (tmp_path / "out" / "quarantine.csv").read_text().count("\n") == 3


def test_an_object_store_is_listed_and_read_by_its_own_protocol(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'zhentu[s3]'")
    manifest = b"path,listing_id\ncatalogue/a/1.jpg,L1\ns3://shop/catalogue/b/2.jpg,L2\n"
    files = {"catalogue/a/1.jpg": PICTURE, "catalogue/b/2.jpg": PICTURE, "catalogue/b/empty.png": b""}
    with object_store(monkeypatch, "shop", files | {"list.csv": manifest, "notes.txt": b"x"}):
        rows = {}
        run_scan(
            ScanJob(("s3://shop/catalogue", "s3://shop/list.csv"), tmp_path / "rows.csv"),
            settings,
            lambda progress: rows.update({(progress.row.path, progress.row.listing_id): progress.row.error}),
        )
        picture = Reader(DecodeLimits()).read("s3://shop/catalogue/a/1.jpg")
        with pytest.raises(PictureEmpty):
            decode(Reader(DecodeLimits()).read("s3://shop/catalogue/b/empty.png"))
        with pytest.raises(ZhentuError, match="no such object"):
            Reader(DecodeLimits()).read("s3://shop/none.jpg")
    assert picture == PICTURE
    assert rows == {
        ("s3://shop/catalogue/a/1.jpg", ""): "",
        ("s3://shop/catalogue/b/2.jpg", ""): "",
        ("s3://shop/catalogue/b/empty.png", ""): "picture_empty",
        ("s3://shop/catalogue/a/1.jpg", "L1"): "",
        ("s3://shop/catalogue/b/2.jpg", "L2"): "",
    }
