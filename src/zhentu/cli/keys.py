"""`zhentu keys`: who may use the gate."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.table import Table

from zhentu.cli.terminal import console, say
from zhentu.errors import UsageError
from zhentu.settings import load_settings
from zhentu.types import DEFAULT_TENANT, Role

keys_app = typer.Typer(help="API keys: shown once, kept hashed.", no_args_is_help=True)


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, e.g. upload-pipeline.")],
    role: Annotated[Role, typer.Option(help="What it may do; each role includes those before it.")] = Role.SCREEN,
    tenant: Annotated[
        str,
        typer.Option(
            help="Whose rows it writes and reads; any but `default` needs the setting `gate.single_tenant=false`."
        ),
    ] = DEFAULT_TENANT,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Requests a second; 0 = no limit, default: setting `gate.rate_per_s`.")
    ] = None,
) -> None:
    """Create a key. It is printed once, to standard output, and cannot be shown again.

    Example: zhentu keys create upload-pipeline --role screen
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.keys import KeyStore

    settings = load_settings()
    if settings.gate.single_tenant and tenant != DEFAULT_TENANT:
        raise UsageError(
            "--tenant: this gate serves one tenant, and would refuse the key; set ZHENTU_GATE_SINGLE_TENANT=false first"
        )
    with open_database(settings) as database:
        key, token = KeyStore(database).create(name, role, rate, _actor(), tenant)
    whose = "" if tenant == DEFAULT_TENANT else f", tenant {tenant}"
    console(stderr=True).print(
        f"key {key.key_id} for {name}, role {role.value}{whose}; keep it now, it is not shown again:"
    )
    typer.echo(token)


@keys_app.command("list")
def list_keys() -> None:
    """List every key: id, name, tenant, role, and whether it is revoked.

    Example: zhentu keys list
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.keys import KeyStore

    with open_database(load_settings()) as database:
        keys = KeyStore(database).list()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("key", "name", "tenant", "role", "rate", "created", "revoked"):
        table.add_column(column)
    for key in keys:
        rate = "default" if key.rate_per_s is None else f"{key.rate_per_s:g}/s"
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        table.add_row(
            key.key_id, key.name, key.tenant, key.role.value, rate, f"{key.created_at:%Y-%m-%d %H:%M}", revoked
        )
    console().print(table)


@keys_app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, see `zhentu keys list`.")]) -> None:
    """Revoke a key; running gates refuse it within five seconds.

    Example: zhentu keys revoke 3f2a90c1d4e5
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record.keys import KeyStore

    with open_database(load_settings()) as database:
        KeyStore(database).revoke(key_id, _actor())
    say(f"{key_id} is revoked")


def _actor() -> str:
    """Who runs this command, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a container's user may have no name
        return "cli"
