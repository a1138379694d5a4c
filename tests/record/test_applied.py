"""What a backlog job's decisions led to: each action once, page by page, whatever changes meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zhentu.record.applied import Applied, AppliedState, AppliedTable, Kind
from zhentu.record.database import Database
from zhentu.record.outbox import Outbox, new_message

PLANNED, DONE, FAILED = AppliedState.PLANNED, AppliedState.DONE, AppliedState.FAILED


def action(seq: int, kind: Kind = Kind.LABEL, job: str = "j") -> Applied:
    return Applied(job, seq, kind, f"{seq}.jpg", f"{seq}.labelled.jpg", f"r{seq}")


@pytest.fixture
def table(database: Database) -> AppliedTable:
    return AppliedTable(database)


def test_what_is_planned_is_found_by_state_and_kind_in_order(table: AppliedTable) -> None:
    planned = [action(2), action(1, Kind.TAKE_DOWN), action(1, Kind.REVIEW), action(3, job="other")]
    table.plan(planned)
    table.plan([])
    found = list(table.each("j", (PLANNED,)))
    assert found == [planned[2], planned[1], planned[0]], "by number, then by kind"
    assert list(table.each("j", (PLANNED,), Kind.LABEL)) == [planned[0]]
    assert list(table.each("j", (DONE, FAILED))) == []


def test_planning_again_keeps_what_has_been_done(table: AppliedTable) -> None:
    table.plan([action(1)])
    table.settle(action(1), DONE, "ab" * 32, "written")
    table.plan([action(1), action(2)])
    kept, new = table.each("j", tuple(AppliedState))
    assert kept == replace(action(1), state=DONE, sha256="ab" * 32, detail="written")
    assert new == action(2)


@pytest.mark.parametrize("count", [249, 250, 251, 501])
def test_every_action_of_a_long_job_comes_once(table: AppliedTable, count: int) -> None:
    """Two kinds a picture: a page of 500 may end between them."""
    table.plan([action(seq, kind) for seq in range(count) for kind in (Kind.LABEL, Kind.MESSAGE)])
    table.plan([action(count)])
    found = [(each.seq, each.kind) for each in table.each("j", (PLANNED,))]
    assert len(found) == len(set(found)) == 2 * count + 1
    assert found == sorted(found)


def test_actions_may_be_settled_while_they_are_walked_through(table: AppliedTable) -> None:
    table.plan([action(seq) for seq in range(1002)])
    for each in table.each("j", (PLANNED,)):
        table.settle(each, FAILED if each.seq % 3 else DONE, detail="x" * 600)
    counts = table.counts("j")
    assert counts == {(Kind.LABEL, DONE): 334, (Kind.LABEL, FAILED): 668}
    assert {len(each.detail) for each in table.each("j", (FAILED,))} == {500}
    assert table.counts("other") == {}


def test_only_the_action_itself_is_settled_and_its_message_is_sent_with_it(
    table: AppliedTable, database: Database
) -> None:
    table.plan([action(1), action(1, Kind.TAKE_DOWN), action(2), action(1, job="other")])
    table.settle(action(1), DONE, message=new_message("picture.applied", "https://a.example", "{}"))
    assert table.counts("j") == {(Kind.LABEL, DONE): 1, (Kind.TAKE_DOWN, PLANNED): 1, (Kind.LABEL, PLANNED): 1}
    assert table.counts("other") == {(Kind.LABEL, PLANNED): 1}
    table.settle(action(2), DONE)
    assert Outbox(database).waiting() == 1
