from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
from conftest import encoded, photo
from served import until
from servers import ShakyServer, object_store, serving

from zhentu.backlog import reading
from zhentu.backlog.reading import Access, Pace, Reader
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.errors import (
    DependencyError,
    FetchRefused,
    PictureEmpty,
    PictureNotFound,
    PictureTooLarge,
    SourceUnreadable,
    ZhentuError,
)
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.intake.pull import PullLimits
from zhentu.settings import Settings

PICTURE = encoded(photo(), "JPEG")


@pytest.fixture
def server() -> Iterator[ShakyServer]:
    with serving(ShakyServer({f"/{number}.jpg": PICTURE for number in range(6)})) as server:
        yield server


def reader(server: ShakyServer | None = None, max_bytes: int = 1 << 20) -> Reader:
    """A reader that may go to a server of this machine."""
    ports = (int(server.url.rpartition(":")[2]),) if server else (80, 443)
    access = Access(pull=PullLimits(ports, (ip_network("127.0.0.0/8"),)))
    return Reader(DecodeLimits(max_bytes=max_bytes), attempts=3, wait_s=0.001, access=access)


def test_a_shaky_read_is_tried_again(server: ShakyServer) -> None:
    server.fail["/1.jpg"] = 2
    assert reader(server).read(f"{server.url}/1.jpg") == PICTURE
    assert server.requests["/1.jpg"] == 3


def test_what_fails_every_time_is_given_up_by_name(server: ShakyServer) -> None:
    server.gone_wrong.add("/1.jpg")
    with pytest.raises(SourceUnreadable, match=r"failed 3 times.*500"):
        reader(server).read(f"{server.url}/1.jpg")


def test_what_is_not_there_is_asked_for_once(server: ShakyServer) -> None:
    with pytest.raises(PictureNotFound):
        reader(server).read(f"{server.url}/none.jpg")
    assert server.requests["/none.jpg"] == 1


def test_no_more_is_taken_than_the_limit(server: ShakyServer) -> None:
    with pytest.raises(PictureTooLarge):
        reader(server, max_bytes=100).read(f"{server.url}/1.jpg")


@contextmanager
def endless() -> Iterator[tuple[str, list[int], list[int]]]:
    """A server that never stops sending, whatever range it is asked for.

    Yields its address, how many bytes it got rid of, and how many for each caller who has left.
    """
    sent, left = [0], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            chunk = PICTURE[:1024].ljust(65_536, b"x")
            with suppress(OSError):
                while True:
                    sent[0] += self.wfile.write(chunk)
            left.append(sent[0])

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", sent, left
        finally:
            http.shutdown()


def test_an_endless_body_is_left_at_the_limit() -> None:
    with endless() as (url, sent, left):
        with pytest.raises(PictureTooLarge, match=r"more than 1\.0 MiB"):
            reader(ShakyServer({}, url=url)).read(f"{url}/endless.jpg")
        until(lambda: bool(left))
        assert sent[0] < 16 * 2**20  # the limit and what the sockets held


def test_an_endless_object_is_left_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'zhentu[s3]'")
    with endless() as (url, sent, left), monkeypatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "test")
        patched.setitem(fsspec.config.conf, "s3", {"endpoint_url": url})
        with pytest.raises(PictureTooLarge, match=r"more than 1\.0 MiB"):
            reader().read("s3://shop/endless.jpg")
        until(lambda: bool(left))
        assert sent[0] < 16 * 2**20


@pytest.mark.parametrize("url", ["http://127.0.0.1/1.jpg", "http://169.254.169.254/latest/", "http://[::1]/1.jpg"])
def test_a_manifest_cannot_send_the_scanner_to_private_addresses(url: str) -> None:
    with pytest.raises(FetchRefused, match="ZHENTU_FETCH_ALLOW"):
        Reader(attempts=1).read(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "simplecache::s3://shop/1.jpg", "memory://a", "ftp://h/1.jpg"])
def test_schemes_that_nobody_named_are_not_read(url: str) -> None:
    with pytest.raises(SourceUnreadable, match="--allow-scheme"):
        reader().read(url)


def test_a_scheme_that_a_source_names_is_read(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(PICTURE)
    url = (tmp_path / "1.jpg").as_uri()
    assert Reader(access=Access().also([url])).read(url) == PICTURE


def test_an_unknown_protocol_says_what_is_missing() -> None:
    with pytest.raises(DependencyError, match="nosuch"):
        Reader(access=Access().also(["nosuch://bucket/1.jpg"])).read("nosuch://bucket/1.jpg")


def test_addresses_with_spaces_and_chinese_words_are_fetched(server: ShakyServer) -> None:
    server.files["/%E6%9D%AF%20a.jpg"] = PICTURE
    assert reader(server).read(f"{server.url}/杯 a.jpg") == PICTURE


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


def test_the_pace_is_kept_over_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: 5.0, sleep=waits.append)
    monkeypatch.setattr(reading, "time", clock)  # all ask at the same moment, on a machine of any speed
    pace = Pace(100)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pace.wait(), range(11)))
    assert sorted(waits) == pytest.approx([n / 100 for n in range(11)])


def test_a_scan_of_urls_scores_all_but_those_that_never_come(
    server: ShakyServer, settings: Settings, tmp_path: Path
) -> None:
    server.fail |= {"/0.jpg": 1, "/3.jpg": 1}
    server.gone_wrong.add("/2.jpg")
    manifest = tmp_path / "m.csv"
    manifest.write_text("url\n" + "".join(f"{server.url}/{number}.jpg\n" for number in (*range(6), 99)))
    job = ScanJob((str(manifest),), tmp_path / "out", attempts=2)
    port = int(server.url.rpartition(":")[2])
    own = {"fetch.allow": (ip_network("127.0.0.0/8"),), "fetch.ports": (port,)}
    settings = settings.changed(own)
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
