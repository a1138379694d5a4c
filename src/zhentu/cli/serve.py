"""`zhentu serve`: the upload gate over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from zhentu.settings import load_settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: setting `host`.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; default: setting `port`.")] = None,
) -> None:
    """Serve POST /v1/screen, /livez, /readyz, /metrics and the API docs at /docs.

    Example: zhentu serve --port 8000
    """
    import uvicorn

    from zhentu.gate.app import create_app

    settings = load_settings()
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update=changed)
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, log_level=settings.log_level)
