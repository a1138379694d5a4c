"""`zhentu store`: the database of records."""

from __future__ import annotations

import typer

from zhentu.cli.terminal import say
from zhentu.settings import load_settings

store_app = typer.Typer(help="The store of records.", no_args_is_help=True)


@store_app.command("migrate")
def migrate() -> None:
    """Bring the store to this version's schema. SQLite stores do so by themselves.

    Example: zhentu store migrate
    """
    from zhentu.record.database import migrate_store

    changed = migrate_store(load_settings().store_url)
    say("the store was migrated" if changed else "the store is up to date")
