"""Settings of a process: environment (ZHENTU_*) over a YAML file over defaults; all errors at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BeforeValidator, Field, IPvAnyNetwork, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from zhentu.errors import ConfigError
from zhentu.types import Action, OnError
from zhentu.validation import problems_of

PREFIX = "ZHENTU_"
_CODE = r"^[\x21\x23-\x5b\x5d-\x7e]*$"  # characters of AIGC label fields, GB 45438-2025 Annex E
_NOT_SETTINGS = {"ZHENTU_CONFIG", "ZHENTU_DEBUG", "ZHENTU_SCAN_DATABASE", "ZHENTU_TAEF2", "ZHENTU_TINY", "ZHENTU_CLIP"}


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "zhentu"


def _default_store() -> str:
    return f"sqlite:///{_data_folder() / 'records.db'}"


def _listed(value: object) -> object:
    """Lists may be written "80,443" in the environment."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """Every setting with its default; the environment name is ZHENTU_ plus the name in capitals.

    store_url: SQLAlchemy URL of the record store.  policy_path, models_dir: None = shipped with the package.
    model: "name" or "name@version"; None = the manifest's active one.  workers: 0 = one per core.
    max_bytes, max_pixels, max_side, min_side, max_scans, max_frames: decode limits.  frames: how many of an animation,
    or pages of a file, are looked at.  host, port: where the gate listens.
    jobs_dir: folder of backlog jobs; None = beside the default store.
    queue_size: pictures waiting before the gate refuses.  deadline_s: seconds a request may take.
    auto_migrate: bring the store to this version's schema at start; None = for SQLite only.
    on_error: what a caller gets when the gate itself is in trouble; has no default, `zhentu serve` asks for it.
    open: answer without API keys; only on a loopback address.  single_tenant: refuse keys of any tenant but `default`;
    false = keys may belong to tenants, who do not see each other's rows.
    rate_per_s: requests a second per key, 0 = no limit.
    allowed_hosts: names in Host headers that this gate answers for, besides this machine's own in open mode; empty =
    any, with keys.  connections: at once; beyond it the longest idle one is closed.  head_timeout_s: seconds for a
    request's head to arrive.  held_bytes: of bodies and fetched pictures that requests hold at once, half of it for one
    key.  decode_bytes: memory for pictures that are being decoded at once.
    body_timeout_s: seconds for a request's body to arrive.  batch_size: most pictures of one batch or job.
    reload_s: how often policy file and model choice are looked at.  shadow_model: "name@version" that runs beside.
    spool_dir: where decisions wait while the store is down.  picture_store: fsspec URL where screened pictures are
    kept for heatmaps; None = pictures are never kept.  retention_days: what `zhentu records prune` keeps.
    fetch_ports, fetch_allow: ports of outbound calls, and networks (CIDR) excepted from the guard against private
    addresses.  fetch_timeout_s: seconds for a whole fetch.
    review_pictures: folders where the paths of records lie, for the review page.  review_sample_ratio,
    review_second_ratio: shares of pictures that passed, and of decisions, that somebody (else) looks at all the same.
    review_proxy_header: header in which a reverse proxy names who is signed in; review_proxy_networks: where that proxy
    is, nobody else's header counts; review_proxy_secret: what it must send in X-Zhentu-Proxy-Secret besides.
    appeal_days: how long a reviewer may take for an appeal.
    webhook_url, webhook_secret, webhook_actions: where decisions are sent, signed how, and which ones.
    label_propagator: the platform's code in AIGC labels; label_producer: the producer's, written for the states in
    label_producer_states; label_replace_propagator: write over another platform's code.  label_visible, _language
    (zh, en, both), _height (capital letters, share of the shortest side), _right_to_left: the visible label.
    c2pa_trust_anchors: PEM file of authorities that are believed, or a folder of them; c2pa_allowed_list: single
    signers.  generator_table: more rows of what generators write.  c2pa_certificates, _key, _algorithm: sign with these
    where a label would break a C2PA manifest.  notices_dir: texts that replace the shipped ones.  appeal_url: where
    sellers appeal; "{record_id}" is filled in.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    store_url: str = Field(default_factory=_default_store)
    policy_path: Path | None = None
    jobs_dir: Path | None = None
    models_dir: Path | None = None
    model: str | None = None
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    max_bytes: Annotated[int, Field(ge=1024)] = 30 * 1024 * 1024
    max_pixels: Annotated[int, Field(ge=1024)] = 50_000_000
    max_side: Annotated[int, Field(ge=64)] = 20_000
    min_side: Annotated[int, Field(ge=1)] = 32
    max_scans: Annotated[int, Field(ge=1)] = 100
    max_frames: Annotated[int, Field(ge=1)] = 2_000
    frames: Annotated[int, Field(ge=2, le=64)] = 8
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    queue_size: Annotated[int, Field(ge=1)] = 64
    deadline_s: Annotated[float, Field(gt=0)] = 10.0
    auto_migrate: bool | None = None
    on_error: OnError | None = None
    open: bool = False
    single_tenant: bool = True
    rate_per_s: Annotated[float, Field(ge=0)] = 100.0
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = ()
    connections: Annotated[int, Field(ge=8)] = 512
    head_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    held_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024
    decode_bytes: Annotated[int, Field(ge=1024 * 1024)] = 768 * 1024 * 1024
    body_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    batch_size: Annotated[int, Field(ge=1, le=64)] = 64
    reload_s: Annotated[float, Field(gt=0)] = 2.0
    shadow_model: str | None = None
    spool_dir: Path = Field(default_factory=lambda: _data_folder() / "spool")
    picture_store: str | None = None
    retention_days: Annotated[int, Field(ge=1)] | None = None
    fetch_ports: Annotated[tuple[int, ...], NoDecode, BeforeValidator(_listed)] = (80, 443)
    fetch_allow: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_listed)] = ()
    fetch_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    webhook_actions: Annotated[tuple[Action, ...], NoDecode, BeforeValidator(_listed)] = (Action.REVIEW, Action.BLOCK)
    review_pictures: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)] = ()
    review_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    review_second_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    review_proxy_header: str | None = None
    review_proxy_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_listed)] = ()
    review_proxy_secret: SecretStr | None = None
    appeal_days: Annotated[float, Field(gt=0)] = 3.0
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    label_propagator: Annotated[str, Field(pattern=_CODE, max_length=128)] = ""
    label_producer: Annotated[str, Field(pattern=_CODE, max_length=128)] = ""
    label_producer_states: Annotated[str, Field(pattern="^[123]*$")] = "1"
    label_replace_propagator: bool = False
    label_visible: bool = True
    label_language: Annotated[str, Field(pattern="^(zh|en|both)$")] = "zh"
    label_height: Annotated[float, Field(ge=0.05, le=0.25)] = 0.055
    label_right_to_left: bool = False
    c2pa_trust_anchors: Path | None = None
    c2pa_allowed_list: Path | None = None
    generator_table: Path | None = None
    c2pa_certificates: Path | None = None
    c2pa_key: Path | None = None
    c2pa_algorithm: Annotated[str, Field(pattern="^(es256|es384|es512|ps256|ps384|ps512|ed25519)$")] = "es256"
    notices_dir: Path | None = None
    appeal_url: str = ""

    @property
    def jobs_folder(self) -> Path:
        """Where backlog jobs keep their progress."""
        return self.jobs_dir or _data_folder() / "jobs"

    @property
    def worker_count(self) -> int:
        """Workers in force: the setting, or one per core this process may use."""
        return self.workers or len(os.sched_getaffinity(0))


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment over `path` (or $ZHENTU_CONFIG). Raises ConfigError with every problem."""
    environment = os.environ if environment is None else environment
    named = environment.get("ZHENTU_CONFIG")
    path = path or (Path(named) if named else None)
    problems: list[str] = []
    from_file = _file_values(path, problems) if path else {}
    known = list(Settings.model_fields)
    for key in from_file:
        if key not in known:
            problems.append(f"Unknown key '{key}' in {path}.{_hint(str(key), known)}")
    from_environment = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in known:
            from_environment[key] = value
        else:
            names = [PREFIX + each.upper() for each in known]
            problems.append(f"Unknown environment variable '{name}'.{_hint(name, names)}")
    values = {key: value for key, value in from_file.items() if key in known} | from_environment
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        problems += problems_of(error, with_input=True)
    if problems:
        raise ConfigError(str(path) if path else "settings", problems)
    return settings


def _file_values(path: Path, problems: list[str]) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path}: must be a mapping from setting to value")
        return {}
    return content


def _hint(value: str, known: list[str]) -> str:
    close = get_close_matches(value, known, 1)
    return f" Did you mean '{close[0]}'?" if close else ""
