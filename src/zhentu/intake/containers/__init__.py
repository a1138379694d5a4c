"""Where metadata is in each picture format: bounded walkers that copy only what they return."""

from __future__ import annotations

from zhentu.intake.containers.block import Block, BlockKind
from zhentu.intake.containers.walk import walk

__all__ = ["Block", "BlockKind", "walk"]
