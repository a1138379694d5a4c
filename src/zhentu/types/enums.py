"""The enumerations of the code base."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Category(StrEnum):
    """What can be wrong with a picture, and `ai_generated`, which is not an offence by itself but must be labelled.

    The first four are Taobao's forgery categories (2025-03-27).
    """

    MATERIAL_MISMATCH = "material_mismatch"
    EXAGGERATED_EFFECT = "exaggerated_effect"
    SCENE_DISTORTION = "scene_distortion"
    CUTOUT_ARTIFACT = "cutout_artifact"
    AI_GENERATED = "ai_generated"


CATEGORIES: tuple[Category, ...] = tuple(Category)
FORGERY_CATEGORIES: tuple[Category, ...] = tuple(each for each in Category if each is not Category.AI_GENERATED)


class Output(StrEnum):
    """The six outputs of the detector, in the order of its logits: the five categories, then `forged`, any of them."""

    MATERIAL_MISMATCH = Category.MATERIAL_MISMATCH.value
    EXAGGERATED_EFFECT = Category.EXAGGERATED_EFFECT.value
    SCENE_DISTORTION = Category.SCENE_DISTORTION.value
    CUTOUT_ARTIFACT = Category.CUTOUT_ARTIFACT.value
    AI_GENERATED = Category.AI_GENERATED.value
    FORGED = "forged"

    @property
    def column(self) -> int:
        """Its place along the last axis of logits and scores, 0..5."""
        return OUTPUTS.index(self)


OUTPUTS: tuple[Output, ...] = tuple(Output)


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


class LabelLanguage(StrEnum):
    """The words of the visible label."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"


class SigningAlgorithm(StrEnum):
    """Signature algorithms of C2PA."""

    ES256 = "es256"
    ES384 = "es384"
    ES512 = "es512"
    PS256 = "ps256"
    PS384 = "ps384"
    PS512 = "ps512"
    ED25519 = "ed25519"


class Runtime(StrEnum):
    """What calculates the networks.

    onnxruntime: processors, fp32 and 8-bit graphs.  openvino: processors, in bfloat16 where they have products for it.
    cuda, tensorrt: NVIDIA GPUs, through ONNX Runtime's providers.
    """

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    CUDA = "cuda"
    TENSORRT = "tensorrt"

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU calculates, for which views of several pictures are put into one call."""
        return self in (Runtime.CUDA, Runtime.TENSORRT)

    def marks(self, version: str) -> str:
        """The version a record names: "0.5.0+openvino" where another runtime than ONNX Runtime's own calculates."""
        return version if self is Runtime.ONNXRUNTIME else f"{version}+{self}"


class MessageState(StrEnum):
    """Where a message to the platform is on its way."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Role(StrEnum):
    """What an API key, or a person signed in with one, may do; each role includes those before it."""

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


class Fact(StrEnum):
    """What a value that evidence holds is, so that it can be worded in any language."""

    QUOTE = "quote"  # words of the file, as written
    FINDING = "finding"  # the name of the row of the table of generators that recognised it
    FIELD = "field"  # the name of a metadata field
    LABEL = "label"  # the value of an AIGC label
    PRODUCER = "producer"
    PROPAGATOR = "propagator"
    SOURCE_TYPE = "source_type"  # a term of the IPTC vocabulary
    SIGNER = "signer"
    INTEGRITY = "integrity"  # the three answers about a C2PA manifest, as intake.credentials names them
    VALIDITY = "validity"
    SIGNER_TRUST = "signer_trust"
    RELATION = "relation"  # of a C2PA ingredient to the picture
    MODEL = "model"
    SCORE = "score"
    FRAME = "frame"  # from 1
    FRAMES = "frames"  # how many there are
    FRAMES_SEEN = "frames_seen"
    SETTLED = "settled"  # the look at the whole picture was enough
    BANK = "bank"
    ENTRY = "entry"
    DISTANCE = "distance"  # differing bits of 256
    SIMILARITY = "similarity"
    COUNT = "count"  # of references, or of further files
    AGREEING = "agreeing"
    DIFFERING = "differing"  # questions, by their values
    WHOLE = "whole"  # whole pictures were compared
    INSTALLED = "installed"  # there is a comparison
    CODE = "code"  # of an error
    RECORD = "record"  # an earlier record of the same picture and seller
    BYTES = "bytes"


class Trust(StrEnum):
    """How far a fact can be trusted, from strongest to weakest."""

    SIGNED = "signed"  # cryptographically valid
    MEASURED = "measured"  # computed by zhentu from the pixels or bytes
    DECLARED = "declared"  # stated by the uploader or a standard metadata field
    FORGEABLE = "forgeable"  # a trace anybody can write or strip


class ReasonKind(StrEnum):
    """What a reason stands on."""

    SCORE = "score"
    COMPARISON = "comparison"
    BANK = "bank"
    PROVENANCE = "provenance"
    DECLARATION = "declaration"
    MODE_OFF = "mode_off"
    DEFERRED = "deferred"
    NOTHING_FOUND = "nothing_found"


class Question(StrEnum):
    """The questions about two pictures of goods, in the order of the comparison's outputs."""

    PRODUCT = "product"  # other goods altogether, rather than the same goods altered
    COLOUR = "colour"  # white balance allowed for
    TEXTURE = "texture"  # material: gloss, weave, relief
    PRINT = "print"  # print or pattern
    CONSTRUCTION = "construction"  # parts, proportions, counts


class Answer(StrEnum):
    """The comparison's possible answers to a question."""

    SAME = "same"
    DIFFERS = "differs"
    CANNOT_TELL = "cannot_tell"
