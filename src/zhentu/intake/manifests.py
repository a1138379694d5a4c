"""What C2PA manifests say: actions, source types, ingredients, AI disclosures, soft bindings (C2PA 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from zhentu.intake.xmp import shown
from zhentu.types import Fact

_MAX_MANIFESTS, _MAX_DETAILS = 64, 24
_KEPT_RELATIONS = ("parentOf", "componentOf")  # an `inputTo`, e.g. a prompt's sketch, is not part of the picture
_DISCLOSURES = ("ai-disclosure", "ai_disclosure", "ai_generated", "ai-generated", "training-mining")


@dataclass(frozen=True, slots=True)
class Detail:
    """A stable name, the place in the manifest, plain words, and the facts in them."""

    name: str
    place: str
    words: str
    facts: tuple[tuple[Fact, str], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """source_type: the AI source type that the manifest or its parents name, with its meaning; empty if none.

    term: the source type alone.  details: anything else an inspector wants to see.
    """

    source_type: str = ""
    term: str = ""
    details: tuple[Detail, ...] = ()


def statement_of(
    manifests: Mapping[str, object],
    label: str,
    deltas: list[Mapping[str, object]],
    breaks: Callable[[str], bool],
    meaning_of: Callable[[str], str | None],
) -> Statement:
    """What the active manifest says. deltas: what validation found about its ingredients.

    breaks: whether a failure code is about integrity.  meaning_of: what a digital source type means, None if it is not
    an AI one.
    """
    broken = set(_broken_now(deltas, breaks))
    source, term = next(_source_types(manifests, label, broken, breaks, meaning_of), ("", ""))
    details = list(_details(mapping(manifests.get(label)), broken, breaks))
    return Statement(source, term, tuple(details[:_MAX_DETAILS]))


def _source_types(
    manifests: Mapping[str, object],
    label: str,
    broken: set[str],
    breaks: Callable[[str], bool],
    meaning_of: Callable[[str], str | None],
) -> Iterator[tuple[str, str]]:
    """AI source types, with and without their meaning, of a manifest, then of those it came from, each visited once."""
    waiting, seen = [label], set[str]()
    while waiting and len(seen) < _MAX_MANIFESTS:
        label = waiting.pop(0)
        if label in seen:
            continue
        seen.add(label)
        manifest = mapping(manifests.get(label))
        kept = [each for each in _ingredients(manifest) if _unbroken(each, broken, breaks)]
        for value in (*_action_types(manifest), *(str(each.get("digitalSourceType", "")) for each in kept)):
            meaning = meaning_of(value)
            if meaning:
                term = shown(value).rstrip("/").rsplit("/", 1)[-1]
                yield f"{term}: {meaning}", term
        waiting += [str(each.get("active_manifest", "")) for each in kept]


def _action_types(manifest: Mapping[str, object]) -> Iterator[str]:
    for name, content in _assertions(manifest):
        if name.startswith("c2pa.actions"):
            for action in items(content.get("actions")):
                yield str(mapping(action).get("digitalSourceType", ""))
                yield str(mapping(mapping(action).get("parameters")).get("digitalSourceType", ""))
        else:  # an AI disclosure, or a creative work that names it as metadata does
            for key in ("digitalSourceType", "Iptc4xmpExt:DigitalSourceType", "iptc:digitalSourceType"):
                yield str(content.get(key, ""))


def _ingredients(manifest: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for ingredient in items(manifest.get("ingredients")):
        each = mapping(ingredient)
        if each.get("relationship") in _KEPT_RELATIONS:
            yield each


def _unbroken(ingredient: Mapping[str, object], broken: set[str], breaks: Callable[[str], bool]) -> bool:
    """Whether an ingredient's own manifest was valid when it was added, and still is."""
    if str(ingredient.get("active_manifest", "")) in broken:
        return False
    checked = mapping(mapping(ingredient.get("validation_results")).get("activeManifest"))
    faults = [*items(checked.get("failure")), *items(ingredient.get("validation_status"))]
    return not any(breaks(str(mapping(each).get("code"))) for each in faults)


def _broken_now(deltas: list[Mapping[str, object]], breaks: Callable[[str], bool]) -> Iterator[str]:
    """Labels of manifests that validation of the whole file found changed."""
    for delta in deltas:
        for fault in items(mapping(delta.get("validationDeltas")).get("failure")):
            if breaks(str(mapping(fault).get("code"))):
                yield str(mapping(fault).get("url", "")).partition("/c2pa/")[2].partition("/")[0]


def _details(manifest: Mapping[str, object], broken: set[str], breaks: Callable[[str], bool]) -> Iterator[Detail]:
    generators = [mapping(each) for each in items(manifest.get("claim_generator_info"))]
    named = [f"{each.get('name')} {each.get('version', '')}".strip() for each in generators if each.get("name")]
    if named or manifest.get("claim_generator"):
        yield _quoted("c2pa_generator", "claim", shown(", ".join(named) or str(manifest["claim_generator"])))
    for name, content in _assertions(manifest):
        if name.startswith("c2pa.actions"):
            told = ", ".join(_action(mapping(each)) for each in items(content.get("actions"))[:16])
            yield _quoted("c2pa_actions", name, told)
        elif name.startswith("c2pa.soft-binding"):
            algorithm = shown(str(content.get("alg", "")))
            words = f"bound by {algorithm or 'an unnamed algorithm'}"
            yield Detail("c2pa_soft_binding", name, words, ((Fact.QUOTE, algorithm),))
        elif any(word in name for word in _DISCLOSURES):
            said = ", ".join(f"{shown(str(key))} {shown(_flat(value))}" for key, value in list(content.items())[:8])
            yield Detail("c2pa_disclosure", name, said or "names nothing", ((Fact.QUOTE, said),))
    for ingredient in items(manifest.get("ingredients")):
        each = mapping(ingredient)
        title, relation = shown(str(each.get("title") or "")), shown(str(each.get("relationship", "")))
        holds = _unbroken(each, broken, breaks)
        words = f"{relation}: {title or 'untitled'}{'' if holds else ', its manifest does not hold'}"
        facts = ((Fact.RELATION, relation), (Fact.QUOTE, title), (Fact.INTEGRITY, "" if holds else "broken"))
        yield Detail("c2pa_ingredient", "ingredient", words, facts)


def _quoted(name: str, place: str, words: str) -> Detail:
    return Detail(name, place, words, ((Fact.QUOTE, words),))


def _action(action: Mapping[str, object]) -> str:
    said = shown(str(action.get("action", ""))).removeprefix("c2pa.")
    agent = action.get("softwareAgent")
    by = mapping(agent).get("name") if isinstance(agent, dict) else agent
    source = str(action.get("digitalSourceType", "")).rstrip("/").rsplit("/", 1)[-1]
    notes = [shown(str(each)) for each in (source, by) if each]
    return f"{said} ({', '.join(notes)})" if notes else said


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(each)}" for key, each in list(value.items())[:4])
    return str(value)


def _assertions(manifest: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    for assertion in items(manifest.get("assertions")):
        each = mapping(assertion)
        yield str(each.get("label", "")), mapping(each.get("data"))


def mapping(value: object) -> Mapping[str, object]:
    """The value, or an empty mapping if it is not one: manifests are hostile input."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value, or an empty list if it is not one."""
    return value if isinstance(value, list) else []
