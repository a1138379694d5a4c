"""What the front page shows: itself, a picture that was checked, and one that could not be."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, select_autoescape

from zhentu.decide.error_words import error_words
from zhentu.decide.evidence_words import told
from zhentu.decide.note_words import note_in
from zhentu.decide.notices import CATEGORY_NAMES
from zhentu.decide.policy import Policy
from zhentu.decide.words import TRUST_NAMES, Words
from zhentu.errors import ZhentuError
from zhentu.gate.front.words import ACTIONS, GOODS, KEYS, MODES, PAGE
from zhentu.gate.requests import Submission
from zhentu.gate.rules import MOST_REFERENCES
from zhentu.mark.notices import Audience, Notice, Notices
from zhentu.printable import printable
from zhentu.review.web.language import LANGUAGES, rendered
from zhentu.review.web.views import Bar, bars_of
from zhentu.samples import Sample, sample_of, samples
from zhentu.settings import Settings
from zhentu.types import Category, Evidence, EvidenceKind, Mode, ModelRef, Record

MOST_AT_ONCE = 100
TRIAL_CODE = "ZHENTU-TRIAL"  # stands for the platform in labels while no code is set
_INT8 = "-int8"  # how `zhentu_training.quantize` ends the names of 8-bit models
_OF_THE_FILE = (EvidenceKind.PROVENANCE, EvidenceKind.DECLARATION)


@dataclass(frozen=True, slots=True)
class TriedView:
    """Everything shown of one picture. state: the label owed and in force; None if there is none.

    strongest: the category whose heatmap is shown first.  trial_code: what labels name instead of a platform.
    curl: a command line that checks the same.  model: which model spoke; None if none was asked.
    """

    record: Record
    bars: tuple[Bar, ...]
    heatmaps: tuple[Category, ...]
    strongest: Category | None
    of_the_file: tuple[Evidence, ...]
    other: tuple[Evidence, ...]
    notice: Notice
    state: int | None
    trial_code: str
    curl: str
    sample: Sample | None
    model: Words | None


def render_page(settings: Settings, policy: Policy, language: str) -> str:
    """The page in a language."""
    own = {goods for _, goods in policy.limits if goods}
    return _render(
        "front.html.j2",
        language,
        samples=[each for each in samples() if each.front],
        goods=sorted({*own, *GOODS}),
        most_references=MOST_REFERENCES,
        most_at_once=MOST_AT_ONCE,
        most_bytes=settings.decode.max_bytes,
        keys=KEYS,
    )


def render_tried(record: Record, given: Submission, address: str, settings: Settings, language: str) -> str:
    """One picture that was checked, as a fragment of the page. address: the gate's own, for the command line."""
    verdict, decision = record.verdict, record.decision
    heatmaps = tuple(each.category for each in verdict.heatmaps) if verdict else ()
    view = TriedView(
        record=record,
        bars=bars_of(record),
        heatmaps=heatmaps,
        strongest=max(heatmaps, key=verdict.scores.of) if verdict and heatmaps else None,
        of_the_file=tuple(each for each in record.evidence if each.kind in _OF_THE_FILE),
        other=tuple(each for each in record.evidence if each.kind not in _OF_THE_FILE),
        notice=_notices(settings.notices_dir, settings.appeal.url).notice(record, Audience.BUYER, language),
        state=int(decision.ai_state) if decision.ai_state and decision.mode is Mode.ENFORCE else None,
        trial_code="" if settings.label.propagator else TRIAL_CODE,
        curl=curl_of(record, given, address, settings.label.propagator),
        sample=sample_of(given.name),
        model=model_words(verdict.model) if verdict else None,
    )
    return _render("tried.html.j2", language, view=view)


def model_words(model: ModelRef) -> Words:
    """A model's name for visitors: "zhentu 0.4.0, 8-bit" for zhentu-int8@0.4.0."""
    name = model.name.removesuffix(_INT8)
    plain = f"{name} {model.version}"
    return Words(plain, plain) if name == model.name else Words(f"{plain}, 8-bit", f"{plain}，8 位")


def render_problem(error: ZhentuError) -> dict[str, str]:
    """A picture that could not be checked, by language."""
    return {
        each: _render("problem.html.j2", each, code=error.code, detail=printable(str(error)), says=error_words(error))
        for each in LANGUAGES
    }


def curl_of(record: Record, given: Submission, address: str, propagator: str) -> str:
    """The command line that asks the gate the same, and the one that labels if a label is owed."""
    name = Path(given.name).name or "picture.jpg"
    parts = [f"url={given.url}" if given.url else f"picture=@{name}"]
    parts += [f"goods={given.listing.goods}"] if given.listing.goods else []
    parts += [
        f"reference=@reference-{place + 1}.jpg" for place in range(len(given.references) + len(given.reference_urls))
    ]
    lines = [_curl(parts, f"{address}v1/screen", "")]
    state = record.decision.ai_state
    if state is not None and record.decision.mode is Mode.ENFORCE and not given.url:
        if not propagator:
            lines.append("# labels need the platform's code: start the gate with ZHENTU_LABEL_PROPAGATOR=CODE, then")
        parts = [f"picture=@{name}", f"state={int(state)}"]
        lines.append(_curl(parts, f"{address}v1/labels/apply", f"labelled-{name}"))
    return "\n".join(lines)


def _curl(parts: list[str], address: str, output: str) -> str:
    form = " ".join(f"--form {shlex.quote(each)}" for each in parts)
    return f"curl {form} {f'--output {shlex.quote(output)} ' if output else ''}{shlex.quote(address)}"


def _render(name: str, language: str, **values: object) -> str:
    return rendered(
        _environment(),
        name,
        language,
        PAGE,
        other="en" if language == "zh" else "zh",
        actions=ACTIONS,
        trusts=TRUST_NAMES,
        modes=MODES,
        told=partial(told, language=language),
        note_in=partial(note_in, language=language),
        categories=CATEGORY_NAMES,
        **values,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader("zhentu.gate.front"), PackageLoader("zhentu.review.web")]),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=4)
def _notices(folder: Path | None, appeal_url: str) -> Notices:
    return Notices.load(folder, appeal_url)
