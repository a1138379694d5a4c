"""`zhentu serve`: the upload gate over HTTP."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from zhentu.errors import ZhentuError
from zhentu.printable import hide_keys, printable
from zhentu.settings import load_settings
from zhentu.stopping import end_at_once
from zhentu.types import OnError

if TYPE_CHECKING:
    from fastapi import FastAPI

_SWITCH_S = 0.001
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # malloc.h of glibc
_MAPPED_FROM = 4 * 1024 * 1024  # bytes; an 800x800 picture stays below, where allocation is cheaper


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: setting `gate.host`.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; default: setting `gate.port`.")] = None,
    on_error: Annotated[
        OnError | None, typer.Option(help="What callers get while the gate is in trouble; setting `gate.on_error`.")
    ] = None,
    open_: Annotated[
        bool | None, typer.Option("--open/--keys", help="Answer without API keys, on a loopback address only.")
    ] = None,
) -> None:
    """Serve the upload gate: POST /v1/screen, /livez, /readyz, /metrics and the API documents at /docs.

    Example: zhentu serve --open --on-error block --port 8000
    """
    from uvicorn import Server

    from zhentu.gate.app import create_app
    from zhentu.gate.server import bound_sockets, raise_file_limit, server_config

    settings = load_settings()
    given = {"gate.host": host, "gate.port": port, "gate.on_error": on_error, "gate.open": open_}
    settings = settings.changed({path: value for path, value in given.items() if value is not None})
    _log_to_stderr(settings.log_level)
    # Decoding and scoring release the interpreter's lock often, but not always: the event loop, which refuses
    # and answers probes, must not wait the usual 5 ms for each of the threads.
    sys.setswitchinterval(_SWITCH_S)
    _steady_memory(settings.worker_count)
    raise_file_limit(settings.gate.connections)
    app = create_app(settings, warm=True)
    logging.getLogger("uvicorn.error").addFilter(lambda _: not hasattr(app.state, "failed"))
    server = Server(server_config(app, settings))
    sockets = bound_sockets(settings.gate.host, settings.gate.port)
    if settings.gate.open:
        _say_token(app, settings.gate.host, sockets[0].getsockname()[1])
    end_at_once()  # the server has handlers of its own, and ends by the signal once it has answered everybody
    try:
        server.run(sockets)
    except KeyboardInterrupt:
        pass
    finally:
        failed: ZhentuError | None = getattr(app.state, "failed", None)
        if failed is not None:
            raise failed  # instead of uvicorn's own exit, which hides the cause
    if not server.started:
        raise typer.Exit(3)


def _say_token(app: FastAPI, host: str, port: int) -> None:
    """Print the address of the front page once. The token is new at every start and is written nowhere else."""
    shown = f"[{host}]" if ":" in host else host
    where = f"http://{shown}:{port}/"
    print(f"zhentu: open {where}?token={app.state.open_token}", file=sys.stderr, flush=True)


def _steady_memory(threads: int) -> None:
    """Keep glibc from hoarding memory: few arenas, and large pictures in their own mappings, returned when done.

    By default it raises the size from which it maps up to 32 MiB, and pictures of mixed sizes then fragment its arenas:
    measured over 720 mixed pictures, resident memory went from 247 to 291 MiB, and with these two it stayed at 212.
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such settings
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_ARENA_MAX, threads + 1)
        set_option(_M_MMAP_THRESHOLD, _MAPPED_FROM)


class _Plain(logging.Formatter):
    """Remove control characters, which strangers put into names and URLs, and keys from log lines.

    A request's line is JSON as a whole, with time and level in it, so that a collector needs no pattern.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        if fields is not None:
            time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            line = {"time": time, "level": record.levelname, **fields}
            safe = {name: printable(each) if isinstance(each, str) else each for name, each in line.items()}
            return hide_keys(json.dumps(safe, ensure_ascii=False))
        return printable(hide_keys(super().format(record)), lines=bool(record.exc_info))


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("zhentu")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level.upper())
