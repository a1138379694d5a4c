"""The policy, model and shadow model in force. They can change while the gate runs; broken ones are refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from zhentu.decide.policy import Policy, unresolved
from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.errors import ConfigError, DependencyError, ModelError, StoreError
from zhentu.record.history import ModelHistory
from zhentu.screen import Screener
from zhentu.settings import Settings

MakeScreener = Callable[[Settings], Screener]
_RETRY_S = 30.0  # seconds before a model that could not be loaded is tried again
_FAILURES = 3  # consecutive failed screenings after which the gate reports itself unready
_log = logging.getLogger("zhentu.gate")


class ActiveScreener:
    """The screener in force; `screener` may be read from any thread, `refresh` runs in one at a time.

    Raises ConfigError or ModelError if what the settings name cannot be used at the start.
    """

    def __init__(
        self,
        settings: Settings,
        make_screener: MakeScreener,
        history: ModelHistory,
        model_timer: Callable[[float], None],
    ) -> None:
        self._settings, self._make, self._history = settings, make_screener, history
        self._model_timer = model_timer
        self._path: Path = settings.policy_path or default_policy_path()
        self._refused_text, self._refused_model, self._retry_at = "", "", 0.0
        self._failures = 0
        self._wanted = history.current() or ""
        self.screener = self._build(self._wanted)
        self.shadow: Screener | None = None
        if settings.models.shadow:  # it compares nothing, so a second comparison need not stay in memory
            self.shadow = replace(self._build(settings.models.shadow), comparer=None)
        self.problem = ""

    def refresh(self) -> bool:
        """Follow a changed policy file and a changed choice of model; True when something changed."""
        changed = [self._refresh_policy(), self._refresh_model()]
        return any(changed)

    def reload(self) -> None:
        """Follow the policy file now. Raises ConfigError and keeps the old one when it is broken."""
        self.screener = replace(self.screener, policy=self._read_policy(self.screener))
        self._refused_text, self.problem = "", ""

    def succeeded(self) -> None:
        """A picture went through."""
        self._failures = 0

    def failed(self) -> None:
        """A picture could not be screened, through no fault of its own."""
        self._failures += 1

    def check(self) -> None:
        """Raise ModelError while screening keeps failing."""
        if self._failures >= _FAILURES:
            raise ModelError(f"the last {self._failures} screenings failed; see the log")

    def _refresh_policy(self) -> bool:
        try:
            policy = self._read_policy(self.screener)
        except ConfigError as error:
            if str(error) != self._refused_text:
                self._refused_text = self.problem = str(error)
                _log.error("policy refused, the old one stays in force: %s", error)
            return False
        self._refused_text, self.problem = "", ""
        if policy.sha256 == self.screener.policy.sha256:
            return False
        self.screener = replace(self.screener, policy=policy)
        _log.info("policy %s is in force", policy.version)
        return True

    def _refresh_model(self) -> bool:
        try:
            wanted = self._history.current() or ""
        except StoreError:
            return False  # keep the current model
        refused = wanted == self._refused_model and time.monotonic() < self._retry_at
        if wanted == self._wanted or refused:
            return False
        try:
            fresh = self._build(wanted)
        except (DependencyError, ConfigError) as error:
            self._refused_model, self._retry_at = wanted, time.monotonic() + _RETRY_S
            _log.error("model %s refused, the old one stays in force: %s", wanted or "of the settings", error)
            return False
        self.screener, self._wanted = fresh, wanted
        _log.info("model %s is in force", fresh.detector.entry.ref)
        return True

    def _build(self, model: str | None) -> Screener:
        settings = self._settings.changed({"models.active": model}) if model else self._settings
        return replace(self._make(settings), model_timer=self._model_timer)

    def _read_policy(self, screener: Screener) -> Policy:
        policy = load_policy(self._path)
        problems = unresolved(policy, screener.detector.entry.thresholds_for(policy.profile, policy.prior))
        if problems:
            raise ConfigError(str(self._path), problems)
        return policy
