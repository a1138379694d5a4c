"""FLUX.2's tiny autoencoder (madebyollin/taesd, MIT): a picture through it carries a real generator's decoder trace.

The weights are not in the repository; `taef2_encoder.pth` and `taef2_decoder.pth` are found in the folder named by
`ZHENTU_TRAINING_TAEF2` or handed in; they are published in github.com/madebyollin/taesd (MIT).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FACTOR = 8  # pixels a side per latent cell


class _Block(nn.Module):
    """conv-ReLU-conv-ReLU-conv plus skip; in the lowest stage a pooled branch is added to the input first."""

    def __init__(self, width: int, pooled: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        if pooled:
            wide = 4 * width
            self.pool: nn.Sequential | None = nn.Sequential(
                nn.Conv2d(width, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, width, 1, bias=False),
            )
        else:
            self.pool = None

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class _SoftClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def _encoder(latent: int = 32, width: int = 64) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), _Block(width, pooled=False)]
    for stage in range(3):
        layers.append(nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False))
        layers += [_Block(width, pooled=stage == 2) for _ in range(3)]
    return nn.Sequential(*layers, nn.Conv2d(width, latent, 3, padding=1))


def _decoder(latent: int = 32, width: int = 64) -> nn.Sequential:
    layers: list[nn.Module] = [_SoftClamp(), nn.Conv2d(latent, width, 3, padding=1), nn.ReLU()]
    layers += [_Block(width, pooled=True) for _ in range(3)]
    for blocks in (3, 3, 1):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        layers += [_Block(width, pooled=False) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))


class Taef2(nn.Module):
    """Encoder and decoder in one; `round_trip` takes and gives uint8 RGB of shape (height, width, 3)."""

    def __init__(self, encoder_weights: Path, decoder_weights: Path) -> None:
        super().__init__()
        self.encoder, self.decoder = _encoder(), _decoder()
        self.encoder.load_state_dict(torch.load(encoder_weights, weights_only=True))
        self.decoder.load_state_dict(torch.load(decoder_weights, weights_only=True))
        self.eval()

    @torch.inference_mode()
    def round_trip(self, rgb: np.ndarray, latent_noise: float = 0.0, seed: int = 0) -> np.ndarray:
        """Encode and decode; `latent_noise` is the deviation of noise added to the latent, in its own units."""
        height, width = rgb.shape[:2]
        padded = np.pad(rgb, ((0, -height % FACTOR), (0, -width % FACTOR), (0, 0)), mode="reflect")
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        latent = self.encoder(pixels)
        if latent_noise:
            latent = latent + latent_noise * torch.randn(
                latent.shape, generator=torch.Generator().manual_seed(seed), dtype=latent.dtype
            )
        decoded = self.decoder(latent).clamp(0, 1)[0].permute(1, 2, 0)
        return (decoded * 255).round().byte().numpy()[:height, :width]


@lru_cache(maxsize=1)
def load_taef2(folder: Path | None = None) -> Taef2 | None:
    """The autoencoder from `folder`, or from `$ZHENTU_TRAINING_TAEF2`; None if the weights are missing."""
    where = folder or Path(os.environ.get("ZHENTU_TRAINING_TAEF2", "../shared/weights"))
    encoder, decoder = where / "taef2_encoder.pth", where / "taef2_decoder.pth"
    return Taef2(encoder, decoder) if encoder.is_file() and decoder.is_file() else None
