from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from click.testing import Result
from conftest import bright, encoded, photo
from sqlalchemy import select
from typer.testing import CliRunner

from zhentu.backlog.apply import Applier, ApplyReport, ApplySpec
from zhentu.backlog.reading import Reader
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.backlog.scan_job import JobPlace
from zhentu.bootstrap.stores import build_store
from zhentu.cli.app import app
from zhentu.decide.policy_file import default_policy_path
from zhentu.errors import UsageError
from zhentu.intake.decode import DecodeLimits
from zhentu.mark.verify import verify_labels
from zhentu.record.applied import AppliedState, AppliedTable, Kind
from zhentu.record.schema import outbox
from zhentu.settings import Settings
from zhentu.types import AiState

DONE, PLANNED, UNDONE, FAILED = AppliedState.DONE, AppliedState.PLANNED, AppliedState.UNDONE, AppliedState.FAILED
HOOK = "https://platform.example/hook"


def label(payload: bytes, state: AiState) -> bytes:
    return payload + b"labelled %d" % state


class Platform:
    """A finished job over four bright pictures, which the tiny model wants labelled or blocked, and one dark one."""

    def __init__(self, folder: Path, settings: Settings, mode: str = "enforce", review: str = "review: model") -> None:
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        for seed in range(4):
            (self.pictures / f"{seed}.jpg").write_bytes(encoded(bright(photo(seed=seed)), "JPEG"))
        (self.pictures / "dark.jpg").write_bytes(encoded(photo().point(lambda value: value // 5), "JPEG"))
        policy = default_policy_path().read_text(encoding="utf-8")
        for old, new in {
            "mode: enforce": f"mode: {mode}",
            "review: model, block: off": review if "block" in review else f"{review}, block: off",
        }.items():
            policy = policy.replace(old, new)
        (folder / "policy.yaml").write_text(policy, encoding="utf-8")
        self.settings = settings.changed({"policy_path": folder / "policy.yaml"})
        summary = run_scan(ScanJob((str(self.pictures),), folder / "rows.csv"), self.settings)
        self.place = JobPlace.load(self.settings.jobs_folder / summary.job_id)
        self.actions = summary.by_action

    def apply(self, step: str, **spec: object) -> ApplyReport:
        with closing(build_store(self.settings)) as store, closing(self.place.ledger()) as ledger:
            chosen = ApplySpec(**{"label": label, "webhook_url": HOOK, **spec})  # type: ignore[arg-type]
            applier = Applier(self.place, ledger, AppliedTable(store.database), Reader(DecodeLimits()), chosen)
            report: ApplyReport = getattr(applier, step)()
            return report

    def messages(self) -> list[str]:
        with closing(build_store(self.settings)) as store, store.database.begin() as connection:
            return [row.kind for row in connection.execute(select(outbox.c.kind).order_by(outbox.c.message_id))]

    def copies(self) -> list[Path]:
        return sorted(self.pictures.glob("*.labelled.jpg"))


@pytest.fixture
def platform(tmp_path: Path, settings: Settings) -> Platform:
    """All four bright pictures are to be reviewed."""
    return Platform(tmp_path, settings)


@pytest.fixture
def labelling(tmp_path: Path, settings: Settings) -> Platform:
    """All four bright pictures are to be labelled."""
    return Platform(tmp_path, settings, review="review: off")


def test_in_shadow_nothing_happens_but_a_plan(platform: Platform) -> None:
    asked = platform.actions["label"] + platform.actions["review"]
    report = platform.apply("plan")
    assert asked == 4
    assert sum(count for (_, state), count in report.counts.items() if state is PLANNED) == 2 * asked
    assert (platform.copies(), platform.messages()) == ([], [])


def test_enforcing_needs_a_plan_that_was_looked_at(platform: Platform) -> None:
    with pytest.raises(UsageError, match="see first what it would do"):
        platform.apply("enforce")


def test_what_is_enforced_twice_is_done_once_and_undone_without_a_trace(labelling: Platform) -> None:
    before = {path: path.read_bytes() for path in labelling.pictures.iterdir()}
    labelling.apply("plan")
    first, second = labelling.apply("enforce"), labelling.apply("enforce")
    assert first.counts == second.counts == {(Kind.LABEL, DONE): 4, (Kind.MESSAGE, DONE): 4}
    assert [path.read_bytes()[-1:] for path in labelling.copies()] == [b"3"] * 4  # suspected: the model said so
    assert labelling.apply("undo").counts == {(Kind.LABEL, UNDONE): 4, (Kind.MESSAGE, UNDONE): 4}
    assert {path: path.read_bytes() for path in labelling.pictures.iterdir()} == before
    assert labelling.messages() == ["backlog.applied"] * 4 + ["backlog.undone"] * 4


def test_a_picture_or_copy_that_changed_meanwhile_is_left_alone(labelling: Platform) -> None:
    labelling.apply("plan")
    changed = labelling.pictures / "0.jpg"
    changed.write_bytes(changed.read_bytes() + b"x")
    assert labelling.apply("enforce").counts[Kind.LABEL, FAILED] == 1
    edited = labelling.copies()[0]
    edited.write_bytes(b"by hand")
    assert labelling.apply("undo").counts[Kind.LABEL, DONE] == 1
    assert [path.read_bytes() for path in labelling.copies()] == [b"by hand"]


@pytest.mark.parametrize("name", ["主图 白底", "size=L", "100%25 #1?x"])
@pytest.mark.parametrize("beside", [True, False])
def test_copies_are_taken_back_whatever_letters_their_folder_has(
    name: str, beside: bool, tmp_path: Path, settings: Settings
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    platform = Platform(folder, settings, review="review: off")
    target = "" if beside else str(folder / "copies")
    platform.apply("plan", target=target)
    platform.apply("enforce", target=target)
    copies = platform.copies() if beside else list((folder / "copies").rglob("*.jpg"))
    assert len(copies) == 4
    assert platform.apply("undo").counts[Kind.LABEL, UNDONE] == 4
    assert [path for path in copies if path.exists()] == []


def test_copies_go_under_a_prefix_of_any_file_system(labelling: Platform) -> None:
    labelling.apply("plan", target="memory://labelled")
    labelling.apply("enforce", target="memory://labelled")
    system = fsspec.filesystem("memory")
    assert len(system.find("/labelled")) == 4
    labelling.apply("undo")
    assert system.find("/labelled") == []


def test_a_target_and_a_webhook_go_before_what_was_planned_and_is_not_done(labelling: Platform, tmp_path: Path) -> None:
    labelling.apply("plan", webhook_url="")
    other = {"webhook_url": "https://other.example/", "other_webhook": True}
    labelling.apply("plan", target=str(tmp_path / "first"))
    labelling.apply("plan", target=str(tmp_path / "copies"), **other)
    labelling.apply("enforce")
    assert len(list((tmp_path / "copies").rglob("*.jpg"))) == 4
    assert (labelling.copies(), list(tmp_path.glob("first"))) == ([], [])
    with closing(build_store(labelling.settings)) as store, store.database.begin() as connection:
        assert set(connection.execute(select(outbox.c.url)).scalars()) == {"https://other.example/"}


@pytest.mark.parametrize("step", ["plan", "enforce"])
def test_two_places_for_one_job_are_refused_and_the_first_is_named(
    step: str, labelling: Platform, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    labelling.apply("plan", target=str(first))
    labelling.apply("enforce")
    for changed in ({"target": str(tmp_path / "second")}, {"webhook_url": "https://other/", "other_webhook": True}):
        with pytest.raises(UsageError, match=f"{first}|{HOOK}"):
            labelling.apply(step, **changed)
    labelling.apply(step, target=str(first), other_webhook=True)
    labelling.apply("undo")
    labelling.apply("plan", target=str(tmp_path / "second"))
    labelling.apply("enforce")
    assert len(list((tmp_path / "second").rglob("*.jpg"))) == 4


def test_a_relative_target_is_taken_back_from_any_folder(
    labelling: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labelling.apply("plan", target="copies")
    labelling.apply("enforce")
    assert len(list((tmp_path / "copies").rglob("*.jpg"))) == 4
    monkeypatch.chdir("/")
    labelling.apply("undo")
    assert list((tmp_path / "copies").rglob("*.jpg")) == []


def command(platform: Platform, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    settings = platform.settings
    named = {"MODELS_DIR": settings.models.dir, "STORE_URL": settings.store_url, "POLICY_PATH": settings.policy_path}
    for name, value in (named | {"LABEL_PROPAGATOR": "9131000000000000XX"}).items():
        monkeypatch.setenv(f"ZHENTU_{name}", str(value))
    return CliRunner().invoke(app, ["apply", platform.place.job_id, *arguments])


@pytest.mark.parametrize("url", ["ftp://platform.example/", "platform.example/hook", "https://", "https://[x"])
def test_a_webhook_that_nothing_can_reach_is_refused(
    url: str, labelling: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = command(labelling, monkeypatch, "--webhook", url)
    assert isinstance(refused.exception, UsageError)
    assert url in str(refused.exception)


def test_undo_names_what_it_leaves_alone_and_a_job_without_a_plan(
    labelling: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = command(labelling, monkeypatch, "--undo")
    assert "nothing was planned" in str(never.exception)
    labelling.apply("plan")
    labelling.apply("enforce")
    edited = labelling.copies()[0]
    edited.write_bytes(b"by hand")
    undone = command(labelling, monkeypatch, "--undo")
    assert f"{edited}: was changed after it was written" in undone.output
    assert undone.exit_code == 1


def test_what_shadow_mode_holds_back_is_not_offered_to_be_enforced(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = command(Platform(tmp_path, settings, "shadow"), monkeypatch)
    assert "held back" in planned.output
    assert "--enforce" not in planned.output


def test_a_policy_in_shadow_mode_holds_everything_back(tmp_path: Path, settings: Settings) -> None:
    platform = Platform(tmp_path, settings, "shadow")
    platform.apply("plan")
    report = platform.apply("enforce")
    assert report.in_shadow == 4
    assert {state for _, state in report.counts} == {PLANNED}
    assert platform.messages() == []


@pytest.mark.parametrize(
    ("review", "name"), [("review: 0.5", "review.csv"), ("block: 0.5, review: off", "take_down.csv")]
)
def test_lists_name_what_is_to_be_looked_at_or_taken_down(
    review: str, name: str, tmp_path: Path, settings: Settings
) -> None:
    platform = Platform(tmp_path, settings, review=review)
    platform.apply("plan")
    (listed,) = [path for path in platform.apply("enforce").lists if path.name == name]
    with listed.open(encoding="utf-8-sig") as stream:
        assert [(Path(row["path"]).name, row["state"]) for row in csv.DictReader(stream)] == [
            (f"{number}.jpg", "done") for number in range(4)
        ]


def test_the_command_labels_with_the_platforms_code_and_takes_it_back(
    labelling: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = labelling.settings
    named = {"MODELS_DIR": settings.models.dir, "STORE_URL": settings.store_url, "POLICY_PATH": settings.policy_path}
    for name, value in named.items():
        monkeypatch.setenv(f"ZHENTU_{name}", str(value))
    job = labelling.place.job_id
    planned = CliRunner().invoke(app, ["apply", job])
    assert planned.exit_code == 0
    assert "nothing has been done yet" in planned.output
    assert planned.output.count("ZHENTU_LABEL_PROPAGATOR") == 1, "before it fails"
    refused = CliRunner().invoke(app, ["apply", job, "--enforce"])
    assert isinstance(refused.exception, UsageError)  # no propagator is set: a label could not conform
    assert "ZHENTU_LABEL_PROPAGATOR" in str(refused.exception)
    assert labelling.copies() == []
    with closing(build_store(settings)) as store:
        assert list(AppliedTable(store.database).each(job, (DONE, FAILED))) == [], "nothing was tried"
    monkeypatch.setenv("ZHENTU_LABEL_PROPAGATOR", "9131000000000000XX")
    done = CliRunner().invoke(app, ["apply", job, "--enforce"])
    assert done.exit_code == 0, done.output
    assert [verify_labels(path.read_bytes()).conforms for path in labelling.copies()] == [True] * 4
    assert CliRunner().invoke(app, ["apply", job, "--undo"]).exit_code == 0
    assert labelling.copies() == []
