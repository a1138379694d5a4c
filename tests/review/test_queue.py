from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from review_fixtures import fingerprint_of, no_print, record
from sqlalchemy import insert, select

from zhentu.banks.bank import Banks
from zhentu.banks.store import BankStore
from zhentu.errors import NotFound, ReviewConflict, UsageError
from zhentu.ids import new_id
from zhentu.record import audit
from zhentu.record.database import Database, now
from zhentu.record.schema import records
from zhentu.record.store import RecordStore
from zhentu.review.fill import Filler, FillSettings
from zhentu.review.items import Filters, ItemKind, Order, ReviewOutcome
from zhentu.review.queue import LEASE, ReviewQueue
from zhentu.review.schema import review_items
from zhentu.types import Action, Basis, Category, Evidence, EvidenceKind, Threshold, Trust

NO_SECOND = FillSettings(second_ratio=0)


class Clock:
    """Stands still until it is set: on a machine that stalls, a lease would end meanwhile."""

    def __init__(self) -> None:
        self.start, self.ahead = now(), timedelta()

    def __call__(self):
        return self.start + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(database: Database, clock: Clock) -> ReviewQueue:
    return ReviewQueue(database, clock=clock)


def fill(database: Database, *made, settings=NO_SECOND, prints=no_print) -> int:
    RecordStore(database).append_many(made)
    return Filler(database, prints, settings).fill()


def test_the_queue_holds_what_the_policy_wants_looked_at_once(database: Database, queue: ReviewQueue):
    assert fill(database, record(1), record(2, action=Action.BLOCK), record(3, action=Action.ALLOW)) == 2
    assert fill(database) == 0
    assert queue.counts().open == 2
    assert queue.claim("ann", count=1)[0].listing_id == "listing-2"  # a block comes before a review


def test_two_reviewers_never_hold_the_same_item(database: Database, queue: ReviewQueue):
    fill(database, *(record(number) for number in range(3)))
    ann, bob = queue.claim("ann", count=2), queue.claim("bob", count=2)
    assert len(ann) == 2
    assert len(bob) == 1
    assert not {item.item_id for item in ann} & {item.item_id for item in bob}
    again = queue.claim("ann", count=2)
    assert [item.item_id for item in again] == [item.item_id for item in ann]  # a reloaded page shows the same


def test_a_lease_that_runs_out_gives_the_item_to_somebody_else(database: Database, queue: ReviewQueue, clock: Clock):
    fill(database, record(1))
    (item,) = queue.claim("ann")
    assert queue.claim("bob") == ()
    clock.ahead = LEASE + timedelta(seconds=1)
    (again,) = queue.claim("bob")
    assert again.item_id == item.item_id
    with pytest.raises(ReviewConflict, match="lease"):
        queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD)


def test_a_sign_of_life_keeps_a_lease(database: Database, queue: ReviewQueue, clock: Clock):
    fill(database, record(1))
    queue.claim("ann")
    clock.ahead = LEASE - timedelta(seconds=1)
    assert queue.renew("ann") == 1
    clock.ahead = LEASE + timedelta(seconds=1)
    assert queue.claim("bob") == ()


def test_an_item_is_decided_once_and_a_repeated_request_changes_nothing(database: Database, queue: ReviewQueue):
    fill(database, record(1))
    (item,) = queue.claim("ann")
    first = queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD, "scene_distortion", "three legs")
    assert queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD) == first
    with pytest.raises(ReviewConflict, match="already been decided"):
        queue.decide(item.item_id, "bob", ReviewOutcome.OVERTURN)
    assert queue.decisions_for(item.record_id) == (first,)
    assert first.category == "scene_distortion"


def test_nobody_decides_what_they_do_not_hold(database: Database, queue: ReviewQueue):
    fill(database, record(1))
    (item,) = queue.claim("ann")
    with pytest.raises(ReviewConflict):
        queue.decide(item.item_id, "bob", ReviewOutcome.UPHOLD)
    with pytest.raises(NotFound):
        queue.decide("nothing", "bob", ReviewOutcome.UPHOLD)
    with pytest.raises(UsageError, match="category 'fake'"):
        queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD, "fake")


def test_undo_gives_the_item_back_and_takes_the_picture_out_of_the_allowed_bank(database: Database, queue: ReviewQueue):
    fill(database, record(1), prints=fingerprint_of)
    banks = Banks(BankStore(database))
    (item,) = queue.claim("ann")
    queue.decide(item.item_id, "ann", ReviewOutcome.OVERTURN)
    banks.refresh()
    assert banks.state().entries["allowed"] == 1
    (undone,) = queue.undo("ann")
    assert undone.outcome is ReviewOutcome.OVERTURN
    banks.refresh()
    assert banks.state().entries["allowed"] == 0
    assert queue.decisions_for(item.record_id) == ()
    assert queue.claim("bob") == ()
    assert queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD).outcome is ReviewOutcome.UPHOLD
    queue.undo("ann")
    with pytest.raises(ReviewConflict, match="nothing to undo"):
        queue.undo("ann")


def test_an_overturned_picture_is_never_stopped_again(database: Database, queue: ReviewQueue):
    honest = record(1)
    fill(database, honest, prints=fingerprint_of)
    (item,) = queue.claim("ann")
    queue.decide(item.item_id, "ann", ReviewOutcome.OVERTURN)
    (match,) = Banks(BankStore(database)).match(fingerprint_of(honest))
    assert (match.bank.name, match.how.value) == ("allowed", "exact")
    assert Banks(BankStore(database)).match(fingerprint_of(record(2))) == ()  # near-duplicates only after confirmation


def test_a_near_duplicate_group_is_decided_at_once_but_for_what_others_hold(database: Database, queue: ReviewQueue):
    fill(database, *(record(number) for number in range(12)), prints=fingerprint_of)
    (held,) = queue.claim("bob", count=1)
    mine = [item for item in queue.claim("ann", count=12) if item.group_id == held.group_id]
    assert len(mine) == 9  # numbers 0 to 9 look alike, one is bob's
    decided = queue.decide_group(held.group_id, "ann", ReviewOutcome.OVERTURN)
    assert len(decided) == 9
    assert queue.item(held.item_id).decided_at is None
    (match,) = (
        each for each in Banks(BankStore(database)).match(fingerprint_of(record(7))) if each.how.value == "exact"
    )
    assert match.bank.name == "allowed"
    assert len(queue.undo("ann")) == 9
    queue.decide(held.item_id, "bob", ReviewOutcome.UPHOLD)


def test_a_skipped_item_goes_to_somebody_else_and_comes_back_later(
    database: Database, queue: ReviewQueue, clock: Clock
):
    fill(database, record(1))
    (item,) = queue.claim("ann")
    queue.skip(item.item_id, "ann")
    assert queue.claim("ann") == ()
    clock.ahead = timedelta(minutes=31)
    assert len(queue.claim("ann")) == 1
    queue.skip(item.item_id, "ann")
    assert len(queue.claim("bob")) == 1


def test_filters_and_orders(database: Database, queue: ReviewQueue):
    fill(
        database,
        record(10, 0.95, seller="a", goods="shoes", cutout_artifact=0.99),
        record(20, 0.50, seller="b", goods="apparel", scene_distortion=0.97),
        prints=fingerprint_of,
    )

    def numbers(**fields: object) -> list[str]:
        items = queue.claim("ann", Filters(**fields), 10)
        return [item.listing_id.split("-")[1] for item in items]

    assert numbers() == ["10", "20"]
    assert numbers(order=Order.OLDEST) == ["10", "20"]
    assert numbers(order=Order.UNCERTAIN) == ["10", "20"]
    assert numbers(seller_id="b") == ["20"]
    assert numbers(goods="shoes") == ["10"]
    assert numbers(score_to=0.6) == ["20"]
    assert numbers(score_from=0.6) == ["10"]
    assert numbers(category="scene_distortion") == ["20"]
    assert numbers(kind="appeal") == []


def test_a_share_of_decisions_is_looked_at_by_somebody_else(database: Database, queue: ReviewQueue):
    fill(database, *(record(number) for number in range(4)))
    for item in queue.claim("ann", count=4):
        queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD)
    assert fill(database, settings=FillSettings(second_ratio=1.0)) == 4
    assert fill(database, settings=FillSettings(second_ratio=1.0)) == 0
    assert queue.claim("ann") == ()  # not by the first reviewer
    seconds = queue.claim("bob", count=9)
    assert {item.kind for item in seconds} == {ItemKind.SECOND}
    assert len(seconds) == 4


def test_a_sample_of_what_passed_shows_what_the_model_misses(database: Database, queue: ReviewQueue):
    fill(database, *(record(n, action=Action.ALLOW) for n in range(400)), settings=FillSettings(0.25, 0))
    items = queue.counts(Filters(kind="sample")).open
    assert 60 < items < 140


def test_the_history_of_a_seller(database: Database, queue: ReviewQueue):
    fill(database, *(record(number) for number in range(4)), record(9, action=Action.ALLOW))
    outcomes = [ReviewOutcome.UPHOLD, ReviewOutcome.OVERTURN, ReviewOutcome.WRONG_PICTURE]
    for item, outcome in zip(queue.claim("ann", count=3), outcomes, strict=True):
        queue.decide(item.item_id, "ann", outcome)
    history = queue.seller("shop", "default")
    assert (history.screened, history.upheld, history.overturned, history.waiting) == (5, 2, 1, 1)


def test_who_saw_and_decided_what_is_audited(database: Database, queue: ReviewQueue):
    fill(database, record(1))
    (item,) = queue.claim("ann")
    queue.decide(item.item_id, "ann", ReviewOutcome.UPHOLD, note="fringes")
    queue.undo("ann")
    entries = list(audit.entries(database, f"item:{item.item_id}"))
    assert [(each.actor, each.act) for each in entries] == [
        ("ann", "item.seen"),
        ("ann", "item.decide"),
        ("ann", "item.undo"),
    ]
    assert '"model": "tiny@1"' in entries[1].facts
    assert audit.verify(database).broken_at is None


def test_a_record_that_was_compared_with_references_enters_the_queue(database: Database):
    compared = Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.5, Basis.REFERENCE)
    made = record(1)
    found = Evidence(EvidenceKind.REFERENCE, "reference_comparison", "mismatch 0.52", Trust.MEASURED, score=0.52)
    decision = replace(made.decision, thresholds=(compared,))
    RecordStore(database).append(replace(made, evidence=(found,), decision=decision))
    assert Filler(database, no_print).fill() == 1
    with database.begin() as connection:
        assert connection.execute(select(review_items.c.uncertainty)).scalar_one() == pytest.approx(0.92)


def test_a_record_nobody_can_read_stops_no_other(database: Database):
    RecordStore(database).append_many([record(1), record(2)])
    with database.begin() as connection:
        row = dict(connection.execute(select(records).limit(1)).one()._mapping)
        row |= {"record_id": new_id(), "body": "{}"}
        connection.execute(insert(records).values(row))
    assert Filler(database, no_print).fill() == 2
