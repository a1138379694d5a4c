"""The short version of scripts/fuzz_metadata.py, which is run with 200,000 inputs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from fuzz_metadata import MOST_SECONDS, run


def test_readers_and_writer_stand_3000_hostile_files() -> None:
    tally = run(3000, seed=7)
    assert tally.inputs == 3000
    assert tally.labelled > 30
    assert tally.slowest_s < MOST_SECONDS
    assert tally.evidence["aigc_label"] > 100
