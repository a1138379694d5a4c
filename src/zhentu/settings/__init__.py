"""Settings of a process: `groups` says what there is, `reading` where the values come from."""

from __future__ import annotations

from zhentu.settings.groups import Settings
from zhentu.settings.reading import load_settings

__all__ = ["Settings", "load_settings"]
