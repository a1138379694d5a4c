"""What the templates show for an item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from jinja2 import Environment, PackageLoader, select_autoescape

from zhentu.banks.entries import Match, MatchKind
from zhentu.banks.originals import original
from zhentu.decide.error_words import words_of_code
from zhentu.decide.evidence_words import told
from zhentu.decide.notices import ACTION_NAMES, ANSWER_NAMES, CATEGORY_NAMES
from zhentu.decide.words import QUESTION_NAMES, TRUST_NAMES, Words
from zhentu.errors import PictureNotFound
from zhentu.review.appeals import OPEN, Appeal
from zhentu.review.items import ItemKind, ReviewDecision, ReviewItem, SellerHistory
from zhentu.review.web.desk import Desk
from zhentu.review.web.language import rendered
from zhentu.review.web.why import grounds, why_here
from zhentu.review.web.words import APPEAL_STATES, COPIES, KEYS, KINDS, ORDERS, PAGE
from zhentu.types import CATEGORIES, Answer, BankKind, Basis, Category, EvidenceKind, Question, Reason, Record

_GROUP_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """One score against its thresholds. thresholds: 0..1, lowest first; without any, nothing is decided by it."""

    category: Category | None
    name: Words
    score: float
    thresholds: tuple[float, ...]

    @property
    def over(self) -> bool:
        """Whether it passed a threshold."""
        return bool(self.thresholds) and self.score >= self.thresholds[0]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The comparison with the seller's photos or with a brand original.

    differs: which questions, by name.  agreeing, compared: how many photos show the same goods, of how many.
    """

    mismatch: float | None
    similarity: float | None
    not_run: Words | None
    answer: Words | None = None
    differs: tuple[Words, ...] = ()
    agreeing: int = 0
    compared: int = 0


@dataclass(frozen=True, slots=True)
class BrandCopy:
    """The brand original that a picture was made from. how: an altered copy or a plain one; words for people."""

    entry_id: int
    brand: str
    how: Words
    distance: int
    colour_distance: float | None
    comparison: ComparisonView | None
    has_picture: bool


@dataclass(frozen=True, slots=True)
class ItemView:
    """Everything the page shows for one item."""

    item: ReviewItem
    record: Record
    why: Words
    grounds: Sequence[Reason]
    bars: tuple[Bar, ...]
    category: Words
    seller: SellerHistory
    near: tuple[ReviewItem, ...]
    near_open: int
    earlier: tuple[ReviewDecision, ...]
    appeal: Appeal | None
    comparison: ComparisonView | None
    brand: BrandCopy | None
    references: tuple[str, ...]
    has_heatmap: bool


@dataclass(frozen=True, slots=True)
class AppealRow:
    """An appeal in the list. mine: the reader may decide it; false once decided, and for who decided the picture."""

    appeal: Appeal
    item: ReviewItem
    mine: bool


def appeal_rows(desk: Desk, reviewer: str) -> tuple[AppealRow, ...]:
    """The appeals as this reviewer sees them."""
    return tuple(
        AppealRow(appeal, item, appeal.state == OPEN and reviewer not in item.not_by)
        for appeal, item in desk.appeals.with_items()
    )


def view_of(desk: Desk, item: ReviewItem) -> ItemView:
    """Gather what belongs to an item. Raises RecordNotFound."""
    record = desk.store.get(item.record_id)
    group = [each for each in desk.queue.group(item.group_id) if each.record_id != item.record_id]
    appeal, brand = desk.appeals.for_item(item.item_id), _brand(desk, record)
    photos = [f"/review/items/{item.item_id}/references/{each}.jpg" for each in (appeal.references if appeal else ())]
    return ItemView(
        item,
        record,
        why_here(item, record),
        grounds(record),
        bars_of(record),
        CATEGORY_NAMES[Category(item.category)],
        desk.queue.seller(item.seller_id, item.tenant),
        tuple(group[:_GROUP_SHOWN]),
        sum(each.decided_at is None for each in group),
        # A second opinion is worth something only if the first one is not seen.
        () if item.kind is ItemKind.SECOND else desk.queue.decisions_for(item.record_id),
        appeal,
        _comparison(appeal),
        brand,
        (*photos, *((f"/review/items/{item.item_id}/original.jpg",) if brand and brand.has_picture else ())),
        record.verdict is not None,
    )


def bars_of(record: Record) -> tuple[Bar, ...]:
    """The comparison with references where there was one, the five scores, and `any of the five`."""
    compared = next((each.score for each in record.evidence if each.kind is EvidenceKind.REFERENCE), None)
    bars = []
    if compared is not None:
        limits = _limits(record, Category.MATERIAL_MISMATCH, Basis.REFERENCE)
        bars.append(Bar(None, PAGE["with_references"], compared, limits))
    if record.verdict is not None:
        scores = record.verdict.scores
        for category in CATEGORIES:
            limits = _limits(record, category, Basis.PICTURE_ALONE)
            bars.append(Bar(category, CATEGORY_NAMES[category], scores.of(category), limits))
        bars.append(Bar(None, PAGE["any_category"], scores.forged, ()))
    return tuple(bars)


def _limits(record: Record, category: Category, basis: Basis) -> tuple[float, ...]:
    said = record.decision.thresholds
    return tuple(sorted(each.value for each in said if each.category is category and each.basis is basis))


def render(name: str, language: str, **values: object) -> str:
    """A template in a language."""
    return rendered(
        _environment(),
        name,
        language,
        PAGE,
        actions=ACTION_NAMES,
        kinds=KINDS,
        orders=ORDERS,
        states=APPEAL_STATES,
        keys=KEYS,
        trusts=TRUST_NAMES,
        told=partial(told, language=language),
        categories={category.value: CATEGORY_NAMES[category] for category in CATEGORIES},
        **values,
    )


def _brand(desk: Desk, record: Record) -> BrandCopy | None:
    match = brand_match(desk, record)
    if match is None:
        return None
    try:
        payload, comparison = original(desk.banks.store, match.entry_id), None
        comparer = desk.comparer()
        if comparer is not None:
            picture = desk.pictures.picture(record)
            found = comparer.compare(picture, [desk.pictures.decoder.decode(payload, desk.pictures.limits)])
            comparison = _view_of(found.score, found.similarity, found.answer, found.differing)
        has_picture = True
    except PictureNotFound:
        has_picture, comparison = False, None
    how = COPIES["altered" if match.how is MatchKind.ALTERED else "plain"]
    return BrandCopy(
        match.entry_id, match.bank.brand, how, match.distance, match.colour_distance, comparison, has_picture
    )


def brand_match(desk: Desk, record: Record) -> Match | None:
    """The surest match of a record's picture with another seller's brand original."""
    print_ = desk.banks.store.fingerprint_of(record.picture_sha256)
    if print_ is None:
        return None
    found = desk.banks.match(print_, record.listing.seller)
    return next((each for each in found if each.bank.kind is BankKind.BRAND_ORIGINAL), None)


def _comparison(appeal: Appeal | None) -> ComparisonView | None:
    if appeal is None or not appeal.comparison:
        return None
    said = json.loads(appeal.comparison)
    if said.get("not_run"):
        why = words_of_code(PictureNotFound.code).zh  # nothing else keeps an appeal from being compared
        return ComparisonView(None, None, Words(said["not_run"], why))
    answer = Answer(said["answer"]) if said.get("answer") else None  # appeals from zhentu 0.2 have none
    differs = [Question(each) for each in said.get("differs", ())]
    view = _view_of(said.get("mismatch"), said.get("similarity"), answer, differs)
    return replace(view, agreeing=said.get("agreeing", 0), compared=said.get("compared", 0))


def _view_of(
    mismatch: float | None, similarity: float | None, answer: Answer | None, differs: Sequence[Question]
) -> ComparisonView:
    names = tuple(QUESTION_NAMES[question] for question in differs)
    return ComparisonView(mismatch, similarity, None, ANSWER_NAMES[answer] if answer else None, names)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("zhentu.review.web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
