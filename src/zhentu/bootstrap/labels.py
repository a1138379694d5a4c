"""Label specifications, trust anchors and notices as the settings say."""

from __future__ import annotations

from pathlib import Path

from zhentu.errors import ConfigError
from zhentu.mark.notices import Notices
from zhentu.mark.spec import LabelSpec, Language, SigningKey
from zhentu.settings import Settings
from zhentu.types import AiState


def label_spec(settings: Settings, content_id: str = "", implicit: bool = True) -> LabelSpec:
    """How this platform labels. content_id: PropagateID; empty = made from it.  implicit: write the AIGC label.

    Raises UsageError when label_propagator is not set, ConfigError when the signing key cannot be read.
    """
    return LabelSpec(
        propagator=settings.label_propagator,
        content_id=content_id,
        producer=settings.label_producer,
        producer_states=frozenset(AiState(int(each)) for each in settings.label_producer_states),
        replace_propagator=settings.label_replace_propagator,
        implicit=implicit,
        visible=settings.label_visible,
        language=Language(settings.label_language),
        height=settings.label_height,
        right_to_left=settings.label_right_to_left,
        signing=signing_key(settings),
    )


def signing_key(settings: Settings) -> SigningKey | None:
    """The C2PA credential; None when none is configured. Raises ConfigError with every problem."""
    named = {"c2pa_certificates": settings.c2pa_certificates, "c2pa_key": settings.c2pa_key}
    missing = [f"{name}: is missing; certificates and key go together" for name, path in named.items() if path is None]
    if len(missing) == len(named):
        return None
    problems = missing
    read = {name: _read(path, name, problems) for name, path in named.items() if path is not None}
    if problems:
        raise ConfigError("settings", problems)
    return SigningKey(read["c2pa_certificates"], read["c2pa_key"], settings.c2pa_algorithm)


def read_anchors(settings: Settings) -> str:
    """PEM text of the C2PA trust anchors, empty when none are configured. Raises ConfigError."""
    if settings.c2pa_trust_anchors is None:
        return ""
    problems: list[str] = []
    text = _read(settings.c2pa_trust_anchors, "c2pa_trust_anchors", problems).decode("utf-8", "replace")
    if not problems and "BEGIN CERTIFICATE" not in text:
        problems.append(f"c2pa_trust_anchors: {settings.c2pa_trust_anchors} holds no PEM certificate")
    if problems:
        raise ConfigError("settings", problems)
    return text


def build_notices(settings: Settings) -> Notices:
    """The notices, with the operator's own texts over the shipped ones. Raises ConfigError with every problem."""
    return Notices.load(settings.notices_dir, settings.appeal_url)


def _read(path: Path, name: str, problems: list[str]) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problems.append(f"{name}: {path} cannot be read: {error.strerror or error}")
        return b""
