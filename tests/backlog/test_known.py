"""The same bytes are scored once per model, however many places they stand in and however often they are scanned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import FakeComparer, FakeDetector

from zhentu.backlog.batch_writer import BatchWriter
from zhentu.backlog.items import Item, Numbered
from zhentu.backlog.known import Claims, KnownPictures
from zhentu.backlog.ledger import Ledger, Shard
from zhentu.backlog.picture import PictureOutcome, PictureWork
from zhentu.backlog.reading import Reader
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.sources import Found
from zhentu.bootstrap.models import accepted_models
from zhentu.bootstrap.screener import build_screener
from zhentu.errors import UsageError
from zhentu.ports import ComparerPort
from zhentu.record.database import Database
from zhentu.record.known import KnownStore
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import Listing, Picture


@dataclass
class Scanner:
    """One worker over one store, with a detector that counts; each `scan` is a job of its own."""

    folder: Path
    screener: Screener
    detector: FakeDetector
    database: Database
    comparer: ComparerPort | None = None
    jobs: int = 0

    def scan(self, *items: Item, accepted: Sequence[str] = ()) -> list[ScanRow]:
        self.jobs += 1
        folder = self.folder / str(self.jobs)
        folder.mkdir()
        store, entry = KnownStore(self.database), self.detector.entry
        models = {sha256: replace(entry, sha256=sha256) for sha256 in (entry.sha256, *accepted)}
        with closing(Ledger(folder, folder)) as ledger, closing(Claims(folder / "claims.db")) as claims:
            ledger.list_items([Found(0, "", item) for item in items], Shard(), None)
            screener = replace(self.screener, detector=self.detector, comparer=self.comparer)
            known = KnownPictures(store, claims, {sha256: screener.digest(each) for sha256, each in models.items()})
            work = PictureWork(screener, Reader(screener.limits), known, models)
            with BatchWriter(store, ledger) as writer:
                while ledger.left:
                    claims.clear()
                    for outcome in work(list(ledger.to_do())):
                        writer.keep(outcome)
                    writer.flush()
            return [row for _, row in ledger.rows()]


class Detector(FakeDetector):
    """Signs its verdicts with its own model."""

    def detect(self, picture: Picture, with_heatmaps: bool = False):
        return replace(super().detect(picture, with_heatmaps), model=self.entry.ref)


@pytest.fixture
def scanner(tmp_path: Path, settings: Settings) -> Scanner:
    screener = build_screener(settings)
    detector = Detector(screener.detector.entry, 0.99)
    return Scanner(tmp_path, screener, detector, Database(settings.store_url))


@pytest.fixture
def copies(tmp_path: Path) -> list[Item]:
    payload = encoded(photo(), "JPEG")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(payload)
    return [Item(str(tmp_path / name)) for name in ("a.jpg", "b.jpg", "c.jpg")]


def test_copies_within_a_scan_are_scored_once_and_each_has_its_record(scanner: Scanner, copies: list[Item]) -> None:
    rows = scanner.scan(*copies)
    assert scanner.detector.asked == 1
    assert [row.known for row in rows] == [False, True, True]
    assert len({row.record_id for row in rows}) == 3
    assert len({(row.forged, row.action, row.pdq) for row in rows}) == 1


def test_a_second_scan_asks_nothing_and_writes_no_record(scanner: Scanner, copies: list[Item]) -> None:
    first, second = scanner.scan(*copies), scanner.scan(*copies)
    assert scanner.detector.asked == 1
    assert [row.record_id for row in second] == [row.record_id for row in first]
    assert all(row.known for row in second)


def test_only_what_is_new_or_changed_is_scored(scanner: Scanner, copies: list[Item]) -> None:
    scanner.scan(*copies)
    Path(copies[1].path).write_bytes(encoded(photo(seed=2), "JPEG"))
    rows = scanner.scan(*copies)
    assert scanner.detector.asked == 2
    assert [row.known for row in rows] == [True, False, True]


def test_another_listing_or_policy_is_decided_anew_without_scoring(scanner: Scanner, copies: list[Item]) -> None:
    scanner.scan(copies[0])
    declared = replace(copies[0], listing=Listing("L", declared_ai=True))
    (row,) = scanner.scan(declared)
    assert "declaration_declared_ai" in row.reasons
    lenient = replace(scanner.screener.policy, sha256="f" * 64, limits={})
    scanner.screener = replace(scanner.screener, policy=lenient)
    (row,) = scanner.scan(copies[0])
    assert (row.action, row.known, scanner.detector.asked) == ("allow", True, 1)


def test_another_model_scores_anew_unless_the_old_scores_are_accepted(scanner: Scanner, copies: list[Item]) -> None:
    old = scanner.detector.entry.sha256
    scanner.scan(copies[0])
    scanner.detector = Detector(replace(scanner.detector.entry, version="2", sha256="a" * 64), 0.2)
    (kept,) = scanner.scan(copies[0], accepted=[old])
    (scored,) = scanner.scan(copies[0])
    assert (kept.model, kept.forged, scored.model, scored.forged) == ("tiny@1", 0.99, "tiny@2", 0.2)
    assert scanner.detector.asked == 1


def test_versions_from_the_one_named_count_as_known(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "models" / "manifest.json"
    manifest = json.loads(path.read_text())
    (entry,) = manifest["models"]
    manifest["models"] = [entry | {"version": each, "sha256": sha * 64} for each, sha in (("0.9", "a"), ("0.10", "b"))]
    manifest["models"].append(entry)
    path.write_text(json.dumps(manifest))
    assert set(accepted_models(settings)) == {entry["sha256"]}
    assert set(accepted_models(settings, "0.10")) == {entry["sha256"], "b" * 64}
    with pytest.raises(UsageError, match=r"--rescan-below.*newest"):
        accepted_models(settings, "newest")


def test_references_are_compared_and_what_cannot_be_read_is_left_out(scanner: Scanner, copies: list[Item]) -> None:
    scanner.comparer, scanner.detector.score = FakeComparer(0.97), 0.1
    item = replace(copies[0], references=(copies[1].path, "/nowhere.jpg"))
    (row,) = scanner.scan(item)
    (alone,) = scanner.scan(copies[0])
    assert (row.references, row.action) == (1, "review")
    assert (alone.references, alone.action) == (0, "allow")
    whole = replace(item, references=(copies[1].path,))
    assert scanner.scan(whole)[0].record_id == scanner.scan(whole)[0].record_id


def test_a_reference_that_was_not_compared_is_named_and_tried_again(
    scanner: Scanner, copies: list[Item], tmp_path: Path
) -> None:
    scanner.comparer, scanner.detector.score = FakeComparer(0.97), 0.1
    broken, gone = tmp_path / "broken.jpg", tmp_path / "gone.jpg"
    broken.write_bytes(b"no picture")
    item = replace(copies[0], references=(str(gone), str(broken)))
    for row in (*scanner.scan(item), *scanner.scan(item)):
        assert (row.references, row.action, row.error) == (0, "allow", "")
        assert str(gone) in row.detail
        assert str(broken) in row.detail
    for path in (gone, broken):
        path.write_bytes(Path(copies[1].path).read_bytes())
    (row,) = scanner.scan(item)
    assert (row.references, row.action, row.detail) == (2, "review", "")
    assert scanner.scan(item)[0].record_id == row.record_id
    assert scanner.detector.asked == 1, "the model itself is never asked again"


def test_the_fingerprint_is_in_the_row_where_there_is_something_to_see(scanner: Scanner, tmp_path: Path) -> None:
    (tmp_path / "flat.png").write_bytes(encoded(photo().resize((1, 1)).resize((64, 64)), "PNG"))
    (tmp_path / "photo.jpg").write_bytes(encoded(photo((320, 240)), "JPEG"))
    flat, seen = scanner.scan(Item(str(tmp_path / "flat.png")), Item(str(tmp_path / "photo.jpg")))
    assert (flat.pdq, len(seen.pdq), len(seen.colour)) == ("", 64, 96)


def test_outcomes_of_one_chunk_keep_their_order(scanner: Scanner, copies: list[Item]) -> None:
    work = PictureWork(replace(scanner.screener, detector=scanner.detector), Reader(scanner.screener.limits), None, {})
    outcomes: list[PictureOutcome] = work(
        [Numbered(7, copies[0]), Numbered(8, Item("/nowhere.jpg")), Numbered(9, copies[2])]
    )
    assert [(each.seq, each.row.error if each.row else None) for each in outcomes] == [
        (7, ""),
        (8, "picture_not_found"),
        (9, ""),
    ]
