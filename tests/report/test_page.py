from __future__ import annotations

from pathlib import Path

import pytest
from conftest import encoded, photo

from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.bootstrap import build_screener
from zhentu.errors import UsageError
from zhentu.report.page import write_report
from zhentu.settings import Settings


@pytest.fixture
def page(settings: Settings, tmp_path: Path) -> str:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate(["a.jpg", "<script>alert(1)<_script>.jpg"]):
        (folder / name).write_bytes(encoded(photo(seed=seed), "JPEG"))
    (folder / "broken.png").write_bytes(b"<b>")
    summary = run_scan(ScanJob((str(folder),), store=False), settings)
    write_report(summary, build_screener(settings), tmp_path / "out" / "report.html")
    return (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_no_network(page: str) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/jpeg;base64,") == 4


def test_the_page_speaks_both_languages_and_lists_what_was_unreadable(page: str) -> None:
    assert "抠图贴图失真" in page
    assert "Visible cut-out" in page
    assert "unsupported_format" in page


def test_a_hostile_file_name_is_text(page: str) -> None:
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_report_that_is_no_html_file_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"report\.html"):
        write_report(None, build_screener(settings), tmp_path / "folder")  # type: ignore[arg-type]
