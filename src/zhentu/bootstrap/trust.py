"""What provenance is judged by: C2PA trust lists and the table of generators, as the settings say."""

from __future__ import annotations

from pathlib import Path

from zhentu.errors import ConfigError
from zhentu.intake.credentials import TrustLists
from zhentu.intake.generators import GeneratorTable, load_table
from zhentu.settings import Settings


def read_trust_lists(settings: Settings) -> TrustLists:
    """The C2PA trust lists, empty if none are configured. Raises ConfigError with every problem."""
    problems: list[str] = []
    anchors = _anchors(settings.c2pa.trust_anchors, problems) if settings.c2pa.trust_anchors else ""
    allowed = ""
    if settings.c2pa.allowed_list is not None:
        allowed = read_named(settings.c2pa.allowed_list, "c2pa.allowed_list", problems).decode("utf-8", "replace")
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
    read = [read_named(each, "c2pa.trust_anchors", problems).decode("utf-8", "replace") for each in files]
    if not problems:
        empty = [str(each) for each, text in zip(files, read, strict=True) if "BEGIN CERTIFICATE" not in text]
        problems += [f"c2pa.trust_anchors: {each} contains no PEM certificate" for each in empty]
    return "\n".join(read)


def read_generators(settings: Settings) -> GeneratorTable:
    """What generators write: the shipped table with an operator's rows. Raises ConfigError with every problem."""
    return load_table(settings.generator_table)


def read_named(path: Path, name: str, problems: list[str]) -> bytes:
    """A file that a setting names; what is wrong with it is added to `problems`."""
    try:
        return path.read_bytes()
    except OSError as error:
        problems.append(f"{name}: {path} cannot be read: {error.strerror or error}")
        return b""
