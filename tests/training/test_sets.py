"""From somebody's folder to the heads: nothing is learnt under a wrong label, nothing left out without a word."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from smoke import SPEC, genuine, smoke_samples

pytest.importorskip("torch")

from zhentu.detect.models import samples_folder
from zhentu.errors import UsageError
from zhentu.types import Category, Profile
from zhentu_training import crossval, features, fit, prepare
from zhentu_training.calibrate import few_for
from zhentu_training.commands import errors_said_plainly
from zhentu_training.config import Risk, load_spec
from zhentu_training.dataset import Origin, write_manifest
from zhentu_training.encoder_mark import check_mark, differs, set_mark
from zhentu_training.features import pictures_of, share_of, write_shard
from zhentu_training.foldered import rows_of
from zhentu_training.limits import PerSource, limited
from zhentu_training.picture_files import write_picture
from zhentu_training.rows import gather

NAMES = [path.name for path in sorted(samples_folder().glob("genuine_*.jpg"))]
AI = frozenset({Category.AI_GENERATED})


def collected(folder: Path, label: str = "genuine", split: str = "train", more: str = "") -> Path:
    """A folder as scripts/fetch_data.py leaves it, with one genuine and one AI-made picture."""
    folder.mkdir()
    for name, target in ((NAMES[0], "g.jpg"), ("forged_ai_generated.jpg", "a.jpg")):
        (folder / target).write_bytes((samples_folder() / name).read_bytes())
    head = "file,label,split,source,generator,kind,goods\n"
    rows = f"g.jpg,{label},{split},shop,,,\na.jpg,ai,{split},gallery,,,\n"
    (folder / "manifest.csv").write_text(head + rows + more, encoding="utf-8")
    return folder


def prepared(pictures: Path, out: Path) -> list[dict[str, str]]:
    prepare.main(["--pictures", str(pictures), "--out", str(out), "--per-picture", "0"])
    return rows_in(out)


def rows_in(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_label_that_is_not_known_is_never_learnt_as_ai_made(tmp_path: Path) -> None:
    rows = prepared(collected(tmp_path / "capital", label="Genuine"), tmp_path / "a")
    assert [row["labels"] for row in rows] == ["", "ai_generated"]
    with pytest.raises(SystemExit, match=r"manifest.csv: unknown label 'real'; known: genuine, ai, pair"):
        prepared(collected(tmp_path / "real", label="real"), tmp_path / "b")
    with pytest.raises(SystemExit, match=r"unknown split 'test'"):
        prepared(collected(tmp_path / "test", split="test"), tmp_path / "c")
    with pytest.raises(SystemExit, match=r"1 of its files are missing: gone.jpg"):
        prepared(collected(tmp_path / "gone", more="gone.jpg,ai,train,gallery,,,\n"), tmp_path / "d")


def test_prepare_takes_labelled_folders_and_names_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest, made = tmp_path / "in" / "genuine" / "店 1", tmp_path / "in" / "ai"
    honest.mkdir(parents=True)
    made.mkdir()
    (honest / "图 1.jpg").write_bytes((samples_folder() / NAMES[0]).read_bytes())
    (honest / "no suffix").write_bytes((samples_folder() / NAMES[1]).read_bytes())
    (honest / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic cut off")
    (honest / "notes.txt").write_text("x")
    (tmp_path / "in" / "list.txt").write_text("x")
    (made / "a.jpg").write_bytes((samples_folder() / "forged_ai_generated.jpg").read_bytes())
    rows = prepared(tmp_path / "in", tmp_path / "out")
    assert sorted(Path(row["path"]).name for row in rows) == ["a.jpg", "no suffix", "图 1.jpg"]
    assert "phone.HEIC" in (tmp_path / "out" / "unreadable.csv").read_text(encoding="utf-8")
    said = capsys.readouterr()
    assert "1 pictures cannot be read and are left out" in said.out
    assert "2 files are passed over" in said.err
    assert "notes.txt (not_a_picture)" in said.err
    with pytest.raises(SystemExit, match="name its folders genuine, ai"):
        prepared(honest, tmp_path / "other")


def test_a_picture_that_is_a_link_has_the_source_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "genuine" / "shop"
    folder.mkdir(parents=True)
    (folder / "link.jpg").symlink_to((samples_folder() / NAMES[0]).resolve())
    assert [sample.source for sample in rows_of(tmp_path / "in")] == ["shop"]


def test_of_a_source_over_the_limit_the_same_pictures_stay_in_any_order(tmp_path: Path) -> None:
    shop = [genuine(name, "shop") for name in NAMES]
    gallery = [replace(genuine("forged_ai_generated.jpg", "shop"), labels=AI)]
    kept = limited([*shop, *gallery], PerSource(genuine=2, made=1))
    assert [sample.forged for sample in kept] == [False, False, True]
    other = [replace(sample, source="other shop") for sample in shop[:2]]
    assert {*kept, *other} == {*limited([*gallery, *other, *shop[::-1]], PerSource(genuine=2, made=1))}
    with pytest.raises(UsageError, match=r"1 at least of each kind \(got 2 and 0\)"):
        PerSource(genuine=2, made=0)


def test_prepare_says_which_sources_are_cut_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES[:3]:
        picture = tmp_path / "in" / "genuine" / "shop" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes((samples_folder() / name).read_bytes())
    call = ["--pictures", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--per-picture", "0"]
    prepare.main([*call, "--per-source", "2", "1"])
    assert len(rows_in(tmp_path / "out")) == 2
    assert "1 pictures are over the limit of 2 genuine and 1 AI-made ones of a source" in (
        said := capsys.readouterr().out
    )
    assert "are left out: 1 of shop" in said
    with pytest.raises(SystemExit, match=r"1 at least of each kind"):
        prepare.main([*call, "--per-source", "0", "1"])


def test_edited_pairs_and_own_forgeries_with_their_originals_are_never_over_the_limit(tmp_path: Path) -> None:
    samples = smoke_samples(tmp_path)
    kept = limited(samples, PerSource(genuine=1, made=1))
    originals = {sample.pair for sample in samples if sample.pair}
    always = [sample for sample in samples if sample.origin is not Origin.REAL or sample.path in originals]
    assert [sample for sample in kept if sample in always] == always
    assert {sample.source for sample in kept if sample not in always} == {"shop 0", "shop 1", "gallery 0", "gallery 1"}
    assert len(kept) == len(always) + 4


def test_disputed_rows_are_not_looked_at_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest([genuine(NAMES[0], "a"), replace(genuine(NAMES[1], "review"), split="disputed")], path)
    assert [sample.source for sample in pictures_of([path])] == ["a"]
    write_manifest([genuine("", "a", tmp_path / "gone.jpg")], path)
    with pytest.raises(UsageError, match=r"1 files of the manifest are missing: .*gone.jpg"):
        pictures_of([path])


def test_features_of_another_encoder_are_refused_with_what_differs(tmp_path: Path) -> None:
    check_mark(tmp_path, SPEC)  # of an earlier version, or new
    set_mark(tmp_path, SPEC)
    check_mark(tmp_path, SPEC)
    other = replace(SPEC, backbone=replace(SPEC.backbone, depth=2), exit=None)
    assert differs(tmp_path, other) == ["depth 3, the config's 2"]
    with pytest.raises(UsageError, match=r"another encoder than the config's \(depth 3.*--features"):
        check_mark(tmp_path, other)


def test_a_part_or_a_number_of_threads_that_leaves_pictures_out_is_refused(tmp_path: Path) -> None:
    assert share_of("1/2", 3).part == 1
    for wrong in ("2/2", "x", "1", "-1/2", "0/0"):
        with pytest.raises(UsageError, match=f"--part {wrong}: is not k/n"):
            share_of(wrong, 1)
    with pytest.raises(SystemExit, match="--workers 0"):
        features.main(["--manifest", str(tmp_path / "m.csv"), "--workers", "0"])


def test_pictures_without_features_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [genuine(name, "a") for name in NAMES[:3]]
    feats = np.zeros((2, 3, 3, 4), np.float16)
    write_shard(tmp_path, "native", [str(sample.path) for sample in samples[:2]], feats, feats)
    assert len(gather(samples, tmp_path, ["native", "web"])) == 2
    said = capsys.readouterr().err
    assert f"1 of 3 pictures have no features on the road native and are left out ({samples[2].path})" in said
    assert "no features on the road web, it is left out" in said
    with pytest.raises(UsageError, match=r"run zhentu_training.features first"):
        gather(samples, tmp_path / "none", ["native"])


def test_sources_that_are_not_there_cannot_teach(tmp_path: Path) -> None:
    samples = [genuine(NAMES[0], "shop"), replace(genuine(NAMES[1], "gallery"), labels=AI)]
    write_manifest(samples, tmp_path / "m.csv")
    feats = np.zeros((2, 3, 3, 192), np.float16)
    write_shard(tmp_path / "f", "native", [str(sample.path) for sample in samples], feats, feats)
    call = ["--manifest", str(tmp_path / "m.csv"), "--features", str(tmp_path / "f"), "--run", str(tmp_path / "run")]
    call += ["--config", "configs/train-smoke.yaml", "--teach", "review"]
    with pytest.raises(SystemExit, match="add --start-from"):
        fit.main(call)
    with pytest.raises(SystemExit, match="--teach review: no source of that name; there are gallery, shop"):
        fit.main([*call, "--start-from", "models"])
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit, match="--only nosuch: no design of that name"):
        crossval.main([*call[:4], "--config", "configs/train-smoke.yaml", "--only", "nosuch"])


def test_rates_that_so_few_genuine_pictures_cannot_promise_are_named() -> None:
    spec = replace(SPEC, profiles={Profile.CAREFUL: Risk(0.01, 0.001), Profile.STRICT: Risk(0.5, 0.5)})
    assert few_for(spec, 3000) == []
    (said,) = few_for(spec, 300)
    assert said.startswith("300 genuine pictures are too few for the rates of the profile careful: review 0.10% needs")
    assert "may act on 1.00% of genuine ones" in said


def test_values_of_a_config_that_mean_nothing_are_all_named(tmp_path: Path) -> None:
    text = Path("configs/train-smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("version: 0.0.1\nseed", "version: ../1\nseed").replace("folds: 2", "folds: 0\nprior: 1.5")
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_spec(path)
    for problem in ("version: letters", "folds: one is the least", "prior: a share between 0 and 1 (got 1.5)"):
        assert problem in str(caught.value)
    with pytest.raises(UsageError, match="is not there"):
        load_spec(tmp_path / "none.yaml")


def test_a_full_disk_and_a_missing_file_end_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "full.png").symlink_to("/dev/full")
    with pytest.raises(SystemExit, match="No space left on device"), errors_said_plainly():
        write_picture(tmp_path / "full.png", np.zeros((300, 300, 3), np.uint8))
    with pytest.raises(SystemExit, match=r"none.npz: No such file"), errors_said_plainly():
        np.load(tmp_path / "none.npz")
