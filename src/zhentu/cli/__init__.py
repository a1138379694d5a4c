"""The command line: entry points only parse, call and map errors to exit codes."""

from __future__ import annotations


def main() -> None:
    """Run a command. The commands are imported only here, because worker processes import this module, too."""
    from zhentu.cli.app import main as run

    run()


__all__ = ["main"]
