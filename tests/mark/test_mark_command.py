from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import encoded, photo
from typer.testing import CliRunner

from zhentu.cli.app import app
from zhentu.errors import UsageError
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.verify import verify_labels
from zhentu.types import AiState

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")
run = CliRunner().invoke
CODE = ["--propagator", "PLATFORM-7"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(photo((300, 200)), "JPEG"))
    (folder / "sub" / "a.jpg").write_bytes(encoded(photo((300, 200), 2), "JPEG"))
    return folder


def test_pictures_are_marked_and_verified(pictures: Path, tmp_path: Path) -> None:
    done = run(app, ["mark", str(pictures), "--state", "suspected", *CODE])
    assert done.exit_code == 0, done.output
    for name in ("a.jpg", "sub/a.jpg"):
        assert verify_labels((tmp_path / "labelled" / name).read_bytes()).conforms
    assert run(app, ["mark", "labelled", "--verify"]).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "labelled").rglob("*.jpg")}
    run(app, ["mark", "labelled", "-o", "labelled", "--state", "suspected", *CODE])
    assert {path: path.read_bytes() for path in before} == before


def test_verify_says_what_is_wrong_and_exits_with_1(pictures: Path) -> None:
    done = run(app, ["mark", str(pictures / "a.jpg"), "--verify"])
    assert done.exit_code == 1
    assert "there is no AIGC label" in done.output
    found = json.loads(run(app, ["mark", str(pictures / "a.jpg"), "--verify", "--json"]).output)
    assert (found["conforms"], found["implicit"], found["c2pa"]) == (False, [], None)


def test_auto_labels_what_the_file_says_and_leaves_the_rest(pictures: Path, tmp_path: Path) -> None:
    run(app, ["mark", str(pictures / "a.jpg"), "-o", "once", "--state", "possibly", "--no-visible", *CODE])
    (pictures / "sub" / "marked.jpg").write_bytes((tmp_path / "once" / "a.jpg").read_bytes())
    done = run(app, ["mark", str(pictures), "--json", *CODE])
    states = {Path(line["path"]).name: line["state"] for line in map(json.loads, done.output.splitlines())}
    assert states == {"a.jpg": None, "marked.jpg": 2}
    assert [path.name for path in (tmp_path / "labelled").rglob("*.jpg")] == ["marked.jpg"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_the_rows_of_a_scan_are_labelled_by_their_state(pictures: Path, tmp_path: Path, name: str) -> None:
    run(app, ["mark", str(pictures / "a.jpg"), "-o", str(tmp_path / "once"), "--state", "is", "--no-visible", *CODE])
    (tmp_path / "once" / "a.jpg").replace(pictures / "a.jpg")
    assert run(app, ["scan", str(pictures), "-o", name]).exit_code == 0
    done = run(app, ["mark", name, "--rows", *CODE])
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "labelled").rglob("*.jpg")
    assert written.name == "a.jpg"
    assert verify_labels(written.read_bytes()).conforms


def test_one_bad_picture_does_not_stop_the_others(pictures: Path, tmp_path: Path) -> None:
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = run(app, ["mark", str(pictures), "--state", "is", *CODE])
    assert done.exit_code == 1
    assert len(list((tmp_path / "labelled").rglob("*.jpg"))) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--state", "is"], "label.propagator"),
        (["--state", "is", "--propagator", "有中文"], "label.propagator"),
        (["--rows", *CODE], "not an output of a scan"),
    ],
)
def test_wrong_calls_are_named(pictures: Path, arguments: list[str], words: str) -> None:
    done = run(app, ["mark", str(pictures / "a.jpg"), *arguments])
    assert words in str(done.exception)


def test_two_pictures_never_become_one_file(pictures: Path) -> None:
    both = [str(pictures / "a.jpg"), str(pictures / "sub" / "a.jpg")]
    assert "both become" in str(run(app, ["mark", *both, "--state", "is", *CODE]).exception)


def test_originals_are_never_overwritten(pictures: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in pictures.rglob("*.jpg")}
    (tmp_path / "link").symlink_to(pictures, target_is_directory=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.jpg").hardlink_to(pictures / "a.jpg")
    for source, output in (
        (pictures, pictures),
        (pictures / "a.jpg", pictures),
        (pictures / "a.jpg", pictures / "sub" / ".."),
        (pictures, tmp_path / "link"),
        (pictures / "a.jpg", other),
        (pictures / "a.jpg", pictures / "sub"),
    ):
        with_second = [str(source), *([str(pictures / "sub")] if output == pictures / "sub" else [])]
        done = run(app, ["mark", *with_second, "-o", str(output), "--state", "is", *CODE])
        assert isinstance(done.exception, UsageError), (source, output)
        assert "a.jpg" in str(done.exception)
    assert {path: path.read_bytes() for path in pictures.rglob("*.jpg")} == before


@pytest.mark.parametrize(
    ("tail", "note"),
    [
        (b"x" * 65536, "65536 bytes after the end of the picture were removed"),
        (encoded(photo(), "JPEG"), "another JPEG among them"),
        (b"", ""),
        (bytes(8), ""),
    ],
)
def test_what_stood_behind_a_jpeg_is_told(tail: bytes, note: str) -> None:
    marked = label_picture(encoded(photo((200, 160)), "JPEG") + tail, AiState.IS, LabelSpec(propagator="P"))
    assert any(note in each for each in marked.notes) if note else marked.notes == ()
