"""The screener: model, comparison, policy, limits and trust lists."""

from __future__ import annotations

import cv2

from zhentu.bootstrap.labels import read_generators, read_trust_lists
from zhentu.bootstrap.models import build_comparer, find_model
from zhentu.decide.policy import unresolved
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.detect.detector import Detector
from zhentu.detect.models import samples_folder
from zhentu.errors import ConfigError
from zhentu.intake.decode import DecodeLimits
from zhentu.screen import Screener
from zhentu.settings import Settings

_GOLDEN = 5  # a start must not take longer with every new sample; `zhentu doctor` checks all


def build_screener(settings: Settings, threads: int = 1, golden: bool = False) -> Screener:
    """Everything that screening works with but the banks, which need a store. Raises ModelError, ConfigError.

    golden: also check that the model gives some of its golden scores on this machine (some four seconds of a core).
    """
    cv2.setNumThreads(1)  # the callers' workers already keep every core busy
    entry, folder = find_model(settings)
    policy_path = settings.policy_path or default_policy_path()
    policy = load_policy(policy_path)
    problems = unresolved(policy, entry.thresholds_for(policy.profile, policy.prior))
    if problems:
        raise ConfigError(str(policy_path), problems)
    detector = Detector(entry, folder, threads)
    if golden:
        detector.verify_golden(samples_folder(), _GOLDEN)
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
