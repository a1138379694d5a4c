"""What happens to pictures on their way, of any class: tone, blur, noise, covered corners, JPEG; on the device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# Tables K.1 and K.2 of ITU T.81, as libjpeg scales them.
_LUMA = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).float()
_CHROMA = torch.full((8, 8), 99.0)
_CHROMA[:4, :4] = torch.tensor([[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]).float()
_K = torch.arange(8).float()
_DCT = torch.cos((2 * _K[None] + 1) * _K[:, None] * math.pi / 16) * torch.where(_K == 0, math.sqrt(1 / 8), 0.5)[:, None]


def through_jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Views (B, 3, side, side) in [0, 255] compressed at qualities (B,), chroma halved. side: a multiple of 16."""
    r, g, b = x.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = torch.stack([(b - y) * 0.564, (r - y) * 0.713], 1)
    small = functional.avg_pool2d(chroma, 2)
    y = _quantised(y - 128, _LUMA, quality) + 128
    small = torch.stack([_quantised(small[:, k], _CHROMA, quality) for k in (0, 1)], 1)
    cb, cr = functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    return torch.stack([y + 1.403 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.773 * cb], 1).clamp(0, 255).round()


def _quantised(plane: Tensor, table: Tensor, quality: Tensor) -> Tensor:
    """Planes (B, H, W) around 0 through the quantisation of JPEG's 8 x 8 cosine transform."""
    batch, height, width = plane.shape
    dct = _DCT.to(plane)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    steps = ((table.to(plane)[None] * scale + 50) / 100).floor().clamp(1, 255)[:, None, None]
    blocks = plane.view(batch, height // 8, 8, width // 8, 8).transpose(2, 3)
    coefficients = dct @ blocks @ dct.T
    back = dct.T @ ((coefficients / steps).round() * steps) @ dct
    return back.transpose(2, 3).reshape(batch, height, width)


def augmented(x: Tensor) -> Tensor:
    """Views (B, 3, side, side) in [0, 255], each after its own draw of the chain."""
    x = torch.where(_some(x, 0.5), x.flip(3), x)
    toned = _toned(x)
    x = torch.where(_some(x, 0.5), toned, x)
    x = torch.where(_some(x, 0.03), x.mean(1, keepdim=True).expand_as(x), x)
    blurred = _blurred(x)
    x = torch.where(_some(x, 0.12), blurred, x)
    x = torch.where(_some(x, 0.12), (x + torch.randn_like(x) * _uniform(x, 1, 6)).clamp(0, 255), x)
    corner = _corners(x)
    x = torch.where(corner & _some(x, 0.2), x.mean((2, 3), keepdim=True), x)
    quality = torch.rand(len(x), device=x.device) * 45 + 52
    return torch.where(_some(x, 0.5), through_jpeg(x, quality), x)


def _some(x: Tensor, share: float) -> Tensor:
    """Which views a step happens to, bool (B, 1, 1, 1)."""
    return torch.rand(len(x), 1, 1, 1, device=x.device) < share


def _uniform(x: Tensor, low: float, high: float, channels: int = 1) -> Tensor:
    """One draw per view (B, channels, 1, 1)."""
    return torch.rand(len(x), channels, 1, 1, device=x.device) * (high - low) + low


def _toned(x: Tensor) -> Tensor:
    """Another gamma, exposure, white balance and saturation."""
    gamma, gain, balance = _uniform(x, 0.8, 1.25), _uniform(x, 0.85, 1.15), _uniform(x, 0.94, 1.06, 3)
    toned = (x / 255).clamp(1e-4, 1) ** gamma * gain * balance
    grey = toned.mean(1, keepdim=True)
    return ((grey + (toned - grey) * _uniform(x, 0.6, 1.3)) * 255).clamp(0, 255)


def _blurred(x: Tensor) -> Tensor:
    """Through a Gaussian of 0.3 to 1.2 pixels."""
    sigma = _uniform(x, 0.3, 1.2)
    taps = torch.exp(-(torch.arange(-3, 4, device=x.device).float() ** 2)[None, :] / (2 * sigma.view(-1, 1) ** 2))
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(3, 0)
    flat = functional.pad(x.reshape(1, -1, *x.shape[2:]), (3, 3, 3, 3), mode="reflect")
    flat = functional.conv2d(
        functional.conv2d(flat, taps[:, None, :, None], groups=len(taps)), taps[:, None, None, :], groups=len(taps)
    )
    return flat.view_as(x)


def _corners(x: Tensor) -> Tensor:
    """A corner of each view, bool (B, 1, side, side): a mark there (a sparkle, a handle) must not be what is learnt."""
    count, side = len(x), torch.arange(x.shape[-1], device=x.device)
    high, wide = (torch.randint(20, 80, (count, 1), device=x.device) for _ in range(2))
    low, right = (torch.rand(count, 1, device=x.device) < 0.75 for _ in range(2))
    rows = torch.where(low, side >= len(side) - high, side < high)[:, None, :, None]
    columns = torch.where(right, side >= len(side) - wide, side < wide)[:, None, None, :]
    return rows & columns
