"""The way of a picture through the gate stays short: the files that are handed its bytes or pixels, counted."""

from __future__ import annotations

from way_of_bytes import way_through_the_gate

from zhentu.settings import Settings

MOST_FILES = 15


def test_a_plain_picture_passes_at_most_fifteen_files(settings: Settings) -> None:
    way = way_through_the_gate(settings)
    assert len(way.files) <= MOST_FILES, way.functions
    ends = {"gate/service.py", "intake/decode.py", "detect/detector.py", "record/pictures.py"}
    assert ends <= set(way.files), "the counter no longer sees where the bytes go"


def test_the_way_never_climbs_back_to_the_gate_before_the_picture_is_screened(settings: Settings) -> None:
    """What screens a picture hands it only further down: the gate sees it again when there is a screening."""
    stops = [stop.split(":")[0] for stop in way_through_the_gate(settings).functions]
    inside = stops[stops.index("screen.py") : stops.index("detect/views.py") + 1]
    assert [stop for stop in inside if stop.startswith("gate/")] == []
