"""Files that pages load: scripts, styles and icons, each from the package its page lies in."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePath

from fastapi import Response

from zhentu.errors import NotFound

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


def static_file(package: str, name: str, headers: Mapping[str, str]) -> Response:
    """One file of the package's folder `static`; browsers ask each time whether it changed. Raises NotFound."""
    known = {each.name: each for each in (files(package) / "static").iterdir() if PurePath(each.name).suffix in _TYPES}
    if name not in known:
        raise NotFound(f"no file {name[:80]!r}")
    kind = _TYPES[PurePath(name).suffix]
    return Response(known[name].read_bytes(), media_type=kind, headers={**headers, "Cache-Control": "no-cache"})
