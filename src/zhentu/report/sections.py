"""The page's sections beside its picture cards: sellers and goods, near-duplicate groups, throughput; and as tables."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from zhentu.atomic import unwritable
from zhentu.cells import CSV_ENCODING, cells
from zhentu.decide.notices import CATEGORY_NAMES
from zhentu.decide.words import Words
from zhentu.errors import UsageError
from zhentu.intake.skipped import SkipReason
from zhentu.types import CATEGORIES, Action, Category

SHARES = ("block", "review", "label", "allow", "error")  # the order of the parts of a bar
_LINES = 15  # sellers and goods categories on the page; the tables have all
_GROUPS = 24
_MEMBERS = 12


class Row(Protocol):
    """The part of a scan's row that the page shows."""

    @property
    def path(self) -> str: ...  # noqa: D102

    @property
    def action(self) -> str: ...  # noqa: D102

    @property
    def record_id(self) -> str: ...  # noqa: D102

    @property
    def error(self) -> str: ...  # noqa: D102

    @property
    def detail(self) -> str: ...  # noqa: D102

    @property
    def goods(self) -> str: ...  # noqa: D102


class Counts(Protocol):
    """How many pictures of one seller or goods category ask for each action."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def counts(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def total(self) -> int: ...  # noqa: D102


class Alike(Protocol):
    """A near-duplicate group; its first row represents it."""

    @property
    def rows(self) -> Sequence[Row]: ...  # noqa: D102


class Summary(Protocol):
    """What a scan found, as far as the page shows it; each field as in `ScanSummary`."""

    @property
    def pictures(self) -> int: ...  # noqa: D102

    @property
    def resumed(self) -> int: ...  # noqa: D102

    @property
    def known(self) -> int: ...  # noqa: D102

    @property
    def by_action(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def by_category(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def over(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def by_error(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def by_reason(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def skipped(self) -> Mapping[SkipReason, int]: ...  # noqa: D102

    @property
    def by_goods(self) -> Sequence[Counts]: ...  # noqa: D102

    @property
    def by_seller(self) -> Sequence[Counts]: ...  # noqa: D102

    @property
    def groups(self) -> Sequence[Alike]: ...  # noqa: D102

    @property
    def histograms(self) -> Mapping[str, tuple[int, ...]]: ...  # noqa: D102

    @property
    def worst(self) -> Sequence[Row]: ...  # noqa: D102

    @property
    def unreadable(self) -> Sequence[Row]: ...  # noqa: D102

    @property
    def model(self) -> str: ...  # noqa: D102

    @property
    def policy_version(self) -> str: ...  # noqa: D102

    @property
    def mode(self) -> str: ...  # noqa: D102

    @property
    def goods(self) -> str: ...  # noqa: D102

    @property
    def started_at(self) -> datetime: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102

    @property
    def pictures_per_second(self) -> float: ...  # noqa: D102

    @property
    def engine(self) -> str: ...  # noqa: D102

    @property
    def workers(self) -> int: ...  # noqa: D102

    @property
    def byte_count(self) -> int: ...  # noqa: D102

    @property
    def job_id(self) -> str: ...  # noqa: D102


TITLE = "zhentu scan report · 真图扫描报告"
_HEAD_BYTES = 2048  # of a page, in which its title stands


@dataclass(frozen=True, slots=True)
class Bar:
    """One seller, goods category or forgery category. parts: (action, count, per cent of the longest bar)."""

    name: str
    words: Words | None
    total: int
    parts: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, slots=True)
class GroupCard:
    """A near-duplicate group. picture: data URI of its first picture, "" when that can no longer be read."""

    picture: str
    action: str
    size: int
    paths: tuple[str, ...]


def counted(lines: Sequence[Counts]) -> list[Bar]:
    """The first lines as stacked bars; nothing if no picture has a name to count by."""
    if not any(line.name for line in lines):
        return []
    shown = lines[:_LINES]
    longest = max((line.total for line in shown), default=1) or 1
    bars = []
    for line in shown:
        parts = tuple(
            (name, line.counts[name], 100 * line.counts[name] / longest) for name in SHARES if name in line.counts
        )
        bars.append(Bar(line.name, None, line.total, parts))
    return bars


def category_bars(summary: Summary) -> list[Bar]:
    """The forgery categories, and AI generation, by how many pictures they are named for."""
    longest = max(summary.by_category.values(), default=0)
    if not longest:
        return []
    bars = []
    for category in CATEGORIES:
        count, shade = summary.by_category[category.value], "label" if category is Category.AI_GENERATED else "review"
        parts = ((shade, count, 100 * count / longest),) if count else ()
        bars.append(Bar(category.value, CATEGORY_NAMES[category], count, parts))
    return bars


def group_cards(summary: Summary, thumbnail: Callable[[str], str]) -> list[GroupCard]:
    """The largest groups. thumbnail: path -> data URI, "" if it cannot be read."""
    return [
        GroupCard(
            thumbnail(group.rows[0].path),
            group.rows[0].action,
            len(group.rows),
            tuple(row.path for row in group.rows[:_MEMBERS]),
        )
        for group in summary.groups[:_GROUPS]
    ]


def table_paths(page: Path) -> tuple[Path, Path]:
    """The tables beside a page; never `<page>.csv`, which is what people call the rows, or their sheet of pictures."""
    return page.with_suffix(".report.csv"), page.with_suffix(".report.parquet")


def check_page(page: Path, overwrite: bool = False) -> None:
    """Raises UsageError unless the name is that of a page. overwrite: it may replace what is no report of a scan."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{page}: name the report's file, e.g. report.html")
    if page.is_dir():
        raise UsageError(f"{page}: is a folder; name the report's file, e.g. {page / 'report.html'}")
    if page.exists() and not overwrite and TITLE.encode() not in page.read_bytes()[:_HEAD_BYTES]:
        raise UsageError(f"{page}: is no report of a scan; name another file, or replace it with --overwrite")


def write_tables(summary: Summary, page: Path) -> tuple[Path, Path]:
    """Everything the page counts, as `<page>.report.csv` and `<page>.report.parquet`: section, name, measure, value.

    Raises UsageError if they cannot be written.
    """
    rows = list(_rows(summary))
    paths = table_paths(page)
    try:
        with paths[0].open("w", encoding=CSV_ENCODING, newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("section", "name", "measure", "value"))
            writer.writerows(map(cells, rows))
        columns = list(zip(*rows, strict=True))
        names = ("section", "name", "measure")
        table = {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=False)}
        pq.write_table(pa.table(table | {"value": pa.array(columns[3], pa.float64())}), paths[1])
    except OSError as error:
        raise unwritable(error.filename, error) from error
    return paths


def _rows(summary: Summary) -> Iterator[tuple[str, str, str, float]]:
    for name, value in (
        ("pictures", summary.pictures),
        ("resumed", summary.resumed),
        ("known", summary.known),
        ("seconds", summary.seconds),
        ("pictures_per_second", summary.pictures_per_second),
        ("workers", summary.workers),
        ("bytes_read", summary.byte_count),
    ):
        yield "scan", f"{summary.model} policy {summary.policy_version} {summary.mode}", name, value
    for action in Action:
        yield "action", action.value, "pictures", summary.by_action[action.value]
    by_reason = (("category", summary.by_category), ("reason", summary.by_reason), ("error", summary.by_error))
    for section, counts in (*by_reason, ("skipped", {each.value: count for each, count in summary.skipped.items()})):
        for name, count in counts.items():
            yield section, name, "pictures", count
    for section, lines in (("goods", summary.by_goods), ("seller", summary.by_seller)):
        for line in lines:
            for action_name, count in line.counts.items():
                yield section, line.name, action_name, count
    for name, bins in summary.histograms.items():
        for index, count in enumerate(bins):
            yield "histogram", name, f"{index / len(bins):.2f}", count
    for number, group in enumerate(summary.groups, 1):
        for row in group.rows:
            yield "group", row.path, str(number), 1
    for row in summary.unreadable:
        yield "unreadable", row.path, row.error, 1
