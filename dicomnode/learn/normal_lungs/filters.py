"""Numbers of each place in the lungs: density near and far, its spread, what is thick, how near the wall is.

They are filters that nobody trains; what is normal among them is learned (`density`). Cells of 4 mm.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

CELL: Final = 2
"""Voxels of the scan to a cell of what is measured, along each axis."""

_LOW_HU, _SPAN_HU, _TOP = -1000.0, 1000.0, 1.2  # -1000 … 200 HU become 0 … 1.2
_BLURS: Final = (1.0, 2.0, 4.0)  # cells: 4, 8 and 16 mm
_SPREADS: Final = (1.0, 2.0)
_WALLS: Final = (2.0, 4.0)
_THICK: Final = (3, 5)  # voxels: a vessel of less than 6 and 10 mm is opened away
_REACH: Final = 2.5  # of a Gaussian, in its SD
_LEAST_SHARE: Final = 1e-3
_LEAST_VARIANCE: Final = 1e-5

NAMES: Final = (
    "mean of the cell",
    *(f"mean within {4 * one:g} mm" for one in _BLURS),
    *(f"spread within {4 * one:g} mm" for one in _SPREADS),
    *(f"thicker than {2 * one} mm" for one in _THICK),
    *(f"lung within {4 * one:g} mm" for one in _WALLS),
)
"""Of the numbers, in their order."""


class Filters(nn.Module):
    """(n, 2, k, j, i) HU and lungs (0 or 1) → (n, names, k/2, j/2, i/2), and the share of lung (n, 1, …)."""

    def __init__(self) -> None:
        super().__init__()
        for one in sorted({*_BLURS, *_SPREADS, *_WALLS}):
            self.register_buffer(f"line_{one:g}", _line(one), persistent=False)

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Measure each cell."""
        lungs = (shown[:, 1:2].abs() > 0.5).float()  # so that the gate's seeded lung, below 0, is one
        density = ((shown[:, 0:1] - _LOW_HU) / _SPAN_HU).clamp(0.0, _TOP) * lungs
        share = functional.avg_pool3d(lungs, CELL)
        first = functional.avg_pool3d(density, CELL)
        second = functional.avg_pool3d(density * density, CELL)
        found = [first / share.clamp(min=_LEAST_SHARE)]
        around = {one: self._blurred(share, one) for one in {*_BLURS, *_SPREADS, *_WALLS}}
        means = {one: self._blurred(first, one) / around[one].clamp(min=_LEAST_SHARE) for one in _BLURS}
        found += [means[one] for one in _BLURS]
        for one in _SPREADS:
            square = self._blurred(second, one) / around[one].clamp(min=_LEAST_SHARE)
            found.append((square - means[one] ** 2).clamp(min=_LEAST_VARIANCE).log() * 0.5)
        found += [functional.max_pool3d(_opened(density, one), CELL) for one in _THICK]
        found += [around[one] for one in _WALLS]
        return torch.cat(found, dim=1), share

    def _blurred(self, image: Tensor, cells: float) -> Tensor:
        line = self.get_buffer(f"line_{cells:g}")
        for axis in range(3):
            shape = [1, 1, 1, 1, 1]
            shape[2 + axis] = len(line)
            pad = [0, 0, 0]
            pad[axis] = len(line) // 2
            image = functional.conv3d(image, line.view(shape), padding=pad)
        return image


def _line(cells: float) -> Tensor:
    reach = math.ceil(_REACH * cells)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    line = torch.exp(-0.5 * (places / cells) ** 2)
    return line / line.sum()


def _opened(image: Tensor, size: int) -> Tensor:
    """Take away what is thinner than a cube of `size` voxels: the least of each cube, then the most."""
    return _most(-_most(-image, size), size)


def _most(image: Tensor, size: int) -> Tensor:
    for axis in range(3):
        kernel: Any = [1, 1, 1]
        pad: Any = [0, 0, 0]
        kernel[axis], pad[axis] = size, size // 2
        image = functional.max_pool3d(image, kernel, stride=1, padding=pad)
    return image
