"""The same model behind LitServe.

python scripts/peers/lit.py PORT WORKERS THREADS
"""

import io
import sys

import litserve as ls
import numpy as np
from common import detector
from fastapi import Request
from PIL import Image

from zhentu.types import Picture


class Api(ls.LitAPI):
    """Decode with Pillow, score, answer."""

    def __init__(self, threads: int) -> None:
        super().__init__(api_path="/screen")
        self.threads = threads

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.model = detector(self.threads)

    def decode_request(self, request: Request) -> Picture:
        """Decode the upload; LitServe passes the form. Annotations are real types here: LitServe reads them."""
        payload = request["picture"].file.read()
        return Picture(np.asarray(Image.open(io.BytesIO(payload)).convert("RGB")), "0" * 64, "JPEG", len(payload))

    def predict(self, picture: Picture) -> dict[str, float]:
        """Score."""
        return self.model.detect(picture).scores.as_dict()

    def encode_response(self, output: dict[str, float]) -> dict[str, float]:
        """As it is."""
        return output


def main() -> None:
    """Serve."""
    server = ls.LitServer(Api(int(sys.argv[3])), accelerator="cpu", workers_per_device=int(sys.argv[2]), timeout=120)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
