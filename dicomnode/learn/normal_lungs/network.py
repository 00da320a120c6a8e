"""The network: HU and lungs in; how unusual each cell is among those of normal lungs, and the scan, out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dicomnode.learn.normal_lungs.filters import Filters
from dicomnode.values import Float64

OUTPUTS: Final = ("map", "score")
LEVELS: Final = (1.0, 2.0, 3.0, 4.0)
"""Of the map: one cell of 10, 100, 1000 and 10 000 of normal lungs lies above."""

_HALF: Final = 0.3  # log10 2: half of the cells lie above
_MOST: Final = 8.0
LEAST_LUNG: Final = 0.5
"""Share of lung in a cell that is looked at."""

_LOG10: Final = float(np.log(10.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """A mixture of Gaussians over the numbers of a cell. centre, scale: (f,), which they are scaled by.

    weights: (m,). means: (m, f), scaled. whitened: (m, f, f), lower triangular, of each inverse covariance:
    the distance of x is |whitened · (x - mean)|. All float64. converged: whether more iterations of fitting
    would have changed next to nothing.
    """

    centre: Float64
    scale: Float64
    weights: Float64
    means: Float64
    whitened: Float64
    converged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Usual:
    """What is usual of normal scans.

    ends: minus the log likelihood that the part 1/2, 1/10 … 1/10 000 of normal cells lie above, rising.
    means, spreads: of the logarithm of the part of a normal scan above each of `LEVELS`.
    """

    ends: Float64
    means: Float64
    spreads: Float64


class Density(nn.Module):
    """(n, f, k, j, i) numbers of cells → (n, 1, k, j, i) minus the logarithm of how likely they are."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        parts, features = mixture.means.shape
        # |W (x - c) / s - W m|²: one convolution by 1 x 1 x 1 for each part
        matrix = mixture.whitened / mixture.scale
        offset = np.einsum("pab,b->pa", matrix, mixture.centre) + np.einsum(
            "pab,pb->pa", mixture.whitened, mixture.means
        )
        diagonal = np.diagonal(mixture.whitened, axis1=1, axis2=2)
        constant = np.log(mixture.weights) + np.log(diagonal).sum(axis=1)
        constant -= 0.5 * features * np.log(2.0 * np.pi)
        self.parts = parts
        self.register_buffer("matrix", _float(matrix.reshape(parts, features, features, 1, 1, 1)))
        self.register_buffer("offset", _float(offset))
        self.register_buffer("constant", _float(constant))

    def forward(self, numbers: Tensor) -> Tensor:
        """Return it part by part: all parts at once would take too much memory."""
        matrix, offset, constant = (self.get_buffer(one) for one in ("matrix", "offset", "constant"))
        found: Tensor | None = None
        for part in range(self.parts):
            apart = nn.functional.conv3d(numbers, matrix[part], -offset[part])
            likely = constant[part] - 0.5 * (apart * apart).sum(dim=1, keepdim=True)
            if found is None:
                found = likely
            else:
                least, most = torch.minimum(found, likely), torch.maximum(found, likely)
                found = most + torch.log(1.0 + torch.exp(least - most))
        if found is None:
            raise ValueError("a mixture has at least one part")
        return -found


class Unusual(nn.Module):
    """(n, 2, k, j, i) HU and lungs → map (n, 1, k/2, j/2, i/2) and score (n, 1).

    map: minus the decimal logarithm of the part of cells of normal lungs that are as unusual; 0 outside of
    the lungs. score: by how many standard deviations of normal scans the part of cells above a level is
    larger than usual, at the level where that is most.
    """

    def __init__(self, mixture: Mixture, usual: Usual) -> None:
        super().__init__()
        self.filters = Filters()
        self.density = Density(mixture)
        self.register_buffer("ends", _float(usual.ends))
        heights = np.diff([_HALF, *LEVELS]) / np.diff(usual.ends)
        self.register_buffer("slopes", _float(np.diff([0.0, *heights])))
        self.register_buffer("means", _float(usual.means))
        self.register_buffer("spreads", _float(usual.spreads))

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Return both."""
        numbers, share = self.filters(shown)
        inside = (share >= LEAST_LUNG).float()
        found = self.ranked(self.density(numbers)) * inside
        return found, self.score(self.parts_above(found, inside))

    def ranked(self, unlikely: Tensor) -> Tensor:
        """Put it on the scale of the map: linear between the ends, and beyond the last as before it."""
        ends, slopes = self.get_buffer("ends"), self.get_buffer("slopes")
        found: Tensor = torch.add(slopes[0] * (unlikely - ends[0]).clamp(min=0.0), _HALF)
        for end, slope in zip(ends[1:-1], slopes[1:], strict=True):
            found = found + slope * (unlikely - end).clamp(min=0.0)
        return found.clamp(max=_MOST)

    def parts_above(self, found: Tensor, inside: Tensor) -> Tensor:
        """Return the logarithm of the part of cells of the lungs above each level, (n, levels).

        A tenth of what is usual is added: of small lungs no cell may lie above the last.
        """
        cells = inside.sum(dim=(1, 2, 3, 4)).clamp(min=1.0)
        parts = [(found > level).float().sum(dim=(1, 2, 3, 4)) / cells for level in LEVELS]
        usual = torch.tensor([0.1 * 10.0**-level for level in LEVELS], device=found.device)
        return torch.log(torch.stack(parts, dim=1) + usual) / _LOG10

    def score(self, parts: Tensor) -> Tensor:
        """Return the largest of the distances from what is usual, (n, 1)."""
        apart = (parts - self.get_buffer("means")) / self.get_buffer("spreads")
        return apart.max(dim=1, keepdim=True).values


def _float(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
