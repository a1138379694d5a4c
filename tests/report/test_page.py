from __future__ import annotations

import csv
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import bright, encoded, photo
from fakes import change_manifest, tiny_model
from PIL import Image

from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.backlog.summary import ScanRules, Tally
from zhentu.bootstrap.screener import build_screener
from zhentu.decide.notices import CATEGORY_NAMES
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.detect.models import samples_folder
from zhentu.errors import UsageError
from zhentu.report.page import write_report
from zhentu.settings import Settings
from zhentu.types import CATEGORIES, Category, ModelRef

SHOP = "path,seller_id,goods\n" + "".join(
    f"{name},{seller},{goods}\n"
    for name, seller, goods in (
        ("1.jpg", "<b>Ann</b>", "apparel"),
        ("2.jpg", "<b>Ann</b>", "apparel"),
        ("gone.jpg", "Bo", "toys"),
    )
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over a manifest: two bright pictures that look the same, and one that is gone."""
    folder = tmp_path_factory.mktemp("shop")
    tiny_model(folder / "models")
    with Image.open(samples_folder() / "genuine_cup.jpg") as cup:
        shown = bright(cup.convert("RGB"))
    (folder / "1.jpg").write_bytes(encoded(shown, "JPEG"))
    (folder / "2.jpg").write_bytes(encoded(shown, "JPEG", quality=50))
    (folder / "m.csv").write_text(SHOP, encoding="utf-8")
    settings = Settings().changed({"data_dir": folder, "models.dir": folder / "models"})
    summary = run_scan(ScanJob((str(folder / "m.csv"),), store=False, workers=1), settings)
    write_report(summary, build_screener(settings), folder / "report.html")
    return folder


def test_sellers_goods_and_groups_stand_on_the_page(shop: Path) -> None:
    page = (shop / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;Ann&lt;/b&gt;" in page
    assert "<b>Ann" not in page
    assert "apparel" in page
    assert "1 groups among pictures" in page
    assert "近似重复" in page
    assert page.count("data:image/jpeg;base64,") == 2 * 2 + 1


def test_the_tables_say_the_same_as_the_page(shop: Path) -> None:
    with (shop / "report.report.csv").open(encoding="utf-8-sig") as stream:
        rows = [tuple(row) for row in csv.reader(stream)][1:]
    assert ("seller", "<b>Ann</b>", "review", "2") in rows
    assert ("goods", "toys", "error", "1") in rows
    assert ("unreadable", str(shop / "gone.jpg"), "picture_not_found", "1") in rows
    assert len([row for row in rows if row[0] == "group"]) == 2
    table = pq.read_table(shop / "report.report.parquet").to_pylist()
    assert [(row["section"], row["name"], row["measure"]) for row in table] == [row[:3] for row in rows]


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


def test_the_heatmap_is_of_what_the_decision_names(tmp_path: Path) -> None:
    tiny_model(tmp_path / "models")
    raised = {each.value: {"slope": 1.0, "intercept": 0.0} for each in CATEGORIES}
    raised["material_mismatch"]["intercept"] = 5.0
    change_manifest(tmp_path / "models", calibration=raised)
    name = "declared_ai_mug.jpg"
    (tmp_path / name).write_bytes((samples_folder() / name).read_bytes())
    settings = Settings().changed({"data_dir": tmp_path, "models.dir": tmp_path / "models"})
    text = default_policy_path().read_text(encoding="utf-8").replace("review: model", "review: off")
    (tmp_path / "policy.yaml").write_text(text, encoding="utf-8")
    settings = settings.changed({"policy_path": tmp_path / "policy.yaml"})
    summary = run_scan(ScanJob((str(tmp_path / name),), store=False, workers=1), settings)
    write_report(summary, build_screener(settings), tmp_path / "report.html")
    button = (tmp_path / "report.html").read_text(encoding="utf-8").split('class="peek"')[1].split("</button>")[0]
    assert CATEGORY_NAMES[Category.AI_GENERATED].zh in button
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert summary.by_category["ai_generated"] == 1, "the file itself says so"
    assert set(re.findall(r"(\d+) over 0", page)) == {"0"}, "captions of histograms count scores"


def test_the_caption_of_a_histogram_counts_the_scores_over_the_limit() -> None:
    rules = ScanRules(ModelRef("tiny", "1", "a" * 64), load_policy(default_policy_path()), "", {"ai_generated": 0.5})
    tally = Tally(rules, "")
    for score in (0.2, 0.5, 0.9):
        tally.add(
            ScanRow("a.jpg", action="label", ai_generated=score, scene_distortion=score, categories="ai_generated")
        )
    found = tally.summary()
    assert (found.over["ai_generated"], found.over["scene_distortion"]) == (2, 0)
    assert found.by_category["ai_generated"] == 3
