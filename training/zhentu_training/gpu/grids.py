"""Position embeddings of views of another size than the transformer's own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def resampling(before: int, after: int) -> Tensor:
    """How the places of a square grid mix those of another, (after * after, before * before).

    Bicubic with antialiasing, as timm resamples. A product with the position embedding, so that one table is kept and
    tuned whatever the sizes of the looks, and a graph holds it under its name.
    """
    if before == after:
        return torch.eye(before * before)
    each = torch.eye(before * before).reshape(-1, 1, before, before)
    return interpolate(each, size=(after, after), mode="bicubic", antialias=True).flatten(1).T.contiguous()
