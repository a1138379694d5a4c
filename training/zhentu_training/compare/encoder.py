"""The transformer of the comparison: views in, tokens of three blocks out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from zhentu.detect.canvas import VIEW
from zhentu.detect.openvino import opened_core
from zhentu_training.model import BackboneSpec, Branch

if TYPE_CHECKING:  # it reads sights, which this encoder makes
    from zhentu_training.compare.identity import Identity

BLOCKS = (2, 4, 7)  # surface, parts, objects
# The detector's: one file of weights serves both.
BACKBONE = BackboneSpec("vit_base_patch16_clip_quickgelu_224", "shipped", depth=8)
TokenEncoder = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
_BATCH = 4


class Encoder(Branch):
    """uint8 (B, S, S, 3) -> patch tokens (B, blocks, places, D) and class tokens (B, blocks, D), raw."""

    def __init__(self, spec: BackboneSpec = BACKBONE, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__(spec)
        self.backbone.requires_grad_(False)
        self.blocks = blocks
        del self.backbone.blocks[max(blocks) + 1 :]
        self.backbone.set_input_size(VIEW)  # CLIP's own; the tests' small stand-in has another

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        vit = self.backbone
        x = vit.norm_pre(vit._pos_embed(vit.patch_embed(self.pixels(views))))
        found = []
        for k, block in enumerate(vit.blocks):
            x = block(x)
            if k in self.blocks:
                found.append(x)
        stacked = torch.stack(found, 1)
        return stacked[:, :, vit.num_prefix_tokens :], stacked[:, :, 0]


class CentredEncoder(nn.Module):
    """The encoder as it is served: tokens and class tokens minus their mean over the training goods, of unit length.

    identity: of `identity.py`, over the goods' mean token of each block, then its class token.
    """

    def __init__(self, encoder: Encoder, centre: Tensor, class_centre: Tensor, identity: Identity) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("centre", centre)  # (blocks, D)
        self.register_buffer("class_centre", class_centre)
        self.register_buffer("middle", torch.from_numpy(identity.middle))  # (2 * blocks, D)
        self.register_buffer("directions", torch.from_numpy(identity.directions))  # (2 * blocks, D, d)

    def forward(self, views: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (B, S, S, 3), how much each place is goods (B, places) -> what a `Look` keeps.

        tokens float16 (B, blocks, places, D), classes float32 (B, blocks, D), identity float32 (B, 2 * blocks, d).
        """
        tokens, classes = self.encoder(views)
        pooled = (weights[:, None, None] @ tokens).squeeze(2)
        own = torch.cat([pooled, classes], 1) - self.middle
        identity = normalize((own[:, :, None] @ self.directions).squeeze(2), dim=-1)
        tokens = normalize(tokens - self.centre[:, None], dim=-1)
        return tokens.half(), normalize(classes - self.class_centre, dim=-1), identity


def token_encoder(threads: int) -> TokenEncoder:
    """The raw encoder as a function of uint8 (B, S, S, 3); OpenVINO runs it where installed, at twice torch's speed."""
    encoder = Encoder().eval()
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    if find_spec("openvino"):
        import openvino

        example = torch.zeros((_BATCH, VIEW, VIEW, 3), dtype=torch.uint8)
        shape = openvino.PartialShape([-1, VIEW, VIEW, 3])
        converted = openvino.convert_model(encoder, example_input=example, input=[shape])
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        compiled = opened_core().compile_model(converted, "CPU", options)

        def run(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            answer = compiled([views])
            return answer[0], answer[1]
    else:
        torch.set_num_threads(threads)

        @torch.inference_mode()
        def run(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            tokens, classes = encoder(torch.from_numpy(views))
            return tokens.numpy(), classes.numpy()

    def encode(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [run(np.ascontiguousarray(views[k : k + _BATCH])) for k in range(0, len(views), _BATCH)]
        tokens, classes = (np.concatenate(each) for each in zip(*parts, strict=True))
        return tokens.astype(np.float16), classes.astype(np.float32)

    return encode
