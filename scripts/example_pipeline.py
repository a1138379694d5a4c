"""An example upload pipeline behind the gate: sellers upload pictures, and the pipeline stores them in a bucket.

    zhentu serve --open --on-error block --port 8000 &
    python scripts/example_pipeline.py --gate http://127.0.0.1:8000 --store /tmp/shop --port 9000
    curl --form photo=@pictures/cup.jpg --form listing_id=L1 http://127.0.0.1:9000/upload

The route itself does not screen: the middleware refuses blocked pictures before the route sees them, and passes on what
it found about the others. A picture under review goes to a separate folder that is not published. --store takes
anything fsspec opens, e.g. s3://bucket/pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
from pathlib import Path

import fsspec
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from zhentu.client import AsyncClient, Screening, ScreenUploads
from zhentu.types import Action, OnError


def create_app(client: AsyncClient, store_url: str) -> ScreenUploads:
    """The pipeline: one upload route behind the screening middleware."""
    files, root = fsspec.core.url_to_fs(store_url)

    def publish(payload: bytes, name: str, action: Action) -> str:
        # A picture under review is kept where nobody sees it.
        folder = "held" if action is Action.REVIEW else "public"
        path = f"{folder}/{hashlib.sha256(payload).hexdigest()[:16]}-{Path(name).name or 'picture'}"
        files.makedirs(f"{root}/{folder}", exist_ok=True)
        files.pipe_file(f"{root}/{path}", payload)
        return path

    async def upload(request: Request) -> JSONResponse:
        screened: dict[str, Screening] = {each.sha256: each for each in request.state.zhentu}
        stored = []
        async with request.form() as form:
            for part in (each for _, each in form.multi_items() if isinstance(each, UploadFile)):
                payload = await part.read()
                screening = screened.get(hashlib.sha256(payload).hexdigest())
                if screening is None:
                    continue  # not a picture, so this route does not store it
                answer = screening.answer
                path = await asyncio.to_thread(publish, payload, part.filename or "", answer.action)
                stored.append(
                    {
                        "path": path,
                        "action": answer.action.value,
                        "record_id": answer.record_id,
                        "notice": {"en": answer.notice_en, "zh": answer.notice_zh},
                        "checked": not (answer.assumed or answer.deferred),
                    }
                )
        return JSONResponse({"stored": stored}, 201)

    shop = Starlette(routes=[Route("/upload", upload, methods=["POST"])])
    return ScreenUploads(shop, client, harmless=("text/plain",))


def main() -> None:
    """Run the example server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gate", default="http://127.0.0.1:8000")
    parser.add_argument("--store", required=True)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--on-error", type=OnError, choices=list(OnError), default=OnError.BLOCK)
    parser.add_argument("--queue", type=Path, default=Path("zhentu-queue"), help="for allow_and_queue")
    arguments = parser.parse_args()
    key = os.environ.get("GATE_API_KEY", "")
    client = AsyncClient(arguments.gate, key, on_error=arguments.on_error, queue_dir=arguments.queue)
    uvicorn.run(create_app(client, arguments.store), host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
