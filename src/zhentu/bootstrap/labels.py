"""Label specifications, trust anchors and notices as the settings say."""

from __future__ import annotations

from pathlib import Path

from zhentu.errors import ConfigError
from zhentu.intake.credentials import TrustLists
from zhentu.intake.generators import GeneratorTable, load_table
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
    read = {name: _read(path, name, problems) for name, path in named.items() if path is not None}
    if problems:
        raise ConfigError("settings", problems)
    return SigningKey(read["c2pa.certificates"], read["c2pa.key"], settings.c2pa.algorithm)


def read_trust_lists(settings: Settings) -> TrustLists:
    """The C2PA trust lists, empty if none are configured. Raises ConfigError with every problem."""
    problems: list[str] = []
    anchors = _anchors(settings.c2pa.trust_anchors, problems) if settings.c2pa.trust_anchors else ""
    allowed = ""
    if settings.c2pa.allowed_list is not None:
        allowed = _read(settings.c2pa.allowed_list, "c2pa.allowed_list", problems).decode("utf-8", "replace")
        if not problems and not allowed.strip():
            problems.append(f"c2pa.allowed_list: {settings.c2pa.allowed_list} is empty")
    if problems:
        raise ConfigError("settings", problems)
    return TrustLists(anchors, allowed)


def _anchors(path: Path, problems: list[str]) -> str:
    """PEM text of a file, or of all `.pem` files of a folder."""
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    if not files:
        problems.append(f"c2pa.trust_anchors: the folder {path} holds no .pem file")
    read = [_read(each, "c2pa.trust_anchors", problems).decode("utf-8", "replace") for each in files]
    if not problems:
        empty = [str(each) for each, text in zip(files, read, strict=True) if "BEGIN CERTIFICATE" not in text]
        problems += [f"c2pa.trust_anchors: {each} contains no PEM certificate" for each in empty]
    return "\n".join(read)


def read_generators(settings: Settings) -> GeneratorTable:
    """What generators write: the shipped table with an operator's rows. Raises ConfigError with every problem."""
    return load_table(settings.generator_table)


def build_notices(settings: Settings) -> Notices:
    """The notices, with the operator's own texts over the shipped ones. Raises ConfigError with every problem."""
    return Notices.load(settings.notices_dir, settings.appeal.url)


def _read(path: Path, name: str, problems: list[str]) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problems.append(f"{name}: {path} cannot be read: {error.strerror or error}")
        return b""
