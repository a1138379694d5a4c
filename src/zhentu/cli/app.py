"""`zhentu`: the commands and what their exit codes mean.

0 fine, 1 something was blocked or failed and this was asked for, 2 usage, 3 unreachable dependency; 130 interrupted
(Ctrl-C), 143 terminated (SIGTERM), 129 hung up (SIGHUP): 128 and the signal, as shells count.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from zhentu import __version__
from zhentu.cli import (
    apply,
    audit,
    banks,
    compare,
    demo,
    inspect,
    jobs,
    keys,
    mark,
    models,
    policy,
    promote,
    records,
    review,
    scan,
    serve,
    store,
)
from zhentu.errors import UsageError, ZhentuError
from zhentu.printable import printable
from zhentu.stopping import STOPS, end_on_signals, status_of, words_of

app = typer.Typer(
    name="zhentu",
    help="真图: recognise, stop and label AI-forged product pictures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("scan")(scan.scan)
app.command("jobs")(jobs.jobs)
app.command("apply")(apply.apply)
app.command("inspect")(inspect.inspect)
app.command("compare")(compare.compare)
app.command("mark")(mark.mark)
app.command("serve")(serve.serve)
app.command("doctor")(models.doctor)
app.add_typer(banks.bank_app, name="bank")
app.add_typer(review.review_app, name="review")
app.add_typer(audit.audit_app, name="audit")
models.model_app.command("compare")(promote.compare)
models.model_app.command("promote")(promote.promote)
app.add_typer(models.model_app, name="model")
app.add_typer(policy.policy_app, name="policy")
app.add_typer(store.store_app, name="store")
app.add_typer(keys.keys_app, name="keys")
app.add_typer(records.records_app, name="records")
app.add_typer(records.spool_app, name="spool")
app.add_typer(records.webhooks_app, name="webhooks")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zhentu {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    config: Annotated[
        Path | None, typer.Option(help="Settings file (YAML). The environment (ZHENTU_*) takes precedence.")
    ] = None,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.", envvar="ZHENTU_DEBUG")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if config is not None:
        os.environ["ZHENTU_CONFIG"] = str(config)
    if debug:
        os.environ["ZHENTU_DEBUG"] = "1"


def main() -> None:
    """Run a command; turn every ZhentuError into one clear message and its exit code."""
    end_on_signals()
    try:
        app()
    except ZhentuError as error:
        if os.environ.get("ZHENTU_DEBUG", "").lower() in ("1", "true"):
            traceback.print_exc()
        print(f"zhentu: {error.code}: {printable(str(error), lines=True)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ValueError as error:  # UnicodeEncodeError, and pydantic's error of writing JSON, which wraps it
        given = [each for each in sys.argv[1:] if any("\ud800" <= letter <= "\udfff" for letter in each)]
        if not given or "surrogates not allowed" not in str(error):
            raise
        told = f"{', '.join(map(printable, given))}: is not UTF-8, and a text that is kept must be"
        print(f"zhentu: {UsageError.code}: {told}", file=sys.stderr)
        sys.exit(UsageError.exit_code)
    except STOPS as stop:
        print(f"zhentu: {words_of(stop)}", file=sys.stderr)
        sys.exit(status_of(stop))
