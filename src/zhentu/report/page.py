"""One self-contained HTML page of a scan: counts, histograms, the worst pictures with heatmaps, what was unreadable."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, select_autoescape

from zhentu import __version__
from zhentu.decide.notices import LABEL_NAMES
from zhentu.decide.policy import Policy
from zhentu.detect.heatmap import overlay
from zhentu.errors import UsageError, ZhentuError
from zhentu.intake.decode import DecodeLimits, decode, read_file
from zhentu.screen import DetectorPort, screen
from zhentu.types import LABELS, Record

_THUMBNAIL = 360  # pixels, long side
_SHOWN = 24  # pictures


class Line(Protocol):
    """What the page needs to look at a picture again: the parts of a screener."""

    @property
    def detector(self) -> DetectorPort: ...  # noqa: D102

    @property
    def policy(self) -> Policy: ...  # noqa: D102

    @property
    def limits(self) -> DecodeLimits: ...  # noqa: D102


class Row(Protocol):
    """A row of a scan, as far as the page shows it."""

    @property
    def path(self) -> str: ...  # noqa: D102

    @property
    def error(self) -> str: ...  # noqa: D102

    @property
    def detail(self) -> str: ...  # noqa: D102


class Summary(Protocol):
    """What a scan found, as far as the page shows it."""

    @property
    def worst(self) -> Sequence[Row]: ...  # noqa: D102

    @property
    def unreadable(self) -> Sequence[Row]: ...  # noqa: D102

    @property
    def histograms(self) -> dict[str, tuple[int, ...]]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Card:
    """One picture on the page; pictures as data URIs."""

    record: Record
    picture: str
    heat: str
    heat_label: str
    bars: tuple[tuple[str, float, float | None], ...]  # label, score, the lowest threshold that asks for an action


def write_report(summary: Summary, line: Line, path: Path) -> None:
    """Look at the worst pictures once more, with heatmaps, and write the page. Raises UsageError if it cannot."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: name the report's file, e.g. report.html")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            cards=_cards(summary.worst[:_SHOWN], line),
            charts={name: _bars(bins) for name, bins in summary.histograms.items()},
            names={label.value: LABEL_NAMES[label] for label in LABELS},
            version=__version__,
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zhentu.report"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _cards(rows: Sequence[Row], line: Line) -> list[Card]:
    cards = []
    for row in rows:
        try:
            payload = read_file(Path(row.path), line.limits)
            record = screen(
                payload,
                detector=line.detector,
                policy=line.policy,
                limits=line.limits,
                path=row.path,
                with_heatmaps=True,
            )
            cards.append(_card(record, payload, line.limits))
        except ZhentuError:
            continue  # it was there during the scan and is gone now; its row says what was found
    return cards


def _card(record: Record, payload: bytes, limits: DecodeLimits) -> Card:
    picture = decode(payload, limits)
    scale = min(_THUMBNAIL / max(picture.width, picture.height), 1.0)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    thumbnail = np.asarray(cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    heat, heat_label, bars = "", "", []
    if record.verdict:
        scores = record.verdict.scores
        if record.verdict.heatmaps:
            strongest = max(record.verdict.heatmaps, key=lambda each: scores.of(each.label))
            heat, heat_label = _data_uri(overlay(picture, strongest, _THUMBNAIL)), strongest.label.value
        for label in LABELS:
            levels = [v for k, v in record.decision.thresholds.items() if k.startswith(f"{label.value}.")]
            bars.append((label.value, scores.of(label), min(levels, default=None)))
    return Card(record, _data_uri(thumbnail), heat, heat_label, tuple(bars))


def _data_uri(rgb: npt.NDArray[np.uint8]) -> str:
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _bars(bins: Sequence[int]) -> tuple[tuple[float, float, float, int], ...]:
    """Bars of a 200 x 60 chart as (x, y, height, count); square-root scale, or rare high scores would not show."""
    most = max(max(bins, default=0), 1) ** 0.5
    width = 200 / max(len(bins), 1)
    return tuple(
        (k * width, 60 - 58 * count**0.5 / most, 58 * count**0.5 / most, count) for k, count in enumerate(bins)
    )
