"""What a device multiplies in, and how a processor is spared passes over memory."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from zhentu_training.gpu.network import Model


def mixed(device: str) -> torch.autocast:
    """Products in bfloat16 where the device has them: a GPU, and a processor with AMX, where they take a third."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu" or torch.cpu._is_amx_tile_supported())


def views_at_once(device: str) -> int:
    """Views in one call where no gradient is wanted: as many as a processor's caches hold, or keep a GPU busy."""
    return 32 if device == "cpu" else 256


def fuse_blocks(model: Model) -> None:
    """Compile the blocks for a processor (needs a C++ compiler): training sees 1.5 times the views a second.

    Two cores with AMX, views of 224 and 160 px a second: 8.8 and 14.8 as they are, 13.2 and 25.3 compiled with
    attention written out as products, whose fused backward pass takes a quarter of the time.
    """
    for block in model.vit.blocks:
        block.attn.fused_attn = False
        cast(nn.Module, block).compile()
