"""Settings of a process: `groups` defines them, `reading` reads their values."""

from __future__ import annotations

from zhentu.settings.groups import Settings
from zhentu.settings.reading import load_settings

__all__ = ["Settings", "load_settings"]
