"""`zhentu serve`: the upload gate over HTTP."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from zhentu.errors import ZhentuError
from zhentu.settings import load_settings
from zhentu.types import OnError

_SWITCH_S = 0.001


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: setting `host`.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; default: setting `port`.")] = None,
    on_error: Annotated[
        OnError | None, typer.Option(help="What callers get while the gate is in trouble; setting `on_error`.")
    ] = None,
    open_: Annotated[
        bool | None, typer.Option("--open/--keys", help="Answer without API keys, on a loopback address only.")
    ] = None,
) -> None:
    """Serve the upload gate: POST /v1/screen, /livez, /readyz, /metrics and the API documents at /docs.

    Example: zhentu serve --open --on-error block --port 8000
    """
    import uvicorn

    from zhentu.gate.app import create_app

    settings = load_settings()
    given = (("host", host), ("port", port), ("on_error", on_error), ("open", open_))
    settings = settings.model_copy(update={name: value for name, value in given if value is not None})
    _log_to_stderr(settings.log_level)
    # Decoding and scoring let go of the interpreter's lock often enough, but not always: the event loop, which refuses
    # and answers probes, must not wait the usual 5 ms for each of the threads.
    sys.setswitchinterval(_SWITCH_S)
    app = create_app(settings)
    logging.getLogger("uvicorn.error").addFilter(lambda _: not hasattr(app.state, "failed"))
    try:
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,  # the gate writes one canonical line a request itself
            timeout_graceful_shutdown=int(settings.deadline_s) + 5,  # what was accepted is finished
            timeout_keep_alive=75,  # longer than the usual load balancer's 60 s: no race on idle connections
        )
    finally:
        failed: ZhentuError | None = getattr(app.state, "failed", None)
        if failed is not None:
            raise failed  # instead of uvicorn's own exit, which says nothing of the cause


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("zhentu")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level.upper())
