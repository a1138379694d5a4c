"""Serve the same model with LitServe.

python scripts/peers/lit.py PORT PRECISION WORKERS THREADS
"""

import io
import sys

import litserve as ls
import numpy as np
from common import scorer
from fastapi import Request
from PIL import Image


class Api(ls.LitAPI):
    """Decodes with Pillow, scores, answers."""

    def __init__(self, precision: str, threads: int) -> None:
        super().__init__(api_path="/screen")
        self.precision, self.threads = precision, threads

    def setup(self, device: str) -> None:
        """Load the model in the worker process."""
        self.score = scorer(self.precision, self.threads)

    def decode_request(self, request: Request) -> np.ndarray:
        """Decode the upload; LitServe passes the form, and reads the annotations, which must be real types."""
        payload = request["picture"].file.read()
        return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))

    def predict(self, rgb: np.ndarray) -> dict[str, float]:
        """Score."""
        return self.score(rgb)

    def encode_response(self, output: dict[str, float]) -> dict[str, float]:
        """Return the scores as they are."""
        return output


def main() -> None:
    """Run the server."""
    port, precision, workers, threads = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    api = Api(precision, threads)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=workers, timeout=120)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
