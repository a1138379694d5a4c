from __future__ import annotations

import hashlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_data.py"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A server laid out as GitHub's, with one picture; a second one answers 503 at first."""
    folder = tmp_path / "site" / "shop" / "goods" / "HEAD" / "a b"
    folder.mkdir(parents=True)
    (folder / "cup.jpg").write_bytes(b"picture")
    flaky = {"left": 1}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "site"))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if "flaky" in self.path and flaky["left"]:
                flaky["left"] -= 1
                self.send_error(503)
            elif "flaky" in self.path:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"at last")
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fetch(tmp_path: Path, host: str, rows: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "manifest.csv").write_text("file,origin,sha256\n" + rows, encoding="utf-8")
    command = [sys.executable, str(SCRIPT), "pictures", "--manifest", str(tmp_path / "manifest.csv")]
    command += ["--out", str(tmp_path / "out"), "--base", host]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_pictures_are_fetched_checked_and_summed(tmp_path: Path, host: str) -> None:
    right = hashlib.sha256(b"picture").hexdigest()
    rows = f"train/1.jpg,shop/goods (remark):a b/cup.jpg,{right}\ntrain/2.jpg,shop/goods:flaky.jpg,\n"
    outcome = fetch(tmp_path, host, rows)
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "out/train/1.jpg").read_bytes() == b"picture"
    assert (tmp_path / "out/train/2.jpg").read_bytes() == b"at last"
    assert f"train/1.jpg,{right}" in (tmp_path / "out/sha256.csv").read_text()


def test_a_wrong_sum_and_a_missing_picture_are_named_and_not_kept(tmp_path: Path, host: str) -> None:
    rows = f"1.jpg,shop/goods:a b/cup.jpg,{'0' * 64}\n2.jpg,shop/goods:none.jpg,\n"
    outcome = fetch(tmp_path, host, rows)
    assert outcome.returncode == 1
    assert "the manifest says 0000" in outcome.stderr
    assert "2.jpg: HTTP 404" in outcome.stderr
    assert not (tmp_path / "out/1.jpg").exists()


def test_an_origin_of_another_form_is_named_before_anything_is_fetched(tmp_path: Path, host: str) -> None:
    outcome = fetch(tmp_path, host, "1.jpg,somewhere,\n")
    assert outcome.returncode == 1
    assert "1.jpg" in outcome.stderr
    assert not (tmp_path / "out").exists()
