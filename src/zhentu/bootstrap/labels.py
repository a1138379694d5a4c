"""Label specifications and notices as the settings say."""

from __future__ import annotations

from zhentu.bootstrap.trust import read_generators, read_named
from zhentu.errors import ConfigError
from zhentu.mark.notices import Notices
from zhentu.mark.spec import LabelSpec, SigningKey
from zhentu.settings import Settings


def label_spec(settings: Settings, content_id: str = "", implicit: bool = True) -> LabelSpec:
    """How this platform labels. content_id: PropagateID; empty = made from it.  implicit: write the AIGC label.

    Raises UsageError if label.propagator is not set, ConfigError if the signing key cannot be read.
    """
    return LabelSpec(
        propagator=settings.label.propagator,
        content_id=content_id,
        producer=settings.label.producer,
        producer_states=settings.label.producer_states,
        replace_propagator=settings.label.replace_propagator,
        implicit=implicit,
        visible=settings.label.visible,
        language=settings.label.language,
        height=settings.label.height,
        right_to_left=settings.label.right_to_left,
        signing=signing_key(settings),
        generators=read_generators(settings),
    )


def signing_key(settings: Settings) -> SigningKey | None:
    """The C2PA credential; None when none is configured. Raises ConfigError with every problem."""
    named = {"c2pa.certificates": settings.c2pa.certificates, "c2pa.key": settings.c2pa.key}
    missing = [f"{name}: is missing; certificates and key go together" for name, path in named.items() if path is None]
    if len(missing) == len(named):
        return None
    problems = missing
    read = {name: read_named(path, name, problems) for name, path in named.items() if path is not None}
    if problems:
        raise ConfigError("settings", problems)
    return SigningKey(read["c2pa.certificates"], read["c2pa.key"], settings.c2pa.algorithm)


def build_notices(settings: Settings) -> Notices:
    """The notices, with the operator's own texts over the shipped ones. Raises ConfigError with every problem."""
    return Notices.load(settings.notices_dir, settings.appeal.url)
