"""Check whether a picture carries conforming labels, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

from zhentu.intake.aigc import AigcLabel, contradictions, find_labels
from zhentu.intake.credentials import ANY_SIGNER, Credential, TrustLists, read_credential
from zhentu.intake.decode import DecodeLimits
from zhentu.intake.generators import GeneratorTable
from zhentu.intake.metadata import read_metadata
from zhentu.intake.ports import IN_PROCESS, DecoderPort
from zhentu.mark import badge as badges
from zhentu.mark.spec import Badge
from zhentu.mark.visible import grey_of, noted_badges


@dataclass(frozen=True, slots=True)
class Verified:
    """What labels a picture carries.

    implicit: the AIGC labels of any form, including unparsable ones.  implicit_problems: why there is no
    conforming one; empty = conforms.
    explicit: the badge that metadata describes and the pixels show.  explicit_problems: likewise. zhentu recognises
    its own badges; it does not read other people's words in pictures.  credential: the C2PA manifest, None = none.
    """

    sha256: str
    format: str
    implicit: tuple[AigcLabel, ...]
    implicit_problems: tuple[str, ...]
    explicit: Badge | None
    explicit_problems: tuple[str, ...]
    credential: Credential | None

    @property
    def conforms(self) -> bool:
        """Both labels are there, once, as the standard requires."""
        return not self.implicit_problems and not self.explicit_problems


def verify_labels(
    payload: bytes,
    limits: DecodeLimits | None = None,
    lists: TrustLists = ANY_SIGNER,
    table: GeneratorTable | None = None,
    decoder: DecoderPort = IN_PROCESS,
) -> Verified:
    """Check one picture. Raises PictureError if it cannot be decoded."""
    picture = decoder.decode(payload, limits)
    metadata = read_metadata(payload, picture.format)
    labels = tuple(find_labels(metadata, table))
    problems = [problem for label in labels for problem in label.problems()]
    if not labels:
        problems.append("there is no AIGC label")
    elif len(labels) > 1:
        places = ", ".join(label.location for label in labels)
        problems.append(f"there are {len(labels)} labels ({places}), the standard allows one")
    problems += contradictions(labels)
    noted = noted_badges(metadata)
    grey = grey_of(picture.rgb)
    badge = next((each for each in noted if badges.is_there(grey, each)), None)
    return Verified(
        sha256=picture.sha256,
        format=picture.format,
        implicit=labels,
        implicit_problems=tuple(dict.fromkeys(problems)),
        explicit=badge,
        explicit_problems=tuple(_explicit_problems(badge, bool(noted), labels)),
        credential=read_credential(payload, picture.format, lists) if metadata.has_c2pa else None,
    )


def _explicit_problems(badge: Badge | None, noted: bool, labels: tuple[AigcLabel, ...]) -> list[str]:
    if badge is None:
        told = "metadata describes a visible label, but the pixels do not show it there"
        return [told] if noted else ["no visible label by zhentu is noted; one by others cannot be recognised"]
    problems = []
    if badge.ratio < badges.SMALLEST_SHARE:
        problems.append(f"its letters have {badge.ratio:.1%} of the shortest side, the standard requires 5 %")
    words = "".join(badge.lines)
    if "AI" not in words or not any(verb in words for verb in ("生成", "合成")):
        problems.append("the words lack 生成 or 合成, which GB 45438-2025 asks for in China")
    if any(label.state is not badge.state for label in labels):
        problems.append("the visible and the implicit label say different things")
    return problems
