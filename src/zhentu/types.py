"""The words of the house, as frozen values that cross folder borders.

Pure: NumPy and the standard library only. Every value is immutable; arrays inside are treated as read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt


class Label(StrEnum):
    """The five outputs of the detector, in the order of its logits.

    The first four are Taobao's forgery categories (2025-03-27); the fifth is no offence by itself but must be labelled.
    """

    MATERIAL_MISMATCH = "material_mismatch"
    EXAGGERATED_EFFECT = "exaggerated_effect"
    SCENE_DISTORTION = "scene_distortion"
    CUTOUT_ARTIFACT = "cutout_artifact"
    AI_GENERATED = "ai_generated"


LABELS: tuple[Label, ...] = tuple(Label)
FORGERY_CATEGORIES: tuple[Label, ...] = LABELS[:4]


class Action(StrEnum):
    """What is to be done with a picture, from mildest to gravest (`severity`)."""

    ALLOW = "allow"
    LABEL = "label"
    REVIEW = "review"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """Rank for taking the gravest of several actions: allow 0 ... block 3."""
        return list(Action).index(self)


class Profile(StrEnum):
    """How readily a platform acts: each profile is a set of thresholds with its measured rates.

    careful: few genuine pictures are touched.  strict: more forgeries are found, and more genuine ones looked at.
    """

    CAREFUL = "careful"
    BALANCED = "balanced"
    STRICT = "strict"


class Mode(StrEnum):
    """Whether decisions are applied. `shadow` computes and records, and applies `allow`."""

    OFF = "off"
    SHADOW = "shadow"
    ENFORCE = "enforce"


class OnError(StrEnum):
    """What a caller gets when the gate itself is in trouble, for instance without a usable model.

    allow_and_queue: the picture is allowed, and screened as soon as the gate can.  block: an error, nothing is allowed.
    """

    ALLOW_AND_QUEUE = "allow_and_queue"
    BLOCK = "block"


class Basis(StrEnum):
    """What a verdict stands on."""

    PICTURE_ALONE = "picture alone"
    REFERENCE = "reference"


class AiState(IntEnum):
    """The three-way state of China's labelling measures (Art. 6): value = `Label` of the AIGC metadata."""

    IS = 1
    POSSIBLY = 2
    SUSPECTED = 3


class Role(StrEnum):
    """What an API key, or a person signed in with one, may do; each role may do what stands before it."""

    SCREEN = "screen"
    REVIEW = "review"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may do."""
        return list(Role).index(self) >= list(Role).index(other)


class BankKind(StrEnum):
    """What a bank of known pictures holds."""

    KNOWN_BAD = "known_bad"
    ALLOWED = "allowed"
    BRAND_ORIGINAL = "brand_original"


class Signal(StrEnum):
    """How a picture is recognised: exact bytes, or Meta's perceptual PDQ hash (256 bits)."""

    SHA256 = "sha256"
    PDQ = "pdq"


class EvidenceKind(StrEnum):
    """Where a fact comes from."""

    PROVENANCE = "provenance"
    DECLARATION = "declaration"
    MODEL = "model"
    HASH = "hash"
    REFERENCE = "reference"
    FILE = "file"


class Trust(StrEnum):
    """How far a fact can be trusted, from strongest to weakest."""

    SIGNED = "signed"  # cryptographically valid
    MEASURED = "measured"  # computed by zhentu from the pixels or bytes
    DECLARED = "declared"  # stated by the uploader or a standard metadata field
    FORGEABLE = "forgeable"  # a trace anybody can write or strip


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observed fact about a picture.

    kind, name: what was found, e.g. PROVENANCE / "iptc_digital_source_type"; `name` is a stable snake_case identifier.
    detail: the fact in plain English, safe to show (printable, at most 300 characters).
    location: where it stood, e.g. "XMP", "PNG tEXt:parameters", "EXIF UserComment"; empty when it has no place.
    trust: how far it can be trusted.
    ai_state: what it says about AI generation; None when it says nothing (e.g. camera EXIF).
    score: a calibrated probability in [0, 1] for MODEL evidence, else None.
    """

    kind: EvidenceKind
    name: str
    detail: str
    trust: Trust
    location: str = ""
    ai_state: AiState | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    rgb: uint8 array of shape (height, width, 3), sRGB, upright (EXIF orientation applied), alpha composed on white.
    sha256: lowercase hex of the original bytes.  format: "JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "MPO".
    notes: facts about decoding worth recording, e.g. "alpha composed on white", "first of 12 frames".
    """

    rgb: npt.NDArray[np.uint8]
    sha256: str
    format: str
    byte_count: int
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Pixels across, after orientation."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Pixels down, after orientation."""
        return int(self.rgb.shape[0])


@dataclass(frozen=True, slots=True)
class Listing:
    """What the platform knows about the goods the picture stands for; every field may be empty.

    goods: goods category such as "apparel"; selects policy thresholds (`category:goods`).
    declared_ai: the uploader's own declaration; None when not asked.
    declared_attributes: what the seller says of the goods, e.g. {"material": "cotton"}; at most 64 short texts.
    """

    listing_id: str = ""
    seller_id: str = ""
    goods: str = ""
    title: str = ""
    declared_ai: bool | None = None
    declared_attributes: Mapping[str, str] = field(default_factory=dict)


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
    """Calibrated probabilities in [0, 1]: one per label, and `forged`, the highest of the five.

    That any of the five holds is at least as likely as the likeliest of them; the model knows no more than that.
    """

    material_mismatch: float
    exaggerated_effect: float
    scene_distortion: float
    cutout_artifact: float
    ai_generated: float
    forged: float

    def of(self, label: Label) -> float:
        """The score of one label."""
        return float(getattr(self, label.value))

    def as_dict(self) -> dict[str, float]:
        """Six scores by name, five labels first, `forged` last."""
        return {**{label.value: self.of(label) for label in LABELS}, "forged": self.forged}


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Where the model looked: float32 array in [0, 1], shape (rows, columns), covering the whole picture."""

    # Records are validated by pydantic, which is told here that an array is an array; the type stays free of it.
    __pydantic_config__: ClassVar[dict[str, bool]] = {"arbitrary_types_allowed": True}

    grid: npt.NDArray[np.float32]
    label: Label


@dataclass(frozen=True, slots=True)
class Comparison:
    """A picture against reference pictures of the same listing.

    score: calibrated probability in [0, 1] that the picture shows other goods (material, texture, pattern, colour or
    construction) than the most similar reference.  similarity: in [0, 1], how well its places are found there again.
    difference: where nothing alike was found in the reference.
    """

    score: float
    similarity: float
    reference_sha256: str
    model: ModelRef
    difference: Heatmap | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says about one picture."""

    scores: Scores
    model: ModelRef
    basis: Basis = Basis.PICTURE_ALONE
    heatmaps: tuple[Heatmap, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision was taken, in words a seller understands.

    code: stable identifier, e.g. "score_material_mismatch" or "provenance_iptc_digital_source_type".
    score and threshold are set when the reason is a score that passed a threshold.
    """

    code: str
    action: Action
    en: str
    zh: str
    label: Label | None = None
    score: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says.

    action: what the policy asks for.  applied: what is in force (`allow` in shadow mode and off).
    ai_state: the labelling state owed under the measures, None when no AI label is owed.
    thresholds: every threshold consulted, keyed "<label>.<action>", as used for this goods category.
    """

    action: Action
    applied: Action
    mode: Mode
    reasons: tuple[Reason, ...]
    policy_version: str
    policy_sha256: str
    ai_state: AiState | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One screening, append-only. A decision can be explained from it alone.

    record_id: UUIDv7-like sortable identifier.  path: as the caller named the picture.
    verdict: None where the model was not asked (mode off).  latency_ms: decode + provenance + detector + policy.
    """

    record_id: str
    created_at: datetime
    path: str
    picture_sha256: str
    picture_format: str
    width: int
    height: int
    byte_count: int
    notes: tuple[str, ...]
    listing: Listing
    verdict: Verdict | None
    evidence: tuple[Evidence, ...]
    decision: Decision
    latency_ms: float
