"""A plain endpoint as most people would write it: FastAPI, Pillow, ONNX Runtime; no limits, no records, no policy.

python scripts/peers/plain.py PORT PRECISION
"""

from __future__ import annotations

import sys

import numpy as np
import uvicorn
from common import scorer
from fastapi import FastAPI, UploadFile
from PIL import Image


def main() -> None:
    """Run the server."""
    score = scorer(sys.argv[2])
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/screen")
    def screen(picture: UploadFile) -> dict[str, float]:
        return score(np.asarray(Image.open(picture.file).convert("RGB")))

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
