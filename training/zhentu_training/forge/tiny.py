"""The project's own tiny autoencoders, one for each common way of up-sampling.

    python -m zhentu_training.forge.tiny --pictures ../shared/data/train/genuine --out runs/tiny

Generators differ in how their decoders grow pictures, and each way leaves its own trace (Odena et al. 2016, Durall et
al. 2020). Autoencoders that real products use are few and large; these take minutes on one core. The forging line finds
them in `$ZHENTU_TRAINING_TINY` (default `runs/tiny`); without them the recipe does not apply. `bilinear` is left to
evaluation.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from zhentu.intake.decode import decode
from zhentu_training.commands import errors_said_plainly
from zhentu_training.picture_files import pictures_in

KINDS = ("nearest", "bilinear", "transposed", "shuffle")
FACTOR = 4  # pixels a side per latent cell
_SIDE, _LATENT, _WIDTH = 64, 12, 32
_PICTURES = 400  # that teach, at most


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _grow(kind: str, width: int) -> nn.Module:
    """Twice the size, in the way called `kind`."""
    if kind == "transposed":
        return nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
    if kind == "shuffle":
        return nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2))
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=kind), nn.Conv2d(width, width, 3, padding=1))


class TinyAutoencoder(nn.Module):
    """float32 (B, 3, H, W) in [0, 1] -> the same; sides multiples of 4.

    Its latent has 12 channels at a quarter of the side.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, _WIDTH, 3, stride=2, padding=1),
            nn.SiLU(),
            _Residual(_WIDTH),
            nn.Conv2d(_WIDTH, _WIDTH, 3, stride=2, padding=1),
            _Residual(_WIDTH),
            nn.Conv2d(_WIDTH, _LATENT, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(_LATENT, _WIDTH, 3, padding=1),
            _Residual(_WIDTH),
            _grow(kind, _WIDTH),
            _Residual(_WIDTH),
            _grow(kind, _WIDTH),
            nn.SiLU(),
            nn.Conv2d(_WIDTH, 3, 3, padding=1),
        )

    def forward(self, pixels: Tensor, latent_noise: float = 0.0) -> Tensor:
        """Round trip, with noise of this deviation (in units of the latent's own) added to the latent."""
        latent = self.encoder(2 * pixels - 1)
        if latent_noise:
            latent = latent + latent_noise * latent.std() * torch.randn_like(latent)
        return (self.decoder(latent) + 1) / 2


@torch.inference_mode()
def round_trip(model: TinyAutoencoder, rgb: np.ndarray, latent_noise: float, seed: int) -> np.ndarray:
    """uint8 RGB (H, W, 3) through encoder and decoder, same shape."""
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((0, -height % FACTOR), (0, -width % FACTOR), (0, 0)), mode="reflect")
    pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoded = model(pixels, latent_noise).clamp(0, 1)[0].permute(1, 2, 0)
    return (decoded * 255).round().byte().numpy()[:height, :width]


@lru_cache(maxsize=len(KINDS))
def load_tiny(kind: str, folder: Path | None = None) -> TinyAutoencoder | None:
    """The trained autoencoder of this kind, None if it has not been trained."""
    path = (folder or Path(os.environ.get("ZHENTU_TRAINING_TINY", "runs/tiny"))) / f"{kind}.pt"
    if not path.is_file():
        return None
    model = TinyAutoencoder(kind)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


def train(kind: str, pictures: list[Path], steps: int, seed: int) -> TinyAutoencoder:
    """Train on random windows; L1 on pixels and on their gradients keeps weave and print alive."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = TinyAutoencoder(kind)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    for _ in tqdm(range(steps), desc=kind, mininterval=10, disable=None):
        windows = np.stack([_window(pictures, rng) for _ in range(6)])
        pixels = torch.from_numpy(windows).permute(0, 3, 1, 2).float() / 255
        made = model(pixels)
        loss = (made - pixels).abs().mean() + sum((made.diff(dim=d) - pixels.diff(dim=d)).abs().mean() for d in (2, 3))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()


def _window(pictures: list[Path], rng: np.random.Generator) -> np.ndarray:
    rgb = _pixels(pictures[int(rng.integers(len(pictures)))])
    height, width = (max(side, _SIDE) for side in rgb.shape[:2])
    if rgb.shape[:2] != (height, width):
        rgb = cv2.resize(rgb, (width, height))
    y, x = int(rng.integers(height - _SIDE + 1)), int(rng.integers(width - _SIDE + 1))
    return rgb[y : y + _SIDE, x : x + _SIDE]


@lru_cache(maxsize=_PICTURES)
def _pixels(path: Path) -> np.ndarray:
    return decode(path.read_bytes()).rgb


@errors_said_plainly()
def main(argv: Sequence[str] | None = None) -> None:
    """Train every kind that does not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of genuine pictures")
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures = pictures_in([arguments.pictures], _PICTURES, arguments.seed, least=1)
    for kind in KINDS:
        if not (arguments.out / f"{kind}.pt").is_file():
            torch.save(
                train(kind, pictures, arguments.steps, arguments.seed).state_dict(), arguments.out / f"{kind}.pt"
            )


if __name__ == "__main__":
    main()
