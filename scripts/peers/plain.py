"""A plain endpoint as most would write it: FastAPI, Pillow, ONNX Runtime. No caps, no records, no policy.

python scripts/peers/plain.py PORT
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import uvicorn
from common import detector
from fastapi import FastAPI, UploadFile
from PIL import Image

from zhentu.types import Picture


def main() -> None:
    """Serve."""
    model = detector()
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/screen")
    def screen(picture: UploadFile) -> dict[str, float]:
        payload = picture.file.read()
        picture.file.seek(0)
        rgb = np.asarray(Image.open(picture.file).convert("RGB"))
        decoded = Picture(rgb, hashlib.sha256(payload).hexdigest(), "JPEG", len(payload))
        return model.detect(decoded).scores.as_dict()

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
