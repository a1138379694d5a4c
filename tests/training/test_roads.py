from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from smoke import genuine

from zhentu.detect.models import samples_folder
from zhentu.errors import UsageError
from zhentu.intake.decode import decode
from zhentu.types import Category
from zhentu_training.features import pixels_on
from zhentu_training.roads import PICTURES, judge, scanned_scores, some_of_each, write_roads


def test_a_file_of_a_road_holds_the_pixels_that_heads_are_judged_on(tmp_path: Path) -> None:
    lossless = tmp_path / "a.png"
    Image.open(samples_folder() / "genuine_cat.jpg").save(lossless)
    samples = [genuine("genuine_cup.jpg", "a"), genuine("", "b", lossless)]
    samples.append(replace(samples[0], recipe="effect.glow", labels=frozenset({Category.EXAGGERATED_EFFECT})))
    samples = some_of_each(samples, 2)
    sent = write_roads(samples, ["native", "web"], tmp_path / "roads")
    assert list(sent["road"]) == ["native", "web"] * 2, "a forgery of the project's own is not sent"
    for _, row in sent.iterrows():
        file = tmp_path / "roads" / PICTURES / row["file"]
        assert (decode(file.read_bytes()).rgb == pixels_on(Path(row["picture"]), row["road"])[0]).all()
    assert (tmp_path / "roads" / PICTURES / sent["file"][0]).is_symlink(), "stored as JPEG: nothing to write"
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "roads" / PICTURES).iterdir()}
    again = write_roads(samples, ["native", "web"], tmp_path / "roads")
    assert again.equals(sent)
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "roads" / PICTURES).iterdir()}


def test_no_source_stands_for_all(tmp_path: Path) -> None:
    many = [genuine("", "shop", tmp_path / f"{k}.jpg") for k in range(9)]
    made = [replace(sample, labels=frozenset({Category.AI_GENERATED})) for sample in many[:2]]
    lone = genuine("", "market", tmp_path / "lone.jpg")
    some = some_of_each([*many[2:], *made, lone], 3)
    assert [(sample.source, sample.forged) for sample in some].count(("shop", False)) == 3
    assert {sample.path for sample in made} | {lone.path} < {sample.path for sample in some}
    again = some_of_each([lone, *made, *reversed(many[2:])], 3)
    assert {sample.path for sample in again} == {sample.path for sample in some}, "whatever the order"


def test_releases_are_judged_on_the_pictures_that_all_of_them_scored(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    made = np.arange(120) % 2 == 0
    sent = pd.DataFrame(
        {"file": [f"{k}.jpg" for k in range(120)], "road": "native", "picture": [f"/set/{k}" for k in range(120)],
         "source": [f"shop {k % 3}" for k in range(120)], "made": made}
    )  # fmt: skip
    good = pd.DataFrame({"path": "/scan/" + sent["file"], "ai_generated": made * 0.5 + rng.random(120) * 0.4})
    poor = pd.DataFrame({"path": "/scan/" + sent["file"], "ai_generated": rng.random(120)}).iloc[:100]
    for name, rows in (("good", good), ("poor", poor)):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    scores = {name: scanned_scores(sent, tmp_path / f"{name}.csv") for name in ("good", "poor")}
    table = judge(sent, scores).set_index("model")
    assert list(table["pictures"]) == ["50 + 50", "50 + 50"]
    assert table.loc["good", "AUC"].startswith("1.000")
    assert 0.3 < float(table.loc["poor", "AUC"].split()[0]) < 0.7
    some = judge(sent[sent["source"] == "shop 1"], scores)
    assert int(some["pictures"][0].split(" + ")[0]) < 20, "a part of the pictures can be judged alone"


def test_rows_of_another_scan_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["/elsewhere/cat.jpg"], "ai_generated": [0.4]}).to_csv(tmp_path / "rows.csv", index=False)
    sent = pd.DataFrame({"file": ["0.jpg"], "road": ["web"], "picture": ["/set/0"], "source": ["a"], "made": [True]})
    with pytest.raises(UsageError, match="has no score of the 1 pictures"):
        scanned_scores(sent, tmp_path / "rows.csv")
