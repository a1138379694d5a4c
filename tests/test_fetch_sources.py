from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_data.py"
HEAD = "repo,pattern,label,split,limit,min_side,generator,kind,goods,licence,only\n"


def picture(path: Path, seed: int, side: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A repository of six goods, one of them twice, an icon, a page named as a picture, and a picture elsewhere."""
    work = tmp_path / "mirror" / "shop+goods"
    for k in range(6):
        picture(work / "img" / f"ware {k}.png", k)
    (work / "img" / "again.png").write_bytes((work / "img" / "ware 0.png").read_bytes())
    picture(work / "img" / "icon.png", 9, side=16)
    (work / "img" / "page.jpg").write_text("<html>moved</html>")
    picture(work / "docs" / "logo.png", 10)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "goods"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *command], cwd=work, check=True)
    return tmp_path / "mirror"


def sources(mirror: Path, out: Path, rows: str, *options: str) -> subprocess.CompletedProcess[str]:
    table = mirror.parent / "sources.csv"
    table.write_text(HEAD + rows, encoding="utf-8")
    command = [sys.executable, str(SCRIPT), "sources", "--sources", str(table), "--mirror", str(mirror)]
    return subprocess.run([*command, "--out", str(out), *options], capture_output=True, text=True, check=False)


def contents(out: Path) -> dict[str, str]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_each_picture_is_taken_once_as_stored_with_its_origin_and_sum(mirror: Path, tmp_path: Path) -> None:
    outcome = sources(mirror, tmp_path / "out", "shop/goods,^img/,genuine,train,50,64,,white_bg,cups,MIT,\n")
    assert outcome.returncode == 0, outcome.stderr
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6, "no double, no icon, no page, nothing beside the pattern"
    for row in rows:
        payload = (tmp_path / "out" / row["file"]).read_bytes()
        assert hashlib.sha256(payload).hexdigest() == row["sha256"]
        assert payload == (mirror / "shop+goods" / row["origin"].removeprefix("shop/goods:")).read_bytes()
    assert {(row["source"], row["licence"], row["label"]) for row in rows} == {("shop/goods", "MIT", "genuine")}
    counts = (tmp_path / "out" / "counts.csv").read_text().splitlines()[1].split(",")
    assert counts[:3] == ["shop/goods", "genuine", "train"]
    assert counts[4:] == ["9", "6"]
    with Image.open(tmp_path / "out/sheets/train_genuine_shop-goods.jpg") as sheet:
        assert sheet.size == (6 * 160, 160)


def test_the_same_snapshot_gives_the_same_folder_and_digest_and_the_scale_draws_fewer(
    mirror: Path, tmp_path: Path
) -> None:
    row = "shop/goods,^img/,genuine,train,4,64,,,,,\n"
    first, second = (sources(mirror, tmp_path / name, row) for name in "ab")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.split("digest ")[1] == second.stdout.split("digest ")[1]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    half = sources(mirror, tmp_path / "c", row, "--limit-scale", "0.5")
    assert half.stdout.split("digest ")[1] != first.stdout.split("digest ")[1]
    pictures = {name: found for name, found in contents(tmp_path / "c").items() if name.startswith("train/")}
    assert len(pictures) == 2
    assert pictures.items() <= contents(tmp_path / "a").items(), "the draw goes on where a smaller one ends"


def test_a_list_of_paths_limits_a_source(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "only.csv").write_text("shop/goods,img/ware 3.png\nother/shop,img/ware 4.png\n")
    sources(mirror, tmp_path / "out", "shop/goods,^img/,ai,dev,9,64,net,,,,only.csv\n")
    assert [name for name in contents(tmp_path / "out") if name.startswith("dev/")] == ["dev/ai/shop-goods/00000.png"]


def test_repositories_that_are_not_there_are_named_and_the_others_taken(mirror: Path, tmp_path: Path) -> None:
    rows = "shop/goods,^img/,genuine,train,1,64,,,,,\nno/where,x,ai,train,1,64,,,,,\n"
    listed = sources(mirror, tmp_path / "out", rows, "--list-missing")
    assert listed.stdout.split() == ["no/where"]
    assert not (tmp_path / "out").exists()
    outcome = sources(mirror, tmp_path / "out", rows)
    assert outcome.returncode == 1
    assert "not in the mirror, so nothing was taken from them: no/where" in outcome.stderr
    assert "1 pictures" in outcome.stdout
    again = sources(mirror, tmp_path / "out", rows)
    assert "already holds a manifest.csv" in again.stderr


def test_every_wrong_row_of_a_table_is_named_at_once(mirror: Path, tmp_path: Path) -> None:
    outcome = sources(
        mirror, tmp_path / "out", "shop,x,ai,train,1,,,,,,\na/b,(,ai,train,many,,,,,,\na/b,x,../up,train,1,,,,,,\n"
    )
    assert outcome.returncode == 1
    assert "row 2 (shop): repo must be owner/name" in outcome.stderr
    assert "row 3 (a/b): limit is 'many'" in outcome.stderr
    assert "row 4 (a/b): label is '../up'" in outcome.stderr
    assert not (tmp_path / "out").exists()
