from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from zhentu.errors import UsageError
from zhentu_training import progress
from zhentu_training.progress import track
from zhentu_training.steps import Step, run_steps


class Line:
    """Three steps that write a file each and say how often they ran."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ran = folder, []
        self.fails = ""

    def step(self, name: str, **settings: object) -> Step:
        def do() -> str:
            self.ran.append(name)
            if name == self.fails:
                raise KeyboardInterrupt
            assert list(track([1, 2], name)) == [1, 2]
            print(f"{name} speaks")
            (self.folder / name).write_text(name)
            return f"{name} done"

        return Step(name, (self.folder / name,), do, settings)

    def run(self, inputs: str = "pictures", **settings: object) -> dict[str, str]:
        steps = [self.step("a"), self.step("b", **settings), self.step("c")]
        return run_steps(steps, inputs, self.folder / "steps")


def test_a_second_run_does_nothing_and_says_the_same(tmp_path: Path) -> None:
    line = Line(tmp_path)
    first = line.run()
    assert line.run() == first == {name: f"{name} done" for name in "abc"}
    assert line.ran == ["a", "b", "c"]


def test_an_interrupted_run_goes_on_at_the_step_where_it_was(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.fails = "b"
    with pytest.raises(KeyboardInterrupt):
        line.run()
    line.fails = ""
    line.run()
    assert line.ran == ["a", "b", "b", "c"]


def test_what_changes_is_done_again_with_all_that_follows(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.run()
    line.run(ridge=1)
    assert line.ran == ["a", "b", "c", "b", "c"]
    line.run("other pictures", ridge=1)
    assert line.ran[5:] == ["a", "b", "c"]


def test_an_output_that_is_gone_and_a_record_that_is_no_record_are_made_again(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.run()
    (tmp_path / "c").unlink()
    line.run()
    (tmp_path / "steps" / "b.json").write_text("{ half")
    line.run()
    assert line.ran == ["a", "b", "c", "c", "b"]


def test_a_failed_redo_leaves_no_record_of_the_old_output(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.run()
    line.fails = "b"
    with pytest.raises(KeyboardInterrupt):
        line.run(ridge=1)
    line.fails = ""
    line.run()
    assert line.ran[3:] == ["b", "b"]


def test_what_a_step_prints_is_in_its_log_and_a_refusal_names_it(tmp_path: Path) -> None:
    Line(tmp_path).run()
    assert (tmp_path / "steps" / "a.log").read_text() == "a speaks\n"
    assert json.loads((tmp_path / "steps" / "a.json").read_text())["said"] == "a done"

    def refuse() -> str:
        raise SystemExit("torch and ONNX Runtime disagree")

    with pytest.raises(UsageError, match=r"export: torch and ONNX Runtime disagree; .*export\.log"):
        run_steps([Step("export", (), refuse, {})], "", tmp_path / "steps")


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    with (tmp_path / "steps" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another run is working in this folder"):
            Line(tmp_path).run()


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(track(iter("ab"), "reading", total=2)) == ["a", "b"]
    assert capsys.readouterr().err == "", "nothing to say within a minute"
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    assert list(track(["a", "b"], "reading")) == ["a", "b"]
    assert capsys.readouterr().err.splitlines()[-1] == "reading: 2 of 2"
