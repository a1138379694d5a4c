from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from smoke import genuine

from zhentu.detect.models import samples_folder
from zhentu.errors import UsageError
from zhentu.types import CATEGORIES, Category
from zhentu_training import prepare
from zhentu_training.dataset import Sample
from zhentu_training.foldered import read_pictures
from zhentu_training.taking import contents_of, digest_of, take, with_sources

AI = frozenset({Category.AI_GENERATED})
NAMES = [path.name for path in sorted(samples_folder().glob("genuine_*.jpg"))]


def copy(name: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((samples_folder() / name).read_bytes())
    return target


def folders(root: Path) -> Path:
    """Two genuine pictures and two of another kind, nobody's sources named."""
    for name in NAMES[:2]:
        copy(name, root / "genuine" / name)
    copy("forged_ai_generated.jpg", root / "ai" / "one.jpg")
    copy("forged_cutout_artifact.jpg", root / "cutout_artifact" / "two.jpg")
    return root


def taken(samples: list[Sample], out: Path) -> tuple[list[Sample], str]:
    out.mkdir(exist_ok=True)
    return take(samples, contents_of(samples), out)


def test_pictures_without_sources_are_judged_picture_by_picture(tmp_path: Path) -> None:
    samples, said = taken(read_pictures(folders(tmp_path / "in")), tmp_path / "out")
    honest = {sample.source for sample in samples if not sample.forged}
    assert honest == {f"genuine/{Path(name).stem}" for name in NAMES[:2]}
    assert "picture by picture, all of one source: genuine" in said


def test_named_sources_stay_whole_and_one_alone_is_split_by_product() -> None:
    two = [genuine(name, f"shop {k}") for k, name in enumerate(NAMES[:2])]
    made = [replace(genuine(name, "review"), labels=AI, product=f"group {k % 2}") for k, name in enumerate(NAMES[2:5])]
    found, alone = with_sources([*two, *made])
    assert [sample.source for sample in found[:2]] == ["shop 0", "shop 1"]
    assert [sample.source for sample in found[2:]] == ["review/group 0", "review/group 1", "review/group 0"]
    assert alone == ["review"]


def test_a_picture_changed_in_place_is_another_picture_with_another_digest(tmp_path: Path) -> None:
    root = folders(tmp_path / "in")
    samples = read_pictures(root)
    before, first = digest_of(samples, contents_of(samples)), taken(samples, tmp_path / "out")[0]
    copy(NAMES[3], root / "genuine" / NAMES[0])
    assert digest_of(samples, contents_of(samples)) != before
    second = taken(samples, tmp_path / "out")[0]
    assert len({sample.path for sample in first} & {sample.path for sample in second}) == 3
    assert all(sample.path.read_bytes() for sample in second)


def test_doubles_and_unreadable_pictures_are_left_out_and_named_as_they_came(tmp_path: Path) -> None:
    root = folders(tmp_path / "in")
    copy(NAMES[0], root / "genuine" / "z same bytes.jpg")
    again = cv2.imread(str(samples_folder() / NAMES[1]))
    cv2.imwrite(str(root / "genuine" / "z, again.jpg"), again, [cv2.IMWRITE_JPEG_QUALITY, 70])
    (root / "ai" / "broken.jpg").write_bytes(b"\xff\xd8 not much")
    samples, said = taken(read_pictures(root), tmp_path / "out")
    assert len(samples) == 4
    assert "1 the same files as others; 1 look like others; 1 unreadable" in said
    assert "broken.jpg" in (tmp_path / "out" / "unreadable.csv").read_text()
    with (tmp_path / "out" / "doubles.csv").open(newline="") as file:
        doubles = list(csv.reader(file))
    first, second = (str(root / "genuine" / name) for name in NAMES[:2])
    assert doubles == [
        ["left out", "same as", "how"],
        [str(root / "genuine" / "z same bytes.jpg"), first, "same bytes"],
        [str(root / "genuine" / "z, again.jpg"), second, "same look"],
    ]


def test_preparing_names_exact_doubles_however_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = tmp_path / "pictures"
    copy(NAMES[0], pictures / "a.jpg")
    copy(NAMES[0], pictures / "a, again.jpg")
    for name in ("white.png", "white again.png"):  # without detail, so PDQ says nothing
        cv2.imwrite(str(pictures / name), np.full((64, 64, 3), 255, np.uint8))
    header = "file,label,split,source,kind,goods,generator"
    names = ["a.jpg", '"a, again.jpg"', "white.png", "white again.png"]
    lines = [f"{name},genuine,train,shop {k},studio,,\n" for k, name in enumerate(names)]
    (pictures / "manifest.csv").write_text(header + "\n" + "".join(lines))
    prepare.main(["--pictures", str(pictures), "--out", str(tmp_path / "set"), "--per-picture", "0"])
    with (tmp_path / "set" / "doubles.csv").open(newline="") as file:
        doubles = [(Path(gone).name, Path(first).name, how) for gone, first, how in list(csv.reader(file))[1:]]
    assert doubles == [("a, again.jpg", "a.jpg", "same bytes"), ("white again.png", "white.png", "same bytes")]
    assert "2 pictures are left out, 2 the same files as others and 0 looking like others" in capsys.readouterr().out


def test_one_picture_under_two_labels_is_refused_with_both_names(tmp_path: Path) -> None:
    root = folders(tmp_path / "in")
    copy(NAMES[0], root / "ai" / "liar.jpg")
    with pytest.raises(UsageError, match=r"liar.jpg \(ai_generated\) and .*\(genuine\)|\(genuine\).*liar.jpg"):
        taken(read_pictures(root), tmp_path / "out")


def test_what_cannot_be_judged_or_read_ends_with_a_sentence(tmp_path: Path) -> None:
    samples = [genuine(NAMES[0], "a"), genuine(NAMES[1], "b"), replace(genuine(NAMES[2], "c"), labels=AI)]
    with pytest.raises(UsageError, match="1 forged or AI-made"):
        taken(samples, tmp_path / "out")
    with pytest.raises(UsageError, match=r"1 files are missing: .*gone.jpg"):
        contents_of([genuine("", "a", tmp_path / "gone.jpg")])


def test_disputed_rows_of_a_review_export_teach_nothing(tmp_path: Path) -> None:
    samples = read_pictures(folders(tmp_path / "in"))
    extra = replace(genuine(NAMES[4], "review"), split="disputed", known=frozenset(CATEGORIES))
    found, said = taken([*samples, extra], tmp_path / "out")
    assert len(found) == 4
    assert "1 disputed" in said
    assert np.all([sample.split != "disputed" for sample in found])
