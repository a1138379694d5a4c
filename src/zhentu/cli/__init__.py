"""The command line: entry points only parse, call and map errors to exit codes."""

from __future__ import annotations

from zhentu.cli.app import main

__all__ = ["main"]
