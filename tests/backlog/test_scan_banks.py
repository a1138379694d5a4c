"""What a scan does with pictures that the banks know; the Ray engine asks the same banks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from conftest import encoded
from pictures import waves
from PIL import Image

from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.banks.entries import Bank, NewEntry
from zhentu.banks.hashing import fingerprint_of
from zhentu.bootstrap.stores import build_banks, build_store
from zhentu.decide.policy_file import default_policy_path
from zhentu.intake.decode import decode
from zhentu.settings import Settings
from zhentu.types import BankKind


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(4):
        picture = Image.fromarray(waves(240, 320, seed))
        (folder / f"{seed}.png").write_bytes(encoded(picture, "PNG"))
    (folder / "copy.jpg").write_bytes(encoded(Image.fromarray(waves(240, 320, 1)), "JPEG", quality=60))
    return folder


def know(settings: Settings, bank: Bank, *paths: Path) -> None:
    with closing(build_store(settings)) as store:
        banks = build_banks(store)
        banks.put_bank(bank, "ann")
        prints = [fingerprint_of(decode(path.read_bytes())) for path in paths]
        banks.add(bank.name, [NewEntry.of(each, "review") for each in prints], "ann")


def scan(pictures: Path, settings: Settings, **options: object) -> dict[str, ScanRow]:
    rows: dict[str, ScanRow] = {}
    job = ScanJob((str(pictures),), pictures.parent / "rows.csv", **options)
    run_scan(job, settings, lambda progress: rows.update({Path(progress.row.path).name: progress.row}))
    return rows


def test_known_bad_pictures_and_their_copies_are_found_and_the_others_stay(pictures: Path, settings: Settings) -> None:
    before = scan(pictures, settings)
    know(settings, Bank("bad", BankKind.KNOWN_BAD), pictures / "1.png")
    after = scan(pictures, settings)
    assert "bank_known_bad" in after["1.png"].reasons
    assert "bank_known_bad" in after["copy.jpg"].reasons
    assert (after["1.png"].action, after["copy.jpg"].action) == ("review", "review")
    assert all("bank_known_bad" not in row.reasons for row in before.values())
    for name in ("0.png", "2.png", "3.png"):
        assert "bank_known_bad" not in after[name].reasons
        assert (after[name].forged, after[name].action) == (before[name].forged, before[name].action)
        assert after[name].known  # other rules, the same scores


def test_a_second_scan_with_the_same_banks_writes_no_record(pictures: Path, settings: Settings) -> None:
    know(settings, Bank("bad", BankKind.KNOWN_BAD), pictures / "1.png")
    first, second = scan(pictures, settings), scan(pictures, settings)
    assert {name: row.record_id for name, row in first.items()} == {name: row.record_id for name, row in second.items()}
    with closing(build_store(settings)) as store:
        assert sum(store.counts_by_action().values()) == len(first)


def test_an_allowed_picture_is_let_through(pictures: Path, settings: Settings) -> None:
    strict = default_policy_path().read_text(encoding="utf-8").replace("{label: model,", "{label: 0.0,")
    path = pictures.parent / "strict.yaml"
    path.write_text(strict, encoding="utf-8")
    settings = settings.changed({"policy_path": path})
    assert scan(pictures, settings)["2.png"].action == "label"
    know(settings, Bank("fine", BankKind.ALLOWED), pictures / "2.png")
    after = scan(pictures, settings)
    assert (after["2.png"].action, after["3.png"].action) == ("allow", "label")


def test_without_a_store_there_are_no_banks(pictures: Path, settings: Settings) -> None:
    know(settings, Bank("bad", BankKind.KNOWN_BAD), pictures / "1.png")
    assert "bank_known_bad" not in scan(pictures, settings, store=False)["1.png"].reasons
