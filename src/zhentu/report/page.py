"""One self-contained HTML page of a scan: counts, histograms, the worst pictures with heatmaps, what was unreadable."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, select_autoescape

from zhentu import __version__
from zhentu.atomic import unwritable
from zhentu.decide import error_words
from zhentu.decide.notices import ACTION_NAMES, CATEGORY_NAMES, reason_name
from zhentu.decide.words import Words
from zhentu.detect.heatmap import overlay
from zhentu.errors import ZhentuError
from zhentu.filenames import text_to_name
from zhentu.intake.decode import decode, read_file
from zhentu.report.charts import Histogram, histogram
from zhentu.report.sections import (
    TITLE,
    Row,
    Summary,
    category_bars,
    check_page,
    counted,
    group_cards,
    table_paths,
    write_tables,
)
from zhentu.report.truth import Judgement, judge
from zhentu.report.words import (
    ANY_CATEGORY,
    ERROR_WORDS,
    MODE_WORDS,
    NOT_READABLE,
    SKIP_WORDS,
    UNNAMED,
)
from zhentu.samples import read_sample, sample_of
from zhentu.screen import Screener
from zhentu.thumbnails import as_jpeg, within
from zhentu.types import (
    CATEGORIES,
    Action,
    Basis,
    Category,
    Inquiry,
    Listing,
    Output,
    Record,
    Screening,
)

_THUMBNAIL = 360  # pixels, long side
_QUALITY = 82  # of their JPEG
_FLAGGED_SHOWN = 48  # pictures that ask for an action
_SHOWN_AT_LEAST = 12  # pictures, filled up with those closest below the thresholds


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """One category's score beside the lowest threshold that asks for an action, None if none does."""

    name: Words
    score: float
    limit: float | None

    @property
    def over(self) -> bool:
        """Whether the score asks for an action."""
        return self.limit is not None and self.score >= self.limit


@dataclass(frozen=True, slots=True)
class Card:
    """One picture on the page. picture, heat: data URIs; heat is "" without a heatmap, heat_name says its category.

    truth, judgement: what a sample is, and whether it was found; None for every other picture.
    """

    record: Record
    record_id: str
    picture: str
    heat: str
    heat_name: Words | None
    bars: tuple[ScoreBar, ...]
    truth: Words | None = None
    judgement: Judgement | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.record.path.replace("\\", "/").rsplit("/", 1)[-1]


def write_report(
    summary: Summary,
    screener: Screener,
    path: Path,
    read: Callable[[str], bytes] | None = None,
    shown: int = _SHOWN_AT_LEAST,
) -> None:
    """Screen the worst pictures once more, with heatmaps, and write the page with its tables beside it.

    read: path or URL of a row -> bytes; None = files of this machine.  shown: at least this many pictures, if there
    are as many. Raises UsageError if it cannot be written.
    """
    check_page(path)
    read = read or (lambda name: read_file(Path(name), screener.limits))
    flagged = [row for row in summary.worst if row.action != Action.ALLOW][:_FLAGGED_SHOWN]
    allowed = [row for row in summary.worst if row.action == Action.ALLOW][: max(shown - len(flagged), 0)]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            flagged=_cards(flagged, screener, summary.goods, read),
            allowed=_cards(allowed, screener, summary.goods, read),
            charts=_charts(summary, screener),
            categories=category_bars(summary),
            goods=counted(summary.by_goods),
            sellers=counted(summary.by_seller),
            groups=group_cards(summary, lambda name: _thumbnail_of(name, screener, read)),
            tables=[each.name for each in table_paths(path)],
            not_readable=NOT_READABLE,
            unnamed=UNNAMED,
            actions=ACTION_NAMES,
            errors=ERROR_WORDS,
            errors_told=error_words.ERROR_WORDS,
            reason_name=reason_name,
            skips=SKIP_WORDS,
            modes=MODE_WORDS,
            version=__version__,
            title=TITLE,
        )
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    write_tables(summary, path)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zhentu.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _charts(summary: Summary, screener: Screener) -> list[Histogram]:
    charts = [
        histogram(
            CATEGORY_NAMES[category],
            summary.histograms[category.value],
            screener.lowest_limit(category, summary.goods),
            summary.over[category.value],
        )
        for category in CATEGORIES
    ]
    return [*charts, histogram(ANY_CATEGORY, summary.histograms[Output.FORGED.value], None, 0)]


def _cards(rows: Sequence[Row], screener: Screener, goods: str, read: Callable[[str], bytes]) -> list[Card]:
    cards = []
    for row in rows:
        try:
            listing = Listing(goods=row.goods or goods)
            inquiry = Inquiry.of(read(text_to_name(row.path)), row.path, listing, with_heatmaps=True)
            cards.append(_card(screener.screen(inquiry), row.record_id))
        except ZhentuError:
            continue  # it was there during the scan but is gone now; its row says what was found
    return cards


def _card(screening: Screening, record_id: str) -> Card:
    record, picture = screening.record, screening.picture
    thumbnail = within(picture.rgb, _THUMBNAIL)
    if record.verdict is None:
        return Card(record, record_id, _data_uri(thumbnail), "", None, (), *_truth(record))
    scores = record.verdict.scores
    bars = []
    for category in CATEGORIES:
        held = [each.value for each in record.decision.thresholds if each.category is category]
        bars.append(ScoreBar(CATEGORY_NAMES[category], scores.of(category), min(held, default=None)))
    heat, heat_name = "", None
    if record.verdict.heatmaps:
        # Of what the decision names, if it names anything; a stronger score that passed no limit is no reason.
        named = {reason.category for reason in record.decision.reasons}
        maps = [each for each in record.verdict.heatmaps if each.category in named] or record.verdict.heatmaps
        strongest = max(maps, key=lambda heatmap: scores.of(heatmap.category))
        heat = _data_uri(overlay(picture, strongest, _THUMBNAIL))
        heat_name = CATEGORY_NAMES[strongest.category]
    return Card(record, record_id, _data_uri(thumbnail), heat, heat_name, tuple(bars), *_truth(record))


def _truth(record: Record) -> tuple[Words | None, Judgement | None]:
    """The truth about a sample and whether it was found; recognised by its bytes, whatever its name."""
    sample = sample_of(Path(record.path).name)
    if sample is None or sha256(read_sample(sample.name)).hexdigest() != record.picture_sha256:
        return None, None
    alone = [each for each in record.decision.thresholds if each.basis is Basis.PICTURE_ALONE]
    limits: dict[Category, float | None] = {}
    for category in CATEGORIES:
        held = [each.value for each in alone if each.category is category]
        limits[category] = min(held, default=None)
    says_ai = any(each.ai_state is not None for each in record.evidence)
    scores = record.verdict.scores if record.verdict else None
    return Words(sample.en, sample.zh), judge(sample.truth, record.decision.action, scores, limits, says_ai)


def _thumbnail_of(path: str, screener: Screener, read: Callable[[str], bytes]) -> str:
    try:
        return _data_uri(within(decode(read(text_to_name(path)), screener.limits).rgb, _THUMBNAIL // 2))
    except ZhentuError:
        return ""  # it was there during the scan and is gone now


def _data_uri(rgb: npt.NDArray[np.uint8]) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(as_jpeg(rgb, _QUALITY)).decode()
