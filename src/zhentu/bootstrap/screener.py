"""The screener: model, comparison, policy, limits and trust lists."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from zhentu.bootstrap.golden import MOST, check_golden
from zhentu.bootstrap.models import build_comparer, find_model
from zhentu.bootstrap.trust import read_generators, read_trust_lists
from zhentu.decide.policy import Policy, unresolved
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.detect.batching import Batching
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.locator import Locator
from zhentu.detect.models import samples_folder
from zhentu.errors import ConfigError, ModelError
from zhentu.intake.decode import DecodeLimits, keep_memory
from zhentu.ports import DetectorPort
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import Picture, Verdict


def build_screener(settings: Settings, threads: int = 1, golden: bool = False, at_once: int = 1) -> Screener:
    """Everything that screening works with but the banks, which need a store. Raises ModelError, ConfigError.

    at_once: pictures that are screened at the same moment.
    golden: also check that the model gives some of its golden scores on this machine (some four seconds of a core).
    """
    cv2.setNumThreads(1)  # the callers' workers already keep every core busy
    keep_memory(at_once)
    entry, folder = find_model(settings)
    policy = _policy_for(settings, entry)
    detector = Detector(entry, folder, threads, batching_of(settings), Locator.of(folder, threads))
    if golden:
        detector.verify_golden(samples_folder(), MOST)
    return _around(detector, policy, settings, threads)


def batching_of(settings: Settings) -> Batching | None:
    """How views of several pictures share a call; on a processor they do not."""
    models = settings.models
    return Batching(models.max_batch_size, models.batch_timeout_ms / 1e3) if models.runtime.on_gpu else None


def check_rules(settings: Settings) -> Screener:
    """What decides, checked as for `build_screener` with `golden`; the model is not kept open, so it scores nothing.

    Golden scores that this machine gave before are not tried again. Raises ModelError, ConfigError.
    """
    entry, folder = find_model(settings)
    policy = _policy_for(settings, entry)
    check_golden(entry, folder, settings.worker_count, settings.data_dir / "golden")
    return _around(_Listed(entry), policy, settings, 1)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A model as the manifest has it."""

    entry: ModelEntry

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Nothing. Raises ModelError."""
        raise ModelError(f"{self.entry.ref} is not open here")


def _policy_for(settings: Settings, entry: ModelEntry) -> Policy:
    path = settings.policy_path or default_policy_path()
    policy = load_policy(path)
    if problems := unresolved(policy, entry.thresholds_for(policy.profile, policy.prior)):
        raise ConfigError(str(path), problems)
    return policy


def _around(detector: DetectorPort, policy: Policy, settings: Settings, threads: int) -> Screener:
    return Screener(
        detector,
        policy,
        limits_of(settings),
        comparer=build_comparer(settings, threads),
        trust_lists=read_trust_lists(settings),
        generators=read_generators(settings),
    )


def limits_of(settings: Settings) -> DecodeLimits:
    """The decode limits in force."""
    return DecodeLimits(
        settings.decode.max_bytes,
        settings.decode.max_pixels,
        settings.decode.max_side,
        settings.decode.min_side,
        settings.decode.max_scans,
        settings.decode.frames,
        settings.decode.max_frames,
    )
