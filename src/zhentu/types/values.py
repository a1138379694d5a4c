"""The frozen values that cross package borders; arrays in them are treated as read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from zhentu.types.enums import (
    OUTPUTS,
    Action,
    AiState,
    Answer,
    BankKind,
    Basis,
    Category,
    EvidenceKind,
    Fact,
    Mode,
    Output,
    Profile,
    Question,
    ReasonKind,
    Signal,
    Trust,
)
from zhentu.types.pictures import Frame

DEFAULT_TENANT = "default"  # the operator of the gate, and everybody if there is only one tenant
LEAST_QUALITY = 50  # of 100: PDQ hashes of flatter pictures match at random and are discarded


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observed fact about a picture.

    kind, name: what was found, e.g. PROVENANCE / "iptc_digital_source_type"; `name` is a stable snake_case identifier.
    detail: the fact in plain English, safe to show (printable, at most 300 characters).
    location: where it was found, e.g. "XMP", "PNG tEXt:parameters", "EXIF UserComment"; empty when it has no place.
    trust: how far it can be trusted.
    ai_state: what it says about AI generation; None when it says nothing (e.g. camera EXIF).
    score: a calibrated probability in [0, 1] for MODEL and REFERENCE evidence, else None.
    category: which of the five it is about; None if it is about none, or all.
    facts: what `detail` tells, value by value, for other languages; empty in records of older releases.
    """

    kind: EvidenceKind
    name: str
    detail: str
    trust: Trust
    location: str = ""
    ai_state: AiState | None = None
    score: float | None = None
    category: Category | None = None
    facts: tuple[tuple[Fact, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """What the platform knows about the goods the picture stands for; every field may be empty.

    goods: goods category such as "apparel"; selects policy thresholds (`category:goods`).
    declared_ai: the uploader's own declaration; None when not asked.
    declared_attributes: what the seller says about the goods, e.g. {"material": "cotton"}; at most 64 short texts.
    tenant: whose ids these are, by the key that asked; callers cannot choose it.
    """

    listing_id: str = ""
    seller_id: str = ""
    goods: str = ""
    title: str = ""
    declared_ai: bool | None = None
    declared_attributes: Mapping[str, str] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT

    @property
    def seller(self) -> str:
        """The seller among those of all tenants: "S-7" of the operator, "shop-a/S-7" of a tenant; empty if unknown."""
        return seller_of(self.tenant, self.seller_id)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture is recognised by. sha256: lowercase hex of the file's bytes.

    pdq: 32 bytes, most significant bit first, so that `pdq.hex()` is the text form that hash-sharing tools use.
    quality: 0..100; below LEAST_QUALITY the hash says nothing.
    colour: 48 bytes, mean sRGB of 4 x 4 cells, row by row.
    """

    sha256: str
    pdq: bytes
    quality: int
    colour: bytes

    @property
    def usable(self) -> bool:
        """Whether the hash can be compared at all."""
        return self.quality >= LEAST_QUALITY


@dataclass(frozen=True, slots=True)
class BankHit:
    """A picture recognised in a bank.

    distance: differing bits, 0 for sha256, 0..31 for PDQ. PDQ ignores colour, so it never blocks by itself.
    source: who put the entry there.  note: why, safe to show, at most 300 characters.
    """

    bank: str
    kind: BankKind
    entry_id: str
    signal: Signal
    distance: int = 0
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model spoke: `name@version` and the sha256 of its ONNX file."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities in [0, 1]: one per category, and `forged`: that any of the five holds.

    It is at least as likely as the likeliest of them (`zhentu.detect.calibration.any_of`).
    """

    material_mismatch: float
    exaggerated_effect: float
    scene_distortion: float
    cutout_artifact: float
    ai_generated: float
    forged: float

    def of(self, which: Category | Output) -> float:
        """The score of one category or output."""
        return float(getattr(self, which.value))

    def as_dict(self) -> dict[str, float]:
        """Six scores by the names and in the order of `OUTPUTS`."""
        return {output.value: self.of(output) for output in OUTPUTS}


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Where the model looked: float32 array in [0, 1], shape (rows, columns), covering the whole picture."""

    # Records are validated by pydantic, which is told here what an array is; the type itself does not depend on it.
    __pydantic_config__: ClassVar[dict[str, bool]] = {"arbitrary_types_allowed": True}

    grid: npt.NDArray[np.float32]
    category: Category


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """One question answered. score: calibrated probability in [0, 1] that it differs."""

    question: Question
    answer: Answer
    score: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A picture against reference pictures of the same listing; the most similar reference counts.

    score: calibrated probability in [0, 1] that the picture shows other goods (material, texture, pattern, colour or
    construction) than that reference.  similarity: in [0, 1], how well its places are found there again.
    answer, answers: the same as a word, and question by question.  agreeing: of how many of the `compared` references
    the answer is "the same".  goods_found: whether the goods were found in both, else a whole picture stood for them.
    difference, reference_difference: where in the picture and in the reference nothing alike was found in the other.
    """

    score: float
    similarity: float
    reference_sha256: str
    model: ModelRef
    difference: Heatmap | None = None
    answer: Answer = Answer.CANNOT_TELL
    answers: tuple[QuestionAnswer, ...] = ()
    agreeing: int = 0
    compared: int = 1
    goods_found: bool = False
    reference_difference: Heatmap | None = None

    @property
    def differing(self) -> tuple[Question, ...]:
        """The questions answered "differs", surest first; empty unless the whole is a mismatch."""
        if self.answer is not Answer.DIFFERS:
            return ()
        found = sorted(self.answers, key=lambda each: -each.score)
        return tuple(each.question for each in found if each.answer is Answer.DIFFERS)

    def answer_to(self, question: Question) -> Answer:
        """The answer to one question; that nobody can tell, where it was not asked."""
        return next((each.answer for each in self.answers if each.question is question), Answer.CANNOT_TELL)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says about one picture.

    prior: the shares of pictures at which the scores are read, by category; those left out are the model's own.
    frame: which frame it is about, if the picture has several: the worst of `frames_seen`.
    crops_seen: native crops that were looked at; 0 = the look at the whole picture settled it.
    """

    scores: Scores
    model: ModelRef
    basis: Basis = Basis.PICTURE_ALONE
    heatmaps: tuple[Heatmap, ...] = ()
    frame: Frame | None = None
    frames_seen: int = 1
    prior: Mapping[Category, float] = field(default_factory=dict)
    crops_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision was made, in words that a seller understands.

    code: stable identifier for callers, e.g. "score_material_mismatch"; kind and category say the same as types.
    score and threshold are set when the reason is a score that passed a threshold.
    """

    kind: ReasonKind
    code: str
    action: Action
    en: str
    zh: str
    category: Category | None = None
    score: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score in [0, 1] from which an action is asked for. basis: which score of the category, see `Basis`.

    profile: whose threshold it is; None if it is a number of the policy or of a model without profiles.
    """

    category: Category
    action: Action
    value: float
    basis: Basis = Basis.PICTURE_ALONE
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says.

    action: what the policy asks for.  applied: what is in force (`allow` in shadow mode and off).
    ai_state: the labelling state owed under the measures, None when no AI label is owed.
    thresholds: every threshold that was consulted, as used for this goods category.
    profile: whose thresholds the word `model` stood for; None if the policy names numbers alone, or the model that
    spoke ships no profiles.
    """

    action: Action
    applied: Action
    mode: Mode
    reasons: tuple[Reason, ...]
    policy_version: str
    policy_sha256: str
    ai_state: AiState | None = None
    thresholds: tuple[Threshold, ...] = ()
    profile: Profile | None = None


def seller_of(tenant: str, seller_id: str) -> str:
    """A seller's name among those of all tenants; see `Listing.seller`."""
    return seller_id if tenant == DEFAULT_TENANT or not seller_id else f"{tenant}/{seller_id}"
