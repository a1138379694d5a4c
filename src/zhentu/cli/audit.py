"""`zhentu audit`: who saw and decided what, and whether that was changed afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from zhentu.cli.terminal import say
from zhentu.settings import load_settings

audit_app = typer.Typer(help="The audit: append-only and hash-chained.", no_args_is_help=True)


@audit_app.command("verify")
def verify(
    expect: Annotated[str, typer.Option(help="A hash kept elsewhere that must occur in the chain.")] = "",
) -> None:
    """Recompute every hash of the chain; exit code 1 if an entry was changed or is missing.

    Keep the printed hash somewhere else: it reveals a chain that was cut or rewritten.

    Example: zhentu audit verify
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record import audit

    with open_database(load_settings()) as database:
        chain = audit.verify(database, expect)
    if chain.broken_at is not None:
        say(f"the audit is broken at entry {chain.broken_at}: {chain.problem}")
        raise typer.Exit(1)
    say(f"{chain.entries} entries, unbroken; last hash {chain.head}")


@audit_app.command("export")
def export(
    output: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that zhentu did not write.")] = False,
    subject: Annotated[str, typer.Option(help="One subject only, e.g. item:0193... or bank:allowed.")] = "",
) -> None:
    """Write the audit as JSON lines, oldest first.

    Example: zhentu audit export --output audit.jsonl
    """
    from zhentu.bootstrap.stores import open_database
    from zhentu.record import audit
    from zhentu.record.written import Written, WrittenFiles

    settings = load_settings()
    with open_database(settings) as database:
        lines = (entry.as_json() + "\n" for entry in audit.entries(database, subject))
        if output is None:
            sys.stdout.writelines(lines)
            return
        WrittenFiles(settings.data_dir).keep(output, "".join(lines).encode(), Written.EXPORT, overwrite)
    say(f"written to {output}")
