"""The plain Ray Data script that `bench_scan.py` compares zhentu with: what one would write in an afternoon.

    python scripts/plain_ray_data.py ADDRESS FOLDER OUTPUT

It reads a folder, screens every picture with the same model on all cores of the cluster, and writes CSV. It has no
ledger, cannot resume, keeps no records and recognises no known pictures; a file that crashes the decoder ends it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import ray

from zhentu.bootstrap.screener import build_screener
from zhentu.settings import load_settings
from zhentu.types import Inquiry


class Screen:
    """A screener on one core."""

    def __init__(self) -> None:
        self._screener = build_screener(load_settings())

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Screen one picture."""
        record = self._screener.screen(Inquiry.of(row["bytes"], row["path"])).record
        scores = record.verdict.scores.as_dict() if record.verdict else {}
        return {"path": row["path"], "sha256": record.picture_sha256, "action": record.decision.action.value, **scores}


def main(address: str, folder: str, output: str) -> None:
    """Read, screen, write."""
    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    cores = int(ray.cluster_resources()["CPU"])
    pictures = ray.data.read_binary_files(folder, include_paths=True, ray_remote_args={"num_cpus": 0.1})
    strategy = ray.data.ActorPoolStrategy(size=cores)
    pictures.map(Screen, compute=strategy, num_cpus=0.8).write_csv(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
