"""`zhentu records`, `zhentu spool` and `zhentu webhooks`: what is kept, what is waiting, and how it is deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from zhentu.cli.terminal import console, say
from zhentu.errors import UsageError
from zhentu.settings import load_settings
from zhentu.types import DEFAULT_TENANT, MessageState

records_app = typer.Typer(help="Records of decisions.", no_args_is_help=True)
spool_app = typer.Typer(help="Decisions made while the store was down.", no_args_is_help=True)
webhooks_app = typer.Typer(help="Messages to the platform.", no_args_is_help=True)


@records_app.command("prune")
def prune(
    older_than_days: Annotated[
        int | None, typer.Option(min=1, help="Age in days; default: setting `store.retention_days`.")
    ] = None,
    seller: Annotated[str | None, typer.Option(help="Delete everything of this seller instead.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose seller it is.")] = DEFAULT_TENANT,
    dry_run: Annotated[bool, typer.Option(help="Only count.")] = False,
) -> None:
    """Delete old records, or all of one seller, with their kept pictures; what was pruned is logged in the store.

    Example: zhentu records prune --older-than-days 180 --dry-run
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record import retention
    from zhentu.record.pictures import PictureStore

    settings = load_settings()
    days = older_than_days or settings.store.retention_days
    if seller is not None and older_than_days is not None:
        raise UsageError("give either --seller or --older-than-days, not both")
    if seller is None and days is None:
        raise UsageError("give --older-than-days or --seller, or set ZHENTU_STORE_RETENTION_DAYS")
    if seller is None and tenant != DEFAULT_TENANT:
        raise UsageError("--tenant says whose seller it is; by age, records of every tenant are deleted")
    if seller == "":
        raise UsageError("--seller is empty; that would delete every record without a seller")
    moment = datetime.now(UTC) - timedelta(days=days or 0)
    with open_database(settings) as database:
        found = retention.count(database, before=None if seller else moment, seller_id=seller, tenant=tenant)
        if not dry_run and found:
            gone = (
                retention.prune_seller(database, seller, tenant) if seller else retention.prune_before(database, moment)
            )
            PictureStore(settings.store.pictures).remove(gone)
    say(f"{found} records {'would be' if dry_run else 'were'} deleted")


@spool_app.command("replay")
def replay() -> None:
    """Write decisions that stopped gates left in the spool to the store; running gates do so by themselves.

    Example: zhentu spool replay
    """
    from zhentu.bootstrap.stores import build_store
    from zhentu.record.spool import Spool

    settings = load_settings()
    store = build_store(settings)
    try:
        done = Spool(settings.spool_dir).replay(store)
    finally:
        store.close()
    say(f"{done} decisions were written into the store")


@webhooks_app.command("list")
def list_messages(
    state: Annotated[MessageState | None, typer.Option(help="Only messages in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
) -> None:
    """List messages; dead ones were given up after two days of attempts.

    Example: zhentu webhooks list --state dead
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.outbox import Outbox

    with open_database(load_settings()) as database:
        messages = Outbox(database).list(state, limit)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("message", "kind", "state", "attempts", "receiver", "last error"):
        table.add_column(column, overflow="fold")
    for each in messages:
        receiver = each.url.partition("?")[0]
        table.add_row(each.message_id, each.kind, each.state.value, str(each.attempts), receiver, each.last_error)
    console().print(table)


@webhooks_app.command("replay")
def replay_messages(
    message_id: Annotated[str | None, typer.Argument(help="One message; default: every dead one.")] = None,
) -> None:
    """Send a message again, or every dead one; running gates deliver them.

    Example: zhentu webhooks replay
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.outbox import Outbox

    with open_database(load_settings()) as database:
        count = Outbox(database).replay(message_id)
    say(f"{count} messages will be sent again")
