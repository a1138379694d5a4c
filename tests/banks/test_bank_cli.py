from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import encoded
from pictures import waves
from PIL import Image
from typer.testing import CliRunner

from zhentu.cli.app import app
from zhentu.errors import PictureError, UsageError


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["bank", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for seed, form in ((1, "PNG"), (2, "PNG"), (1, "JPEG")):
        paths.append(tmp_path / f"{seed}.{form.lower()}")
        paths[-1].write_bytes(encoded(Image.fromarray(waves(200, 200, seed)), form))
    return paths


def test_a_bank_from_the_command_line_and_back_through_csv(pictures: list[Path], tmp_path: Path):
    one, two, copy = map(str, pictures)
    run("create", "bad", "--kind", "known_bad", "--threshold", "20")
    run("create", "again", "--kind", "known_bad")
    assert "added 2 of 2" in run("add", "bad", one, two, "--note", "fringes", "--days", "30")
    assert "plain copy" in run("lookup", copy)
    run("export", "bad", "--output", str(tmp_path / "bad.csv"))
    assert "added 2 of 2 entries, 0 lines" in run("import", "again", str(tmp_path / "bad.csv"))
    assert "again" in run("lookup", one)
    run("remove", "1")
    assert "known_bad" in run("list")
    assert run("export", "bad").count("\npdq,") == 1


def test_a_staged_bank_and_a_dry_run(pictures: list[Path]):
    run("create", "bad", "--kind", "known_bad", "--ratio", "0")
    run("add", "bad", str(pictures[0]))
    assert "in no bank" in run("lookup", str(pictures[0]))
    run("set", "bad", "--ratio", "1")
    assert "same file" in run("lookup", str(pictures[0]))
    assert "of 0 pictures seen" in run("dry-run", "bad", str(pictures[0]))


def test_wrong_lines_are_named_and_strict_takes_nothing(tmp_path: Path):
    run("create", "bad", "--kind", "known_bad")
    (tmp_path / "x.csv").write_text("signal_type,signal_str\npdq,zz\nsha256," + "a" * 64 + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="1 lines are wrong"):
        run("import", "bad", str(tmp_path / "x.csv"), "--strict")
    assert "added 1 of 1 entries, 1 lines" in run("import", "bad", str(tmp_path / "x.csv"))


def test_an_expired_entry_is_renewed_and_no_longer_counted(pictures: list[Path], tmp_path: Path):
    one = str(pictures[0])
    run("create", "bad", "--kind", "known_bad")
    run("add", "bad", one, "--days", "0.000001")  # a tenth of a second
    time.sleep(0.2)
    assert "in no bank" in run("lookup", one)
    assert "known_bad  0 " in run("list")
    run("export", "bad", "--output", str(tmp_path / "bad.csv"))
    assert "added 0 of 1" in run("import", "bad", str(tmp_path / "bad.csv")), "expired entries renew nothing"
    assert "added 1 of 1" in run("add", "bad", one, "--days", "30")
    assert "same file" in run("lookup", one)
    assert "known_bad  1 " in run("list")
    assert "added 0 of 1" in run("add", "bad", one)


@pytest.mark.parametrize("days", ["0", "-1", "nan", "1e9"])
def test_days_that_have_passed_or_never_come_are_refused(days: str, pictures: list[Path]):
    run("create", "bad", "--kind", "known_bad")
    with pytest.raises(UsageError, match=r"--days .* more than 0 and at most"):
        run("add", "bad", str(pictures[0]), f"--days={days}")
    assert "known_bad  0 " in run("list")


def test_a_picture_that_cannot_be_read_is_named_and_nothing_is_added(pictures: list[Path], tmp_path: Path):
    run("create", "bad", "--kind", "known_bad")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    for arguments, words in ((("add", "bad"), "nothing was added"), (("lookup",), ""), (("dry-run", "bad"), "")):
        with pytest.raises(PictureError, match=f"broken.jpg.*{words}"):
            run(*arguments, str(pictures[0]), str(broken))
    assert "known_bad  0 " in run("list")


def test_a_line_names_its_wrong_column_and_a_missing_file_is_missing(tmp_path: Path):
    run("create", "bad", "--kind", "known_bad")
    with pytest.raises(UsageError, match=r"x\.csv: no such file"):
        run("import", "bad", str(tmp_path / "x.csv"))
    good = "sha256," + "a" * 64
    lines = ["signal_type,signal_str,quality,colour,expires_at", "pdq,zz,,,", f"{good},high,,", f"{good},,zz,"]
    (tmp_path / "x.csv").write_text("\n".join([*lines, f"{good},,,soon"]), encoding="utf-8")
    told = run("import", "bad", str(tmp_path / "x.csv"))
    for words in ("signal_str 'zz'", "quality 'high'", "colour 'zz'", "expires_at 'soon'"):
        assert words in told
