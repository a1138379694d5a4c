"""What is to be labelled and how, and the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zhentu.errors import UsageError
from zhentu.intake.aigc import AigcLabel, conforming
from zhentu.intake.generators import GeneratorTable
from zhentu.types import AiState, LabelLanguage, SigningAlgorithm


class Outcome(StrEnum):
    """The outcome for one kind of label."""

    WRITTEN = "written"
    UPDATED = "updated"  # an existing one was changed, not doubled
    KEPT = "kept"  # an existing one already says the same
    OFF = "off"  # not requested


class CredentialOutcome(StrEnum):
    """The outcome for a C2PA manifest."""

    NONE = "none"  # there was none
    KEPT = "kept"  # the bytes were not changed, or it was invalid before
    INVALIDATED = "invalidated"  # the label changed the bytes it signs, and no signing key is configured
    RESIGNED = "resigned"  # a new manifest that names the old one as its parent


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A C2PA signing credential. certificates: PEM, leaf first; key: PEM (PKCS#8)."""

    certificates: bytes
    key: bytes
    algorithm: SigningAlgorithm = SigningAlgorithm.ES256


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """How pictures are labelled. Raises UsageError if the implicit label is requested but could not conform.

    propagator: the platform's code (ContentPropagator).  content_id: PropagateID; empty = made from the picture's
    sha256, so that a repeated run gives the same bytes.  producer, produce_id: ContentProducer and ProduceID where the
    file names none, for the states in producer_states.  replace_propagator: write over another platform's code.
    height: height of the badge's capital letters as a share of the picture's shortest side, at least 0.05.
    right_to_left: prefer the left corner.  generators: what counts as a producer's own label; None = the shipped table.
    """

    propagator: str
    content_id: str = ""
    producer: str = ""
    produce_id: str = ""
    producer_states: frozenset[AiState] = frozenset({AiState.IS})
    replace_propagator: bool = False
    implicit: bool = True
    visible: bool = True
    language: LabelLanguage = LabelLanguage.ZH
    height: float = 0.055
    right_to_left: bool = False
    signing: SigningKey | None = None
    generators: GeneratorTable | None = None

    def __post_init__(self) -> None:
        if self.implicit and not self.propagator:
            raise UsageError(
                "the AIGC label needs the platform's code: set label.propagator (ZHENTU_LABEL_PROPAGATOR) to it"
            )
        if not 0.05 <= self.height <= 0.25:
            raise UsageError(f"the badge's height is {self.height}, it must be from 0.05 to 0.25 of the shortest side")
        for name in ("propagator", "content_id", "producer", "produce_id"):
            if not conforming(getattr(self, name)) or len(getattr(self, name)) > 256:
                raise UsageError(
                    f"{name} {getattr(self, name)[:40]!r}: GB 45438-2025 Annex E allows the characters 0x21, 0x23-0x5B "
                    "and 0x5D-0x7E (no spaces, quotes or Chinese), zhentu at most 256 of them; use a code"
                )


@dataclass(frozen=True, slots=True)
class Badge:
    """Where a visible label is, in pixels of the upright picture.

    lines: its text.  box: left, top, width, height of the plate.  size: font size in pixels.  dark: dark plate, light
    text.  ink: height in pixels of its capital letters.  picture: width and height of the whole.
    """

    lines: tuple[str, ...]
    box: tuple[int, int, int, int]
    size: int
    dark: bool
    ink: int
    picture: tuple[int, int]
    state: AiState

    @property
    def ratio(self) -> float:
        """Ink height as a share of the picture's shortest side."""
        return self.ink / min(self.picture)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture after labelling.

    payload: the file; the original bytes if `changed` is false.  state: what the labels now say, never
    weaker than a label the file already carried.  notes: plain sentences worth showing to an operator.
    """

    payload: bytes
    format: str
    changed: bool
    state: AiState
    implicit: Outcome
    visible: Outcome
    credentials: CredentialOutcome
    label: AigcLabel | None = None
    badge: Badge | None = None
    notes: tuple[str, ...] = ()
