"""Traces that generators leave in a file, and camera EXIF as weak evidence to the contrary.

A trace is not a declaration: it makes a picture suspected (Art. 6 (3) of the labelling measures), not labelled as AI.
Which traces there are is data: generators.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zhentu.intake.generators import GeneratorTable, shipped_table
from zhentu.intake.metadata import Metadata
from zhentu.intake.xmp import shown
from zhentu.types import AiState, Evidence, EvidenceKind, Fact, Trust

_MOST = 24  # traces reported per file
_MOST_TEXT, _LEAST_TEXT = 4 * 1024 * 1024, 256  # characters of all texts of a file; of each text once those are used up


def generator_traces(metadata: Metadata, table: GeneratorTable | None = None) -> Iterator[Evidence]:
    """Parameters, workflows, signatures and names of image generators, each once per place."""
    table = table or shipped_table()
    seen: set[tuple[str, str]] = set()
    budget = _MOST_TEXT
    for text in metadata.texts:
        value = text.value[: max(budget, _LEAST_TEXT)]
        budget -= len(value)
        low = value.casefold()
        for row in table.traces_at(text.place):
            if len(seen) >= _MOST or (row.name, text.place) in seen:
                continue
            quote = row.quote(text.place, value, low)
            if quote is None or (row.also and not _also(row.also.quote, metadata)):
                continue
            seen.add((row.name, text.place))
            detail = f"{row.name}: {shown(quote)}" if shown(quote).strip() else row.name
            facts = [(Fact.FINDING, row.name), (Fact.QUOTE, shown(quote).strip())]
            yield _trace(detail[:300], text.place, tuple(fact for fact in facts if fact[1]))


def camera(metadata: Metadata) -> Iterator[Evidence]:
    """A camera named in EXIF is weak evidence against generation: anybody can copy it in."""
    exif = metadata.exif.text
    make, model = exif.get("Make", ""), exif.get("Model", "")
    table = shipped_table()
    if (
        make
        and "ExposureTime" in exif
        and not any(row.quote("EXIF Make", make) for row in table.traces_at("EXIF Make"))
    ):
        named = shown(f"{make} {model}".strip())[:100]
        detail, facts = f"taken with {named}", ((Fact.QUOTE, named),)
        place = "EXIF Make/Model"
        yield Evidence(EvidenceKind.PROVENANCE, "camera_exif", detail, Trust.FORGEABLE, place, facts=facts)


def _also(quote: Callable[[str, str], str | None], metadata: Metadata) -> bool:
    return any(quote(text.place, text.value) is not None for text in metadata.texts)


def _trace(detail: str, location: str, facts: tuple[tuple[Fact, str], ...]) -> Evidence:
    kind, state = EvidenceKind.PROVENANCE, AiState.SUSPECTED
    return Evidence(kind, "generator_parameters", detail, Trust.FORGEABLE, location, state, facts=facts)
