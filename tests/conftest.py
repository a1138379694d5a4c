from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bank_fixtures import three_banks
from browsing import CHROMIUM
from fakes import tiny_model
from hypothesis import HealthCheck
from hypothesis import settings as examples
from PIL import Image
from postgres import Postgres, binaries, patient_connections

from zhentu.banks.bank import Banks
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.detect.entries import ModelEntry
from zhentu.record.database import Database
from zhentu.settings import Settings
from zhentu.types import OnError

# The same examples in every run, however slow the machine: new ones are looked for by scripts/fuzz_*.py, on purpose.
examples.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[*HealthCheck])
examples.load_profile("steady")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the developer's own store or settings."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ZHENTU_CONFIG", raising=False)


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encode an array, or a seeded photograph-like picture, with Pillow."""

    def make(form: str = "JPEG", size: tuple[int, int] = (96, 64), seed: int = 1, **options: object) -> bytes:
        return encoded(photo(size, seed), form, **options)

    return make


def photo(size: tuple[int, int] = (96, 64), seed: int = 1) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def bright(image: Image.Image) -> Image.Image:
    """A picture that the tiny model suspects."""
    return image.point(lambda value: 200 + value // 5)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    return tiny_model(tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path, entry: ModelEntry) -> Settings:
    values = {
        "data_dir": tmp_path / "xdg" / "zhentu",
        "store.url": f"sqlite:///{tmp_path}/records.db",
        "store.spool_dir": tmp_path / "spool",
        "models.dir": tmp_path / "models",
        "workers": 2,
        "gate.on_error": OnError.BLOCK,
        "gate.open": True,
        "gate.reload_s": 0.05,
        # A machine that stalls is slow, not wrong: tests of a limit set a short one themselves.
        "gate.deadline_s": 120.0,
        "gate.head_timeout_s": 120.0,
        "gate.body_timeout_s": 120.0,
        "fetch.timeout_s": 60.0,
        "gate.allowed_hosts": {"testserver", "a", "load"},
    }
    return Settings().changed(values)


@pytest.fixture
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: ModelEntry) -> None:
    """Commands find the tiny model, and write where nothing else lies."""
    monkeypatch.setenv("ZHENTU_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def where_bright_is_labelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_a_folder_of_its_own: None) -> None:
    """Commands label what the tiny model suspects, see `bright`, and send nothing to review."""
    monkeypatch.setenv("ZHENTU_LABEL_PROPAGATOR", "P")
    text = default_policy_path().read_text(encoding="utf-8").replace("review: model, block", "review: off, block")
    (tmp_path / "policy.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("ZHENTU_POLICY_PATH", str(tmp_path / "policy.yaml"))


@pytest.fixture
def policy():
    return load_policy(default_policy_path())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole session; tests that need it are skipped where none is installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL 15+ is not installed: apt-get install postgresql (.ci/run does so as root)")
    server = Postgres()
    with patient_connections():
        yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind; PostgreSQL is not migrated yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/deep/records.db"
        return
    server = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy, because running every migration takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "records.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """The same for PostgreSQL, where a copy takes a tenth of the time."""
    url = postgres.new_database()
    Database(url, auto_migrate=True).close()
    return url


@pytest.fixture
def migrated_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """A migrated, empty database of each kind."""
    if database_url.startswith("sqlite"):
        path = Path(database_url.removeprefix("sqlite:///"))
        path.parent.mkdir()
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
    else:
        request.getfixturevalue("postgres").fill(database_url, request.getfixturevalue("migrated_postgres"))
    return database_url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """An open, migrated store of each kind."""
    opened = Database(migrated_url)
    yield opened
    opened.close()


@pytest.fixture
def banks(database: Database) -> Banks:
    """Three banks in a store of each kind."""
    return three_banks(database)


@pytest.fixture
def client(settings: Settings) -> Iterator[object]:
    """A client of a running gate in open mode, with the tiny model."""
    from fastapi.testclient import TestClient

    from zhentu.gate.app import create_app

    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A Chromium; a module's own, because Playwright keeps an event loop running while it is open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=180_000)
        yield chromium
        chromium.close()
