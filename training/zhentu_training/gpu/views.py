"""Views cut out of pictures on the device, as in serving or randomly moved, and their masks.

The counterpart of `zhentu.detect.views`, batch by batch in torch; tests hold them together.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zhentu_training.gpu.pictures import Pictures
from zhentu_training.gpu.plan import PATCH


def filters(start: Tensor, length: Tensor, size: Tensor, side: int, most: int, area: Tensor) -> Tensor:
    """Resampling weights (B, side, most) of one axis: area averaging on the way down, linear on the way up.

    start, length: of the window in input pixels (B,).  size: input pixels that are there (B,).
    area: bool (B,); where it is false the way down is linear too.
    """
    step = (length / side)[:, None, None]
    out = torch.arange(side, device=start.device, dtype=torch.float32)[None, :, None]
    pixel = torch.arange(most, device=start.device, dtype=torch.float32)[None, None, :]
    first = start[:, None, None] + out * step
    covered = (torch.minimum(pixel + 1, first + step) - torch.maximum(pixel, first)).clamp(0) / step
    centre = (first + step / 2 - 0.5).clamp(min=0)
    centre = torch.minimum(centre, (size[:, None, None] - 1).float())
    linear = (1 - (pixel - centre).abs()).clamp(0)
    weights = torch.where((step >= 1) & area[:, None, None], covered, linear)
    weights = weights * (pixel < size[:, None, None])
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-6)


def resampled(planes: Tensor, size: Tensor, window: Tensor, side: int) -> Tensor:
    """Windows of uint8 planes (B, 3, S, S) as float views (B, 3, side, side).

    window: top, left, height, width in pixels (B, 4).  size: height and width that are there (B, 2).
    As in `whole_view`, a picture with a side below that of a view is resampled linearly along both.
    """
    most, area = planes.shape[-1], size.amin(1) >= side
    rows = filters(window[:, 0], window[:, 2], size[:, 0], side, most, area)
    columns = filters(window[:, 1], window[:, 3], size[:, 1], side, most, area)
    x = torch.einsum("boh,bchw->bcow", rows, planes.float())
    return torch.einsum("bcow,bpw->bcop", x, columns).clamp(0, 255)


def serving_windows(data: Pictures, rows: Tensor, view: str, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Planes (B, 3, S, S), sizes (B, 2) and windows (B, 4) as serving cuts them. view: one of VIEWS."""
    planes, size = (data.crop, data.crop_size) if view == "crop_native" else (data.web, data.web_size)
    size = size[rows]
    if view == "whole":
        window = torch.cat([torch.zeros_like(size), size], 1).float()
    else:
        box = (data.crop_box if view == "crop_native" else data.web_box)[rows]
        window = torch.stack([box[:, 1], box[:, 0], *torch.full_like(box, side).T], 1).float()
    return planes[rows], size, window


def mirrored(planes: Tensor, size: Tensor) -> Tensor:
    """Planes smaller than a view filled by mirroring at the border, as serving does (OpenCV's BORDER_REFLECT)."""
    side = torch.arange(planes.shape[-1], device=planes.device)
    rows, columns = (
        torch.where(side < length, side, torch.minimum(side, 2 * length - 1 - side).clamp(min=0))
        for length in (size[:, :1], size[:, 1:])
    )
    batch = torch.arange(len(planes), device=planes.device)[:, None, None, None]
    channel = torch.arange(3, device=planes.device)[None, :, None, None]
    return planes[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cut(planes: Tensor, size: Tensor, window: Tensor, view: str, side: int) -> Tensor:
    """Float views (B, 3, side, side) of windows; a crop beyond the border of a small picture is mirrored."""
    if view != "whole":
        planes, size = mirrored(planes, size), size.clamp(min=side)
    return resampled(planes, size, window, side)


def served(data: Pictures, rows: Tensor, view: str, side: int) -> Tensor:
    """Views as serving makes them, float (B, 3, side, side) of whole numbers."""
    return cut(*serving_windows(data, rows, view, side), view, side).round()


def drawn_windows(size: Tensor, window: Tensor, whole: bool, side: int) -> Tensor:
    """Windows (B, 4) moved at random; half of them stay as in serving."""
    count, device = len(size), size.device

    def uniform(columns: int) -> Tensor:
        return torch.rand(count, columns, device=device)

    if whole:
        length = size.float() * (uniform(2) * 0.4 + 0.6)
        start = uniform(2) * (size.float() - length)
    else:
        extent = size.clamp(min=side).float()
        scale = torch.where(uniform(1) < 0.3, uniform(1) * 0.5 + 0.75, 1.0)
        length = torch.minimum(side * scale.expand(-1, 2), extent)
        moved = window[:, :2] + (uniform(2) - 0.5) * 160
        start = torch.minimum(moved.clamp(min=0), extent - length)
        start = torch.where(scale == 1, start.round(), start)
        start = torch.minimum(start, extent - length)
    return torch.where(uniform(1) < 0.5, window, torch.cat([start, length], 1))


def mask_views(data: Pictures, rows: Tensor, view: str, window: Tensor, size: Tensor, side: int) -> Tensor:
    """How much of each place is forged (B, side / 16, side / 16), for windows as `serving_windows` gives them."""
    masks = data.masks[data.mask_at[rows]].float()[:, None] / 255
    share = window / torch.cat([size, size], 1).float().clamp(min=1)
    if view == "crop_native":
        left, top, width, height = data.native[rows].T
        down, right = top + share[:, 0] * height, left + share[:, 1] * width
        share = torch.stack([down, right, share[:, 2] * height, share[:, 3] * width], 1)
    count = 2 * (side // PATCH)  # points a side, four in a place
    steps = (torch.arange(count, device=rows.device) + 0.5) / count
    y = (share[:, 0, None] + steps * share[:, 2, None]) * 2 - 1
    x = (share[:, 1, None] + steps * share[:, 3, None]) * 2 - 1
    grid = torch.stack([x[:, None, :].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)], 3)
    return functional.avg_pool2d(functional.grid_sample(masks, grid, align_corners=False, padding_mode="border"), 2)[
        :, 0
    ]
