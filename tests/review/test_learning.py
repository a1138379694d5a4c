from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FakeDetector, verdict
from pictures import waves
from review_fixtures import record

from zhentu.errors import UsageError
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.record.database import Database
from zhentu.record.store import RecordStore
from zhentu.review.compare import auc, compare_models, mcnemar
from zhentu.review.fill import Filler, FillSettings
from zhentu.review.items import ReviewOutcome
from zhentu.review.learning import cohen_kappa, statistics, wilson
from zhentu.review.pictures import FolderFetch, ReviewPictures
from zhentu.review.queue import ReviewQueue
from zhentu.review.truths import ExportSpec, export_manifest
from zhentu.types import Picture, Verdict

LIMITS = DecodeLimits(30 << 20, 50_000_000, 20_000, 32)


class Shop:
    """A store with pictures on disk, and reviewers who decide by listing number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pictures"
        self.folder.mkdir()
        self.database = Database(f"sqlite:///{folder}/r.db")
        self.store, self.queue = RecordStore(self.database), ReviewQueue(self.database)
        self.pictures = ReviewPictures(self.database, [FolderFetch((self.folder,), LIMITS)], LIMITS)
        self.filler = Filler(self.database, self.pictures.fingerprint_of, FillSettings(second_ratio=0))

    def picture(self, number: int, keep: bool = True) -> str:
        path = self.folder / f"{number}.png"
        cv2.imwrite(str(path), waves(80, 90, number))
        sha256 = decode(path.read_bytes(), LIMITS).sha256
        if not keep:
            path.unlink()
        made = record(number, 0.9, sha256=sha256, path=path.name, cutout_artifact=0.97)
        self.store.append(made)
        return made.record_id

    def decide(self, reviewer: str, **outcomes: ReviewOutcome) -> None:
        self.filler.fill()
        for item in self.queue.claim(reviewer, count=20):
            outcome = outcomes.get(f"n{item.listing_id.split('-')[1]}")
            if outcome is not None:
                self.queue.decide(item.item_id, reviewer, outcome)
            else:
                self.queue.skip(item.item_id, reviewer)

    def second(self) -> None:
        Filler(self.database, self.pictures.fingerprint_of, FillSettings(second_ratio=1.0)).fill()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return {row["record_id"]: row for row in csv.DictReader(stream)}


def test_decisions_become_a_manifest_that_training_reads(shop: Shop, tmp_path: Path):
    dataset = pytest.importorskip("zhentu_training.dataset", reason="needs the [train] extra")
    forged, honest, disputed, wrong, lost = (shop.picture(number, number != 5) for number in range(1, 6))
    shop.decide(
        "ann",
        n1=ReviewOutcome.UPHOLD,
        n2=ReviewOutcome.OVERTURN,
        n3=ReviewOutcome.UPHOLD,
        n4=ReviewOutcome.WRONG_PICTURE,
        n5=ReviewOutcome.UPHOLD,
    )
    shop.second()
    shop.decide("bob", n1=ReviewOutcome.UPHOLD, n3=ReviewOutcome.OVERTURN)
    made = export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out", 0))
    assert (made.written, made.missing, made.unclear) == (3, 1, 1)
    rows = rows_of(tmp_path / "out")
    assert {key: row["review"] for key, row in rows.items()} == {
        forged: "double",
        honest: "single",
        disputed: "disputed",
    }
    samples = {sample.path.name: sample for sample in dataset.read_manifest(tmp_path / "out" / "manifest.csv")}
    first = samples[Path(rows[forged]["path"]).name]
    assert (set(first.labels), set(first.known), first.split) == ({"cutout_artifact"}, {"cutout_artifact"}, "train")
    second = samples[Path(rows[honest]["path"]).name]
    assert (second.labels, len(second.known)) == (frozenset(), 5)
    assert all(sample.path.is_file() for sample in samples.values())
    assert samples[Path(rows[disputed]["path"]).name].split == "disputed"
    assert {wrong, lost}.isdisjoint(rows)


def test_an_appeal_stands_above_what_was_said_before(shop: Shop, tmp_path: Path):
    from zhentu.review.appeals import Appeals

    record_id = shop.picture(1)
    shop.decide("ann", n1=ReviewOutcome.UPHOLD)
    appeals = Appeals(shop.store, shop.pictures)
    shop.queue = ReviewQueue(shop.database, appeals.decided, appeals.undone)
    appeals.open(record_id, "it is real")
    shop.decide("bob", n1=ReviewOutcome.OVERTURN)
    export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out"))
    row = rows_of(tmp_path / "out")[record_id]
    assert (row["review"], row["labels"], row["decisions"]) == ("appeal", "", "2")


def test_rows_of_another_manifest_come_first_with_paths_that_still_lead_there(shop: Shop, tmp_path: Path):
    shop.picture(1)
    shop.decide("ann", n1=ReviewOutcome.UPHOLD)
    base = tmp_path / "base" / "manifest.csv"
    base.parent.mkdir()
    base.write_text("path,labels,source,split,pair\na.jpg,cutout_artifact,web,train,b.jpg\n", encoding="utf-8")
    export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out"), base)
    with (tmp_path / "out" / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["path"], first["pair"]) == (str(base.parent / "a.jpg"), str(base.parent / "b.jpg"))
    assert len(first["known"].split()) == 5
    assert second["source"] == "review"
    (tmp_path / "x.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not a training manifest"):
        export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out"), tmp_path / "x.csv")


def test_a_base_with_a_mark_is_read_and_one_with_a_row_cut_short_is_refused(shop: Shop, tmp_path: Path):
    base = tmp_path / "base.csv"
    base.write_text("path,labels,source,split\na.jpg,ai_generated,web,train\n", encoding="utf-8-sig")
    export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out"), base=base)
    assert "a.jpg" in (tmp_path / "out" / "manifest.csv").read_text(encoding="utf-8")
    base.write_text("path,labels,source,split\na.jpg\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2 has fewer or more than 4 cells"):
        export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out"), base=base)


def test_near_duplicates_are_never_split_between_training_and_development(shop: Shop, tmp_path: Path):
    for number in range(1, 9):
        shop.picture(number)
    decided = {f"n{number}": ReviewOutcome.UPHOLD for number in range(1, 9)}
    shop.decide("ann", **decided)
    shop.second()
    shop.decide("bob", **{name: outcome for name, outcome in decided.items() if name != "n1"})
    export_manifest(shop.store, shop.pictures, ExportSpec(tmp_path / "out", 1))
    splits: dict[str, set[str]] = {}
    reviewed: dict[str, set[str]] = {}
    for row in rows_of(tmp_path / "out").values():
        splits.setdefault(row["product"], set()).add(row["split"])
        reviewed.setdefault(row["product"], set()).add(row["review"])
    assert all(len(found) == 1 for found in splits.values())
    # What one person decided sets no threshold, and keeps its near-duplicates in training.
    assert {group for group, found in splits.items() if found == {"dev"}} == {
        group for group, found in reviewed.items() if found == {"double"}
    }
    assert {"train"} in splits.values()


def test_agreement_precision_and_reviewers_on_the_dashboard(shop: Shop):
    for number in range(1, 13):
        shop.picture(number)
    first = {f"n{number}": ReviewOutcome.UPHOLD if number <= 8 else ReviewOutcome.OVERTURN for number in range(1, 13)}
    shop.decide("ann", **first)
    shop.second()
    shop.decide("bob", **first | {"n1": ReviewOutcome.OVERTURN, "n12": ReviewOutcome.UPHOLD})
    found = statistics(shop.database)
    assert (found.agreement.pairs, found.agreement.same) == (12, 10)
    assert found.agreement.kappa == pytest.approx(0.625)
    (model,) = found.models
    assert (model.model, model.decided, model.upheld) == ("tiny@1", 12, 8)
    assert model.low < 8 / 12 < model.high
    assert sum(kept + overturned for _, kept, overturned in found.daily) == 24
    assert found.reviewers[0][1] == 12


def test_kappa_wilson_mcnemar_and_auc_give_published_values():
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)  # the textbook's example
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert mcnemar(1, 9) == pytest.approx(0.021484375)
    assert mcnemar(0, 0) == 1.0
    assert auc(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == pytest.approx(0.875)


class ByBrightness(FakeDetector):
    """Flags pictures brighter than a limit."""

    def __init__(self, entry, limit: float, version: str) -> None:
        super().__init__(replace(entry, version=version))
        self.limit = limit

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        score = 0.99 if picture.rgb.mean() > self.limit else 0.01
        return verdict(score)


def test_the_better_of_two_models_is_found_on_decided_pictures(shop: Shop, entry, policy):
    means = {}
    for number in range(1, 17):
        shop.picture(number)
        means[number] = waves(80, 90, number).mean()
    limit = float(np.median(list(means.values())))
    shop.decide(
        "ann",
        **{f"n{n}": ReviewOutcome.UPHOLD if mean > limit else ReviewOutcome.OVERTURN for n, mean in means.items()},
    )
    good, blind = ByBrightness(entry, limit, "2"), ByBrightness(entry, 0, "1")
    found = compare_models(shop.store, shop.pictures, good, blind, policy)
    assert (found.a.recall, found.a.alarms, found.a.auc) == (1.0, 0, 1.0)
    assert (found.b.recall, found.b.alarms, found.b.precision) == (1.0, 8, 0.5)
    assert (found.only_a, found.only_b, found.b_is_worse) == (8, 0, True)
    assert not compare_models(shop.store, shop.pictures, blind, good, policy).b_is_worse
    assert found.a.by_category == (("cutout_artifact", 8, 8),)


def test_a_comparison_without_pictures_says_what_to_do(shop: Shop, entry, policy):
    with pytest.raises(UsageError, match="review some first"):
        compare_models(shop.store, shop.pictures, FakeDetector(entry), FakeDetector(entry), policy)


def test_files_outside_the_named_folders_or_with_other_bytes_are_never_opened(shop: Shop, tmp_path: Path):
    (tmp_path / "secret.png").write_bytes(b"x")
    cv2.imwrite(str(shop.folder / "1.png"), waves(64, 64, 3))
    fetch = FolderFetch((shop.folder,), LIMITS)
    outside = decode((shop.folder / "1.png").read_bytes(), LIMITS).sha256
    assert fetch(record(1, path="1.png", sha256=outside)) is not None
    assert fetch(record(1, path="1.png", sha256="0" * 64)) is None
    cv2.imwrite(str(tmp_path / "out.png"), waves(64, 64, 4))
    sha256 = decode((tmp_path / "out.png").read_bytes(), LIMITS).sha256
    assert fetch(record(1, path="../out.png", sha256=sha256)) is None
    assert fetch(record(1, path=str(tmp_path / "out.png"), sha256=sha256)) is None
