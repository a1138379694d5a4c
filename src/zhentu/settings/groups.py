"""Every setting in its group, with its type, default and purpose.

A setting has a path, such as `gate.port`. Its environment variable is ZHENTU_ and the path in capitals, with "_" for
".": ZHENTU_GATE_PORT. In a YAML file groups are mappings. The docstring under a setting is its documentation:
`scripts/docs_reference.py` makes a page of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError

from zhentu.errors import ConfigError
from zhentu.types import Action, AiState, LabelLanguage, OnError, Runtime, SigningAlgorithm
from zhentu.validation import problems_of

PREFIX = "ZHENTU_"

_CODE = r"^[\x21\x23-\x5b\x5d-\x7e]*$"  # characters of AIGC label fields, GB 45438-2025 Annex E


def _listed(value: object) -> object:
    """In the environment a list is written "80,443"."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _digits(value: object) -> object:
    """States of the AIGC label may be written "13", "1,3" or as a list."""
    return [digit for digit in str(value) if digit not in ", "] if isinstance(value, str | int) else value


Listed = BeforeValidator(_listed)


class LogLevel(StrEnum):
    """The least severe messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Group(BaseModel):
    """A group of settings; the docstring under each is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(Group):
    """Where records and what belongs to them are kept."""

    url: str | None = None
    """SQLAlchemy URL of the record store; none = SQLite in `data_dir`."""
    auto_migrate: bool | None = None
    """Whether starting brings the store to this version's schema; none = for SQLite only."""
    spool_dir: Path | None = None
    """Where decisions wait while the store is down; none = `spool` in `data_dir`."""
    patience_s: Annotated[float, Field(ge=0, le=3600)] = 120.0
    """Seconds for which a scan or `apply` waits for a store that is away, e.g. a PostgreSQL that is restarted or fails
    over; then it stops, to be gone on with. A gate does not wait, it spools."""
    pictures: str | None = None
    """fsspec URL where screened pictures are kept, for heatmaps and review; none = they are not kept."""
    retention_days: Annotated[int, Field(ge=1)] | None = None
    """Age in days beyond which `zhentu records prune` deletes records; none = the command must be given it."""


class ModelSettings(Group):
    """Which models screen."""

    dir: Path | None = None
    """Folder with a `manifest.json`; none = the models shipped with the package."""
    active: str | None = None
    """The model in force, `name` or `name@version`; none = the manifest's own choice."""
    runtime: Runtime = Runtime.ONNXRUNTIME
    """What calculates: `onnxruntime`, `openvino` (`zhentu[fast]`), `cuda`, `tensorrt`; see `zhentu model bench`."""
    max_batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    """With `cuda` and `tensorrt`: views of several pictures that share a call; `workers` pictures wait at most, so set
    `workers` as high. A processor calculates each view by itself."""
    batch_timeout_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """With `cuda` and `tensorrt`: how long the first view of a batch waits for others."""
    shadow: str | None = None
    """`name@version` of a shadow model: the gate records where it disagrees but never acts on it."""


class DecodeSettings(Group):
    """Limits on what is decoded; pictures beyond them are refused with a named error."""

    max_bytes: Annotated[int, Field(ge=1024)] = 30 * 1024 * 1024
    """Size of a file in bytes."""
    max_pixels: Annotated[int, Field(ge=1024)] = 50_000_000
    """Width times height."""
    max_side: Annotated[int, Field(ge=64)] = 20_000
    """Longer side in pixels."""
    min_side: Annotated[int, Field(ge=1)] = 32
    """Shorter side in pixels."""
    max_scans: Annotated[int, Field(ge=1)] = 100
    """Scans of a progressive JPEG."""
    max_frames: Annotated[int, Field(ge=1)] = 2_000
    """Frames of an animation, or pages of a file."""
    frames: Annotated[int, Field(ge=2, le=64)] = 8
    """How many frames of an animation, or pages of a file, are screened."""


class GateSettings(Group):
    """The upload gate."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 = any free one."""
    on_error: OnError | None = None
    """What callers get while the gate itself is in trouble; has no default, `zhentu serve` asks for it."""
    open: bool = False
    """Answer without API keys; on a loopback address only."""
    single_tenant: bool = True
    """Refuse keys of any tenant but `default`; false = keys may belong to tenants, who do not see each other's rows."""
    allowed_hosts: Annotated[frozenset[str], Listed] = frozenset()
    """Host names the gate answers to, besides this machine's own in open mode; empty = any, except in open mode."""
    deadline_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds a request may take."""
    queue_size: Annotated[int, Field(ge=1)] = 64
    """Pictures that may wait before the gate refuses more."""
    batch_size: Annotated[int, Field(ge=1, le=64)] = 64
    """Pictures in one batch or job."""
    rate_per_s: Annotated[float, Field(ge=0)] = 100.0
    """Requests a second for each key without a limit of its own; 0 = unlimited."""
    connections: Annotated[int, Field(ge=8)] = 512
    """Open connections; beyond them the one idle for longest is closed."""
    head_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds in which the head of a request must arrive."""
    body_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds in which the body of a request must arrive."""
    held_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024
    """Memory for bodies and fetched pictures of all requests together; one key may hold half of it."""
    decode_bytes: Annotated[int, Field(ge=1024 * 1024)] = 768 * 1024 * 1024
    """Memory for pictures that are being decoded at the same time."""
    reload_s: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two checks of the policy file and the choice of model."""


class FetchSettings(Group):
    """Outbound requests: pictures named by URL, and webhooks."""

    ports: Annotated[frozenset[Annotated[int, Field(ge=1, le=65535)]], Listed] = frozenset({80, 443})
    """Ports that may be called."""
    allow: Annotated[tuple[IPvAnyNetwork, ...], Listed] = ()
    """Networks (CIDR) exempt from the guard against private addresses."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds for a whole fetch, redirects included."""


class WebhookSettings(Group):
    """Messages about decisions."""

    url: str | None = None
    """Where decisions are sent; none = nowhere."""
    secret: SecretStr | None = None
    """Signs the messages: `whsec_` and the base64 of 24 to 64 bytes."""
    actions: Annotated[frozenset[Action], Listed] = frozenset({Action.REVIEW, Action.BLOCK})
    """Which actions are reported."""


class ReviewSettings(Group):
    """The review queue and its page."""

    pictures: Annotated[tuple[Path, ...], Listed] = ()
    """Folders that contain the paths of records; no file outside of them is opened."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of passed pictures that are reviewed anyway."""
    second_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of decisions that a second person reviews."""
    proxy_header: str | None = None
    """Header in which a reverse proxy names the signed-in person."""
    proxy_networks: Annotated[tuple[IPvAnyNetwork, ...], Listed] = ()
    """Networks (CIDR) of the proxy; from elsewhere the header is ignored."""
    proxy_secret: SecretStr | None = None
    """What the proxy must also send, in X-Zhentu-Proxy-Secret; none = its address is enough."""


class AppealSettings(Group):
    """Appeals of sellers."""

    days: Annotated[float, Field(gt=0)] = 3.0
    """Days within which a reviewer should decide an appeal."""
    url: str = ""
    """Where sellers appeal; `{record_id}` is filled in."""


class LabelSettings(Group):
    """Labels that are written on pictures (GB 45438-2025)."""

    propagator: Annotated[str, Field(pattern=_CODE, max_length=128)] = ""
    """ContentPropagator: the platform's code. No label can be written without it."""
    producer: Annotated[str, Field(pattern=_CODE, max_length=128)] = ""
    """ContentProducer, written if a file names none."""
    producer_states: Annotated[frozenset[AiState], BeforeValidator(_digits)] = frozenset({AiState.IS})
    """States of the label for which `producer` is written: 1 is, 2 possibly, 3 suspected; several as `13`."""
    replace_propagator: bool = False
    """Overwrite another platform's code."""
    visible: bool = True
    """Paint the visible label."""
    language: LabelLanguage = LabelLanguage.ZH
    """Words of the visible label."""
    height: Annotated[float, Field(ge=0.05, le=0.25)] = 0.055
    """Height of its capital letters, as a share of the picture's shortest side."""
    right_to_left: bool = False
    """Prefer the left corner."""


class C2paSettings(Group):
    """Content Credentials (C2PA): whom to trust, and how to sign."""

    trust_anchors: Path | None = None
    """PEM file of trusted authorities, or a folder of `.pem` files; none = every valid signer is trusted."""
    allowed_list: Path | None = None
    """Individually trusted signers: PEM, or base64 of the certificate's sha256, one per line."""
    certificates: Path | None = None
    """PEM file of the signing certificate and its chain; with `key`, pictures are re-signed when labelled."""
    key: Path | None = None
    """PEM file of the signing key (PKCS#8)."""
    algorithm: SigningAlgorithm = SigningAlgorithm.ES256
    """Signature algorithm of the key."""


class Settings(Group):
    """Settings that every part of zhentu shares."""

    data_dir: Path = Field(default_factory=lambda: data_dir(os.environ))
    """Folder of the default store, jobs and spool; by default `zhentu` in $XDG_DATA_HOME or in ~/.local/share."""
    policy_path: Path | None = None
    """The policy; none = the one shipped with the package."""
    jobs_dir: Path | None = None
    """Where scans keep their progress; none = `jobs` in `data_dir`."""
    generator_table: Path | None = None
    """YAML file with more rows of what generators write into files, in addition to the shipped ones."""
    notices_dir: Path | None = None
    """Folder of texts that replace shipped ones: `notices.zh.yaml`, `notices.en.yaml`, `notice.html.j2`."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pictures processed at the same time; 0 = one per core."""
    log_level: LogLevel = LogLevel.INFO
    """The least severe messages that are logged."""
    store: StoreSettings = StoreSettings()
    models: ModelSettings = ModelSettings()
    decode: DecodeSettings = DecodeSettings()
    gate: GateSettings = GateSettings()
    fetch: FetchSettings = FetchSettings()
    webhook: WebhookSettings = WebhookSettings()
    review: ReviewSettings = ReviewSettings()
    appeal: AppealSettings = AppealSettings()
    label: LabelSettings = LabelSettings()
    c2pa: C2paSettings = C2paSettings()

    @property
    def store_url(self) -> str:
        """URL of the store in force."""
        return self.store.url or f"sqlite:///{self.data_dir / 'records.db'}"

    @property
    def spool_dir(self) -> Path:
        """Where decisions wait while the store is down."""
        return self.store.spool_dir or self.data_dir / "spool"

    @property
    def jobs_folder(self) -> Path:
        """Where scans keep their progress."""
        return self.jobs_dir or self.data_dir / "jobs"

    @property
    def worker_count(self) -> int:
        """Workers in force: the setting, or one for each core this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    def changed(self, values: Mapping[str, object]) -> Settings:
        """A copy with other values, by path: `{"gate.port": 0}`. Raises ConfigError with every problem."""
        return validated(nested(values, self.model_dump()), "settings", [])


def setting_paths(group: type[BaseModel] = Settings, above: str = "") -> Iterator[str]:
    """The path of every setting, such as `gate.port`."""
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Group):
            yield from setting_paths(kind, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def variable(path: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + path.replace(".", "_").upper()


def data_dir(environment: Mapping[str, str]) -> Path:
    """The folder of this user's data, as the XDG base directory specification says."""
    given = environment.get("XDG_DATA_HOME")
    home = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    return (Path(given) if given else home / ".local" / "share") / "zhentu"


def nested(values: Mapping[str, object], onto: dict[str, object]) -> dict[str, object]:
    """Merge values by path into the groups of `onto`, which is modified."""
    for path, value in values.items():
        group, _, name = path.rpartition(".")
        inner = onto.setdefault(group, {}) if group else onto
        if isinstance(inner, dict):
            inner[name] = value
    return onto


def validated(values: Mapping[str, object], where: str, problems: list[str]) -> Settings:
    """Settings from values in groups. Raises ConfigError with `problems`, found before, and every new one."""
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += problems_of(error, with_input=True)
    if problems:
        raise ConfigError(where, problems)
    return settings
