from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import encoded, photo
from fakes import change_manifest, profiles
from typer.testing import CliRunner

from zhentu.cli.app import app
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.errors import DependencyError
from zhentu.intake.decode import DecodeLimits, decode_frames
from zhentu.types import Action, Category

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, in_a_folder_of_its_own: None) -> None:
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def genuine(tmp_path: Path) -> Path:
    folder = tmp_path / "genuine"
    folder.mkdir()
    for seed in range(12):
        (folder / f"{seed}.png").write_bytes(encoded(photo(seed=seed), "PNG"))
    return folder


def own_policy(**changes: object) -> Path:
    content = yaml.safe_load(default_policy_path().read_text(encoding="utf-8")) | changes
    Path("own.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Path("own.yaml")


def test_show_prints_the_thresholds_in_force_and_the_rates_of_each_profile(tmp_path: Path) -> None:
    change_manifest(tmp_path / "models", profiles=profiles({"careful": 0.95, "balanced": 0.8, "strict": 0.6}))
    shown = run(app, ["policy", "show", str(own_policy(profile="strict"))]).output
    assert all(words in shown for words in ("strict *", "careful", "1.23%", "45.6%", "2.34%", "of profile strict"))
    in_force = shown.split("Profiles of")[0]
    assert "0.6 " in in_force
    assert "0.95" not in in_force


def test_show_says_at_which_prior_and_that_an_old_model_has_no_profiles() -> None:
    shown = run(app, ["policy", "show", str(own_policy(profile="strict", prior={"ai_generated": 0.05}))])
    assert shown.exit_code == 0, shown.output
    assert "ai_generated 0.05 (the model states 0.5)" in shown.output
    assert "ships none: its own thresholds apply" in shown.output
    assert "Profiles of" not in shown.output


def test_fit_changes_nothing_by_itself(genuine: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = run(app, ["policy", "fit", str(genuine), "--review", "0.25", "--label", "0.3"])
    assert done.exit_code == 0, done.output
    assert "Nothing was written" in done.output
    assert "Too few" not in done.output
    assert "Wilson" in done.output
    assert sorted(tmp_path.rglob("*")) == before


def test_fit_says_when_there_are_too_few_and_the_file_says_so_too(genuine: Path) -> None:
    done = run(app, ["policy", "fit", str(genuine), "--write", "fitted.yaml"])
    assert "Too few pictures for 0.50% review: 12, at least 600 are needed" in done.output
    assert "Too few pictures for 1.00% label: 12, at least 300 are needed" in done.output
    assert "too few for review" in Path("fitted.yaml").read_text(encoding="utf-8").splitlines()[0]


def test_fit_leaves_out_by_name_what_cannot_be_read_and_counts_doubles_once(genuine: Path) -> None:
    (genuine / "broken.jpg").write_bytes(b"x")
    (genuine / "twin.png").write_bytes((genuine / "0.png").read_bytes())
    done = run(app, ["policy", "fit", str(genuine)])
    assert "12 different genuine pictures, 2 left out" in done.output
    assert "broken.jpg: unsupported_format" in done.stderr
    assert "twin.png: the same file" in done.stderr


def test_fit_leaves_out_a_picture_for_whose_decoder_something_is_missing(
    genuine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(payload: bytes, limits: DecodeLimits) -> object:
        if payload == b"jxl":
            raise DependencyError("JPEG XL needs a package")
        return decode_frames(payload, limits)

    monkeypatch.setattr("zhentu.intake.decode.decode_frames", lacking)
    (genuine / "new.jpg").write_bytes(b"jxl")
    done = run(app, ["policy", "fit", str(genuine)])
    assert "12 different genuine pictures, 1 left out" in done.output
    assert "new.jpg: dependency_unavailable" in done.stderr


def test_a_fitted_policy_acts_on_the_wished_share(genuine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(app, ["policy", "fit", str(genuine), "--review", "0.25", "--label", "0.4", "--write", "fitted.yaml"])
    policy = load_policy(Path("fitted.yaml"))
    assert isinstance(policy.limits[Category.AI_GENERATED, ""][Action.LABEL], float)
    monkeypatch.setenv("ZHENTU_POLICY_PATH", "fitted.yaml")
    lines = run(app, ["scan", str(genuine), "--format", "jsonl"]).stdout.splitlines()
    asked = sum('"action": "allow"' not in line and '"action":"allow"' not in line for line in lines)
    assert 0 < asked <= 4  # 2 of 13 may be reviewed, 4 labelled; the tiny model ranks alike by every category


def test_an_existing_file_keeps_its_own_words_and_one_that_is_no_policy_is_left_alone(genuine: Path) -> None:
    own = own_policy(prior={"ai_generated": 0.05}, mode="shadow")
    own.write_text("# ours\n" + own.read_text())
    assert run(app, ["policy", "fit", str(genuine), "--write", str(own)]).exit_code == 0
    policy = load_policy(own)
    assert (policy.mode.value, policy.prior) == ("shadow", {Category.AI_GENERATED: 0.05})
    assert "# ours" in own.read_text()
    Path("notes.yaml").write_text("milk: 2\n")
    assert run(app, ["policy", "fit", str(genuine), "--write", "notes.yaml"]).exit_code != 0
    assert Path("notes.yaml").read_text() == "milk: 2\n"
