"""Builds detectors, policies and stores, as `desk` does the review desk; nothing is built at import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
from packaging.version import InvalidVersion, Version

from zhentu.banks.bank import Banks
from zhentu.banks.store import BankStore
from zhentu.decide.policy import Policy, unresolved
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.detect.compare import Comparer
from zhentu.detect.detector import Detector
from zhentu.detect.models import Manifest, ModelEntry, models_folder, samples_folder
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import ConfigError, UsageError
from zhentu.intake.decode import DecodeLimits
from zhentu.labelling import read_anchors
from zhentu.record.database import Database
from zhentu.record.store import RecordStore
from zhentu.screen import BankPort, ComparerPort, DetectorPort, KnownPort, VersionedBank, screen
from zhentu.settings import Settings
from zhentu.types import Listing, Record


@dataclass(frozen=True, slots=True)
class Screener:
    """A ready line; `screen` may be called from several threads at once. It stores nothing: the caller does."""

    detector: DetectorPort
    policy: Policy
    limits: DecodeLimits
    bank: BankPort | None = None
    comparer: ComparerPort | None = None
    c2pa_anchors: str = ""

    @property
    def bank_version(self) -> str:
        """Changes with the banks' entries where they say so; the same request is then answered anew."""
        return self.bank.version if isinstance(self.bank, VersionedBank) else ""

    def screen(
        self,
        payload: bytes,
        path: str = "",
        listing: Listing | None = None,
        with_heatmaps: bool = False,
        references: Sequence[bytes] = (),
        known: KnownPort | None = None,
    ) -> Record:
        """Screen one picture's bytes. Raises PictureError when they hold none."""
        return screen(
            payload,
            detector=self.detector,
            policy=self.policy,
            limits=self.limits,
            path=path,
            listing=listing,
            with_heatmaps=with_heatmaps,
            references=references,
            bank=self.bank,
            comparer=self.comparer,
            known=known,
            c2pa_anchors=self.c2pa_anchors,
        )


def build_screener(settings: Settings, threads: int = 1, golden: bool = False) -> Screener:
    """Model, policy and limits as the settings say. Raises ModelError, ConfigError.

    golden: also check that the model gives its golden scores on this machine (one to four seconds of a core).
    """
    cv2.setNumThreads(1)  # the callers' workers already keep every core busy
    entry, folder = find_model(settings)
    policy_path = settings.policy_path or default_policy_path()
    policy = load_policy(policy_path)
    problems = unresolved(policy, entry.thresholds)
    if problems:
        raise ConfigError(str(policy_path), problems)
    detector = Detector(entry, folder, threads)
    if golden:
        detector.verify_golden(samples_folder())
    return Screener(
        detector,
        policy,
        limits_of(settings),
        comparer=build_comparer(settings, threads),
        c2pa_anchors=read_anchors(settings),
    )


def find_model(settings: Settings) -> tuple[ModelEntry, Path]:
    """The model in force and the folder its file lies in. Raises ModelError.

    Where no model is named and the active one calculates with 8-bit integers, a processor without 8-bit dot products
    gets the same model in floating point: there it is the faster one, and exact.
    """
    folder = settings.models_dir or models_folder()
    manifest = Manifest.load(folder)
    entry = manifest.entry(settings.model or manifest.active)
    if not settings.model and entry.precision == "int8" and not has_8bit_products():
        entry = manifest.in_floating_point(entry) or entry
    return entry, folder


def build_comparer(settings: Settings, threads: int = 1) -> Comparer | None:
    """The comparison with references in force, None where the models hold none. It loads when first asked."""
    folder = settings.models_dir or models_folder()
    entry = Manifest.load(folder).comparer
    return None if entry is None else Comparer(entry, folder, threads)


def accepted_models(settings: Settings, rescan_below: str = "") -> dict[str, Mapping[str, float]]:
    """Thresholds by sha256 of the models whose scores count as known.

    They are the one in force, and with `rescan_below` those of the same name in the manifest from that version on.
    Raises UsageError when it is no version.
    """
    entry, folder = find_model(settings)
    accepted = {entry.sha256: entry.thresholds}
    if rescan_below:
        try:
            least = Version(rescan_below)
            for each in Manifest.load(folder).models:
                if each.name == entry.name and Version(each.version) >= least:
                    accepted[each.sha256] = each.thresholds
        except InvalidVersion as error:
            raise UsageError(f"--rescan-below: {error}; give a version such as 0.2.0") from error
    return accepted


def build_store(settings: Settings) -> RecordStore:
    """The record store. Raises StoreError."""
    return RecordStore(Database(settings.store_url, settings.auto_migrate))


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The store's database, closed afterwards. Raises StoreError."""
    database = Database(settings.store_url, settings.auto_migrate)
    try:
        yield database
    finally:
        database.close()


def build_banks(at: Settings | RecordStore) -> Banks:
    """The banks, loaded; on the store's own connections where there is one. Raises StoreError."""
    return Banks(BankStore(at.database if isinstance(at, RecordStore) else build_store(at).database))


def limits_of(settings: Settings) -> DecodeLimits:
    """The decode limits in force."""
    return DecodeLimits(settings.max_bytes, settings.max_pixels, settings.max_side, settings.min_side)
