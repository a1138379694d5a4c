"""The network of the heatmaps: from the traces of a picture's cells to log-odds that a cell was forged.

What counts is how a cell differs from its own picture: figures are read in deviations from the picture's mean, and
beside them how far colour and grain lie from those of the picture's border, which mostly is ground.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from zhentu.detect.traces import CELLS, FIGURES
from zhentu.types import CATEGORIES

_WIDTH, _REACH = 24, (1, 2, 4)  # channels; cells between the points of each convolution
_COLOURS, _GRAINS = [0, 2, 4], slice(7, 11)  # of the figures: mean L, a, b; the four residuals of brightness
_FARTHEST, _LEAST_SPREAD = 6.0, 1e-3
_COLOUR_SCALE = 20.0  # of L, a, b
_DROPOUT, _BATCH, _RATE, _DECAY = 0.1, 16, 3e-3, 1e-3
FORGED, CLEAN = 0.5, 0.02  # shares of a cell that is forged; in between it teaches nothing
_EXTRA = 5  # planes beside the figures: two distances from the border, three of position


class PlaceNetwork(nn.Module):
    """Traces float32 (B, CELLS, CELLS, FIGURES) -> log-odds that a cell was forged, (B, 5, CELLS, CELLS)."""

    border: Tensor
    position: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(FIGURES + _EXTRA, _WIDTH, 1)
        self.around = nn.ModuleList(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=each, dilation=each) for each in _REACH)
        self.last = nn.Conv2d(_WIDTH, len(CATEGORIES), 1)
        border = torch.zeros(1, 1, CELLS, CELLS)
        border[..., [0, -1], :] = border[..., [0, -1]] = 1
        self.register_buffer("border", border / border.sum())
        along = torch.linspace(0, 1, CELLS)
        down, right = torch.meshgrid(along, along, indexing="ij")
        self.register_buffer("position", torch.stack([(right - 0.5).abs(), (down - 0.5).abs(), down])[None])

    def forward(self, traces: Tensor) -> Tensor:
        """See the class."""
        x = torch.relu(self.first(self._planes(traces.permute(0, 3, 1, 2))))
        for each in self.around:
            x = x + torch.relu(each(nn.functional.dropout2d(x, _DROPOUT, self.training)))
        logits: Tensor = self.last(x)
        return logits

    def _planes(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        spread = ((x - mean) ** 2).mean((2, 3), keepdim=True).sqrt() + _LEAST_SPREAD
        deviations = ((x - mean) / spread).clamp(-_FARTHEST, _FARTHEST)
        from_border = x - (x * self.border).sum((2, 3), keepdim=True)
        colour = (from_border[:, _COLOURS] ** 2).sum(1, keepdim=True).sqrt() / _COLOUR_SCALE
        grain = from_border[:, _GRAINS].abs().mean(1, keepdim=True)
        position = self.position.expand(x.shape[0], -1, -1, -1)
        return torch.cat([deviations, colour, grain, position], 1)


def train(traces: np.ndarray, shares: np.ndarray, taught: np.ndarray, epochs: int, seed: int) -> PlaceNetwork:
    """Fit the network. traces (n, CELLS, CELLS, FIGURES); shares (n, CELLS, CELLS), how much of a cell is forged.

    taught: bool (n, 5), of which outputs a picture is an example.

    Within a picture forged and clean cells weigh alike, and so do pictures. Cells in between teach nothing, nor do
    pictures that are forged as a whole. Half of the batches are mirrored.
    """
    use = (shares >= FORGED).any((1, 2)) & (shares <= CLEAN).any((1, 2))
    traces, shares, taught = traces[use], shares[use], taught[use]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, mask, outputs = (torch.from_numpy(each.astype(np.float32)) for each in (traces, shares, taught))
    weight = _cell_weights(mask)
    network, batch = PlaceNetwork(), min(_BATCH, len(x))
    steps = epochs * (len(x) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    network.train()
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            rows = torch.from_numpy(order[start : start + batch])
            parts = x[rows], (mask[rows] >= FORGED).float(), weight[rows]
            if rng.random() < 0.5:
                parts = parts[0].flip(2), parts[1].flip(2), parts[2].flip(2)
            said = network(parts[0])
            goal = parts[1][:, None].expand_as(said)
            loss = nn.functional.binary_cross_entropy_with_logits(said, goal, reduction="none") * parts[2][:, None]
            loss = (loss.sum((2, 3)) * outputs[rows]).sum() / batch
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            rates.step()
    return network.eval()


def _cell_weights(mask: Tensor) -> Tensor:
    sides = [(mask >= FORGED).float(), (mask <= CLEAN).float()]
    return sum(side * 0.5 / side.sum((1, 2), keepdim=True).clamp(min=1) for side in sides)  # type: ignore[return-value]
