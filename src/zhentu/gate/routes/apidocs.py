"""`/docs`: the API for people to read. Rendered here without scripts: nothing is loaded from a third party."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

router = APIRouter(include_in_schema=False)
_METHODS = ("get", "put", "post", "delete", "patch")


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """Every path, its parameters, its body, and an example of every error."""
    document = request.app.openapi()
    style = _read("apidocs.css")
    html = _template().render(info=document["info"], operations=_operations(document), style=style, dump=_dump)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    csp = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(html, headers=headers)


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"path": path, "method": method.upper(), **operation}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    ]


def _dump(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)


@lru_cache(maxsize=1)
def _template() -> Any:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_read("apidocs.html.j2"))


@lru_cache(maxsize=2)
def _read(name: str) -> str:
    return files("zhentu.gate").joinpath(name).read_text(encoding="utf-8")
