"""Filters and orders as SQL, rows as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select

from zhentu.record.database import aware
from zhentu.review.items import Filters, ItemKind, Order, ReviewDecision, ReviewItem, ReviewOutcome
from zhentu.review.schema import review_decisions, review_items

_table = review_items.c


def matching(filters: Filters) -> Iterator[ColumnElement[bool]]:
    """Conditions for open items that pass the filters."""
    yield _table.decided_at.is_(None)
    for column, value in (
        (_table.category, filters.category),
        (_table.goods, filters.goods),
        (_table.seller_id, filters.seller_id),
        (_table.kind, filters.kind),
        (_table.group_id, filters.group_id),
        (_table.job_id, filters.job_id),
        (_table.tenant, filters.tenant),
    ):
        if value:
            yield column == value
    if filters.score_from > 0:
        yield _table.score >= filters.score_from
    if filters.score_to < 1:
        yield _table.score <= filters.score_to


def order_by(order: Order) -> tuple[ColumnElement[Any], ...]:
    """The ORDER BY terms; ties go to the older item."""
    leading = {
        Order.PRIORITY: (_table.priority.desc(),),
        Order.OLDEST: (),
        Order.UNCERTAIN: (_table.uncertainty.desc(),),
        Order.NOVEL: (_table.novelty.desc(),),
        Order.DISAGREEING: (_table.disagreement.desc(),),
    }[order]
    return (*leading, _table.created_at, _table.item_id)


def place_of(item: ReviewItem, order: Order) -> tuple[object, ...]:
    """The same order for rows in memory: RETURNING promises none."""
    leading = {
        Order.PRIORITY: -item.priority,
        Order.OLDEST: 0.0,
        Order.UNCERTAIN: -item.uncertainty,
        Order.NOVEL: -item.novelty,
        Order.DISAGREEING: -item.disagreement,
    }[order]
    return (leading, item.created_at, item.item_id)


def standing(*columns: ColumnElement[Any]) -> Select[Any]:
    """Columns of every decision that was not undone and of its item, oldest decision first."""
    decisions = review_decisions.c
    return (
        select(*columns)
        .join_from(review_decisions, review_items, _table.item_id == decisions.item_id)
        .where(decisions.undone_at.is_(None))
        .order_by(decisions.decided_at, decisions.decision_id)
    )


def item_of(row: Row[Any]) -> ReviewItem:
    """A row of review_items."""
    values = {each.name: getattr(row, each.name) for each in fields(ReviewItem)}
    for name in ("created_at", "due_at", "leased_until", "decided_at"):
        values[name] = None if values[name] is None else aware(values[name])
    values["not_by"] = tuple(filter(None, row.not_by.split("\n")))
    return ReviewItem(**values | {"kind": ItemKind(row.kind)})


def decision_of(row: Row[Any]) -> ReviewDecision:
    """A row of review_decisions."""
    values = {each.name: getattr(row, each.name) for each in fields(ReviewDecision)}
    undone = None if row.undone_at is None else aware(row.undone_at)
    return ReviewDecision(
        **values | {"outcome": ReviewOutcome(row.outcome), "decided_at": aware(row.decided_at), "undone_at": undone}
    )
