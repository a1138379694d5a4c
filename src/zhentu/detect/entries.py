"""What the manifest says of one model: its files, how pictures are prepared for it, and how its answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from zhentu.detect.calibration import Platt, any_of, at_prior
from zhentu.detect.operating import Probability, ProfilePoints
from zhentu.detect.views import ViewSpec
from zhentu.types import (
    CATEGORIES,
    OUTPUTS,
    Action,
    Basis,
    Category,
    ModelRef,
    Output,
    Profile,
    Runtime,
    Scores,
    Threshold,
    Verdict,
)

COPY_AGAIN = "copy the whole folder of models again, or reinstall zhentu"  # what to do about a file that is damaged

_STRICT = ConfigDict(extra="forbid")


def _from_keys(value: object) -> object:
    """Thresholds as manifests of zhentu 0.1 and 0.2 name them: {"cutout_artifact.review": 0.9}."""
    if not isinstance(value, Mapping):
        return value
    split = [(*str(key).partition(".")[::2], number) for key, number in value.items()]
    return [{"category": category, "action": action, "value": number} for category, action, number in split]


def _in_range(thresholds: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    for each in thresholds:
        if not 0 <= each.value <= 1:
            raise ValueError(f"{each.category.value} {each.action.value} is {each.value}, it must be 0 to 1")
    return thresholds


@checked(frozen=True, slots=True, config=_STRICT)
class Golden:
    """A sample picture of the package and the six scores the model must give it: the five, and `forged`."""

    picture: str
    scores: Mapping[Output, Probability]


@checked(frozen=True, slots=True, config=_STRICT)
class WeightsFile:
    """A file of weights beside the graph that names it (ONNX external data); several graphs may share one."""

    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@checked(frozen=True, slots=True, config=_STRICT)
class TrainingData:
    """What the weights learnt from: sha256 over pictures and labels, and how many pictures of how many sources."""

    digest: str
    pictures: int
    sources: int


@checked(frozen=True, slots=True, config=_STRICT)
class FirstLook:
    """When the whole look alone settles a picture, and how it then is read.

    below: the look's part of the logit under which an output is settled; a picture is, when all five are. They lie
    where no crop of 999 in 1,000 genuine pictures could lift a score over the lowest threshold of any profile.
    calibration: of the part alone, for settled pictures.
    """

    below: Mapping[Category, float]
    calibration: Mapping[Category, Platt]


@checked(frozen=True, slots=True, config=_STRICT)
class ListedFile:
    """What every entry has: which model it is, and the file with its graph."""

    name: str
    version: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def ref(self) -> ModelRef:
        """Name, version and sha256, as they enter a record."""
        return ModelRef(self.name, self.version, self.sha256)


@checked(frozen=True, slots=True, config=_STRICT)
class ModelEntry(ListedFile):
    """One model: its file, how pictures are prepared for it, and how its logits are read.

    calibration: of each of the five.  prior: the share of AI-made pictures at which the score of ai_generated is a
    probability; category_prior: of each of the four others.
    thresholds: as shipped, those of the profile `balanced`.
    profiles: thresholds for platforms that would rather act seldom, or often, each with its measured rates.
    stands_out: by how much a place's probability must exceed the ground's for a heatmap to point at it.
    precision: of the arithmetic. int8 needs a processor with 8-bit dot products (VNNI, ARM dotprod) to be fast and
    exact.
    weights: files that the graph needs beside its own.
    reference: histogram of each output's scores on genuine pictures, ten equal bins from 0 to 1, for drift.
    first_look: None = every picture gets both looks.
    runtime: what calculates; its name is part of the version in records unless it is ONNX Runtime on a processor.
    """

    labels: tuple[Category, ...]
    views: ViewSpec
    calibration: Mapping[Category, Platt]
    thresholds: Annotated[tuple[Threshold, ...], BeforeValidator(_from_keys), AfterValidator(_in_range)]
    golden: tuple[Golden, ...]
    training_data: TrainingData
    created: str
    licence: str
    notes: str = ""
    precision: Literal["fp32", "int8"] = "fp32"
    weights: tuple[WeightsFile, ...] = ()
    reference: Mapping[Output, tuple[float, ...]] = Field(default_factory=dict)
    prior: Annotated[float, Field(gt=0, lt=1)] = 0.5
    category_prior: Annotated[float, Field(gt=0, lt=1)] = 0.5
    profiles: Mapping[Profile, ProfilePoints] = Field(default_factory=dict)
    stands_out: Probability = 0.25
    first_look: FirstLook | None = None
    runtime: Runtime = Runtime.ONNXRUNTIME

    @property
    def ref(self) -> ModelRef:
        """Name, version and sha256; the version as "0.5.0+openvino" where another runtime calculates."""
        return ModelRef(self.name, self.runtime.marks(self.version), self.sha256)

    @property
    def exact(self) -> bool:
        """Whether scores are those of 32-bit arithmetic; other runtimes take shorter numbers where these are faster."""
        return self.precision == "fp32" and self.runtime is Runtime.ONNXRUNTIME

    @property
    def stated_prior(self) -> dict[Category, float]:
        """The share of pictures of each category at which its score is a probability."""
        shares = dict.fromkeys(CATEGORIES, self.category_prior)
        return shares | {Category.AI_GENERATED: self.prior}

    def read_at(self, verdict: Verdict, prior: Mapping[Category, float]) -> Verdict:
        """What this model said, as probabilities of traffic with these shares; of those left out, the stated ones.

        The verdict may have been read at other shares before (`Verdict.prior`). `forged` is made of the five anew.
        """
        if verdict.prior == prior:
            return verdict
        stated = self.stated_prior
        before, after = stated | dict(verdict.prior), stated | dict(prior)
        five = {each.value: at_prior(verdict.scores.of(each), before[each], after[each]) for each in CATEGORIES}
        return replace(verdict, scores=Scores(**five, forged=float(any_of(list(five.values())))), prior=prior)

    def thresholds_for(self, profile: Profile, prior: Mapping[Category, float]) -> tuple[Threshold, ...]:
        """The thresholds of a profile, to be held against scores that are read at `prior`.

        They move with the scores, so that the same pictures pass them whatever the prior is. A model without profiles
        has one set of thresholds, which then belongs to none.
        """
        stated, of_profile = self.stated_prior, self.profiles.get(profile)
        shipped = of_profile.thresholds if of_profile else self.thresholds
        return tuple(
            replace(
                each,
                value=at_prior(each.value, stated[each.category], prior.get(each.category, stated[each.category])),
                profile=profile if of_profile else None,
            )
            for each in shipped
        )


@checked(frozen=True, slots=True, config=_STRICT)
class GoldenPair:
    """Two sample pictures of the package and the score the comparison must give them."""

    picture: str
    reference: str
    score: Probability


@checked(frozen=True, slots=True, config=_STRICT)
class QuestionLevels:
    """Up to `same` a question is answered "the same", from `differs` on "differs"; in between nobody can tell."""

    same: Probability
    differs: Probability


@checked(frozen=True, slots=True, config=_STRICT)
class ComparerEntry(ListedFile):
    """One model that compares a picture with references: an encoder and the heads over the figures of a pair.

    review_threshold: the score that at most one in a hundred true matches reaches.
    figures: names of what the heads take, in order.  calibration, levels: by output, "mismatch" and the questions.
    integer: the encoder with 8-bit products, for processors that have them; None if it was not made.
    """

    weights: tuple[WeightsFile, ...]
    review_threshold: Probability
    golden: tuple[GoldenPair, ...]
    training_data: TrainingData
    created: str
    licence: str
    heads: WeightsFile
    figures: tuple[str, ...]
    calibration: Mapping[str, Platt]
    levels: Mapping[str, QuestionLevels]
    integer: WeightsFile | None = None

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """What ships with the comparison: a limit for review, of the mismatch against references."""
        return (Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, self.review_threshold, Basis.REFERENCE),)


@checked(frozen=True, slots=True, config=_STRICT)
class GoldenGoods:
    """A sample picture of the package, how sure the finder must be of its goods, and how much of it they fill."""

    picture: str
    sureness: Probability
    share: Probability


@checked(frozen=True, slots=True, config=_STRICT)
class FinderEntry(ListedFile):
    """The network that finds the goods. view_size: side in pixels of the square view it takes.

    least_sureness: below it the goods were not found.
    """

    view_size: int
    least_sureness: Probability
    golden: tuple[GoldenGoods, ...]
    created: str
    licence: str


@checked(frozen=True, slots=True, config=_STRICT)
class LocatorEntry(ListedFile):
    """The network that says where a picture was forged; it serves the heatmaps of every model of the folder."""

    training_data: TrainingData
    created: str
    licence: str


def problems_in(entry: ModelEntry) -> list[str]:
    """What is wrong with an entry though each of its fields is sound, one sentence each."""
    problems = []
    if entry.labels != CATEGORIES:
        problems.append(f"{entry.ref}: labels must be {', '.join(CATEGORIES)}, in this order")
    missing = [category for category in CATEGORIES if category not in entry.calibration]
    if entry.profiles and (unknown := [profile for profile in Profile if profile not in entry.profiles]):
        problems.append(f"{entry.ref}: ships profiles, but not {', '.join(unknown)}; it needs all of them, or none")
    if missing:
        problems.append(f"{entry.ref}: no calibration for {', '.join(missing)}")
    for golden in entry.golden:
        if set(golden.scores) != set(OUTPUTS):
            problems.append(f"{entry.ref}: golden scores of {golden.picture} must be {', '.join(OUTPUTS)}")
    return problems
