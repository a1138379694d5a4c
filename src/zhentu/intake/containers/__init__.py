"""Where metadata stands in each picture format: bounded walkers that copy nothing they do not hand out."""

from __future__ import annotations

from zhentu.intake.containers.block import Block, BlockKind
from zhentu.intake.containers.walk import walk

__all__ = ["Block", "BlockKind", "walk"]
