"""One self-contained HTML page of a scan: counts, histograms, the worst pictures with heatmaps, what was unreadable."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, select_autoescape

from zhentu import __version__
from zhentu.decide.notices import LABEL_NAMES, Words
from zhentu.decide.policy import ACTIONS, MODEL, Policy
from zhentu.detect.heatmap import overlay
from zhentu.errors import UsageError, ZhentuError
from zhentu.intake.decode import DecodeLimits, decode, read_file
from zhentu.report.charts import Histogram, histogram
from zhentu.report.sections import Row, Summary, by_category, counted, group_cards, write_tables
from zhentu.report.truth import Judgement, judge
from zhentu.report.words import ACTION_WORDS, ANY_LABEL, ERROR_WORDS, MODE_WORDS, NOT_READABLE, UNNAMED
from zhentu.samples import read_sample, sample_of
from zhentu.screen import DetectorPort, screen
from zhentu.types import LABELS, Action, Label, Listing, Picture, Record

_THUMBNAIL = 360  # pixels, long side
_FLAGGED_SHOWN = 48  # pictures that ask for an action
_SHOWN_AT_LEAST = 12  # pictures, filled up with those closest below the thresholds


class Line(Protocol):
    """What the page needs to look at a picture again: the parts of a screener."""

    @property
    def detector(self) -> DetectorPort: ...  # noqa: D102

    @property
    def policy(self) -> Policy: ...  # noqa: D102

    @property
    def limits(self) -> DecodeLimits: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """One label's score beside the lowest threshold that asks for an action, None where none does."""

    name: Words
    score: float
    limit: float | None

    @property
    def over(self) -> bool:
        """Whether the score asks for an action."""
        return self.limit is not None and self.score >= self.limit


@dataclass(frozen=True, slots=True)
class Card:
    """One picture on the page. picture, heat: data URIs; heat is "" without a heatmap, heat_name says its label.

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
    line: Line,
    path: Path,
    read: Callable[[str], bytes] | None = None,
    shown: int = _SHOWN_AT_LEAST,
) -> None:
    """Look at the worst pictures once more, with heatmaps, and write the page and its tables beside it.

    read: path or URL of a row -> bytes; None = files of this machine.  shown: so many pictures at least, where there
    are as many. Raises UsageError if it cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: name the report's file, e.g. report.html")
    read = read or (lambda name: read_file(Path(name), line.limits))
    flagged = [row for row in summary.worst if row.action != Action.ALLOW][:_FLAGGED_SHOWN]
    allowed = [row for row in summary.worst if row.action == Action.ALLOW][: max(shown - len(flagged), 0)]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            flagged=_cards(flagged, line, summary.goods, read),
            allowed=_cards(allowed, line, summary.goods, read),
            charts=_charts(summary, line),
            categories=by_category(summary),
            goods=counted(summary.by_goods),
            sellers=counted(summary.by_seller),
            groups=group_cards(summary, lambda name: _thumbnail_of(name, line, read)),
            tables=path.stem,
            not_readable=NOT_READABLE,
            unnamed=UNNAMED,
            actions=ACTION_WORDS,
            errors=ERROR_WORDS,
            modes=MODE_WORDS,
            version=__version__,
        )
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: the report cannot be written: {error.strerror}") from error
    write_tables(summary, path)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zhentu.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _charts(summary: Summary, line: Line) -> list[Histogram]:
    charts = [
        histogram(
            LABEL_NAMES[label],
            summary.histograms[label.value],
            lowest_limit(line, label, summary.goods),
            summary.by_label[label.value],
        )
        for label in LABELS
    ]
    return [*charts, histogram(ANY_LABEL, summary.histograms["forged"], None, 0)]


def lowest_limit(line: Line, label: Label, goods: str) -> float | None:
    """The lowest score of a category that asks for an action, None where none does."""
    shipped = line.detector.entry.thresholds
    limits = []
    for action in ACTIONS:
        threshold = line.policy.threshold(label, goods, action)
        limits.append(shipped.get(f"{label.value}.{action.value}") if threshold == MODEL else threshold)
    return min((float(limit) for limit in limits if isinstance(limit, float | int)), default=None)


def _cards(rows: Sequence[Row], line: Line, goods: str, read: Callable[[str], bytes]) -> list[Card]:
    cards = []
    for row in rows:
        try:
            payload = read(row.path)
            record = screen(
                payload,
                detector=line.detector,
                policy=line.policy,
                limits=line.limits,
                path=row.path,
                listing=Listing(goods=row.goods or goods),
                with_heatmaps=True,
            )
            cards.append(_card(record, row.record_id, payload, line.limits))
        except ZhentuError:
            continue  # it was there during the scan and is gone now; its row says what was found
    return cards


def _card(record: Record, record_id: str, payload: bytes, limits: DecodeLimits) -> Card:
    picture = decode(payload, limits)
    thumbnail = _small(picture, _THUMBNAIL)
    if record.verdict is None:
        return Card(record, record_id, _data_uri(thumbnail), "", None, (), *_truth(record, payload))
    scores, thresholds = record.verdict.scores, record.decision.thresholds
    bars = []
    for label in LABELS:
        limits_of_label = [limit for key, limit in thresholds.items() if key.startswith(f"{label.value}.")]
        bars.append(ScoreBar(LABEL_NAMES[label], scores.of(label), min(limits_of_label, default=None)))
    heat, heat_name = "", None
    if record.verdict.heatmaps:
        strongest = max(record.verdict.heatmaps, key=lambda each: scores.of(each.label))
        heat, heat_name = _data_uri(overlay(picture, strongest, _THUMBNAIL)), LABEL_NAMES[strongest.label]
    return Card(record, record_id, _data_uri(thumbnail), heat, heat_name, tuple(bars), *_truth(record, payload))


def _truth(record: Record, payload: bytes) -> tuple[Words | None, Judgement | None]:
    """What is true of a sample and whether it was found; known by its bytes, whatever it is called."""
    sample = sample_of(Path(record.path).name)
    if sample is None or read_sample(sample.name) != payload:
        return None, None
    limits: dict[Label, float | None] = {}
    for label in LABELS:
        own = [limit for key, limit in record.decision.thresholds.items() if key.startswith(f"{label.value}.")]
        limits[label] = min(own, default=None)
    says_ai = any(each.ai_state is not None for each in record.evidence)
    scores = record.verdict.scores if record.verdict else None
    return Words(sample.en, sample.zh), judge(sample.truth, record.decision.action, scores, limits, says_ai)


def _thumbnail_of(path: str, line: Line, read: Callable[[str], bytes]) -> str:
    try:
        return _data_uri(_small(decode(read(path), line.limits), _THUMBNAIL // 2))
    except ZhentuError:
        return ""  # it was there during the scan and is gone now


def _small(picture: Picture, side: int) -> npt.NDArray[np.uint8]:
    scale = min(side / max(picture.width, picture.height), 1.0)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    return np.asarray(cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _data_uri(rgb: npt.NDArray[np.uint8]) -> str:
    """Encoded anew: nothing of the file itself, such as scripts in its metadata, reaches the page."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
