"""The network: HU in; centres, sizes and a mask out.

A volume of 1.25 mm is folded to 2.5 mm with eight channels (nothing is lost, and all that follows costs an
eighth), goes down to 20 mm in a U-shape of residual blocks, and unfolds its mask again. Going down is done by
strides: the same convolution before a pooling costs eight times as much, which is spent on the finest level
instead. BatchNorm and no other norm: it is folded into the convolutions on export, so that it costs nothing,
and what is said of a place does not depend on how large a box around it was looked at, as with norms of an
instance or group, whose statistics would be those of a patch while it learns and of a chest in service.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, clamp, nn
from torch.nn import functional

OUTPUTS: Final = ("heat", "logd", "mask")
MULTIPLE: Final = 16
"""Voxels that the sides of an input are a multiple of."""

_WIDTHS: Final = (16, 32, 64, 64)
_FOLD: Final = 2
_LOW_HU, _SPAN_HU, _TOP = -1000.0, 1400.0, 1.2  # -1000 … 680 HU become -1 … 1.4
_FEW_CENTRES, _USUAL_LOG, _FEW_VOXELS = -4.0, 2.0, -3.0  # what it says before it has learned


class NoduleNetwork(nn.Module):
    """(n, 1, k, j, i) HU → heat and log diameter on cells of two voxels, and the mask; one channel each."""

    def __init__(self) -> None:
        super().__init__()
        top, second, third, lowest = _WIDTHS
        self.stem = _Layer(_FOLD**3, top)
        self.down = nn.ModuleList([nn.Sequential(_Residual(top))])
        for before, width, blocks in ((top, second, 1), (second, third, 2), (third, lowest, 1)):
            residuals = [_Residual(width) for _ in range(blocks)]
            self.down.append(nn.Sequential(_Layer(before, width, stride=2), *residuals))
        self.lateral = nn.ModuleList(
            [nn.Conv3d(below, width, 1) for below, width in ((second, top), (third, second), (lowest, third))]
        )
        self.up = nn.ModuleList([_Residual(top), _Residual(second), nn.Identity()])
        self.heads = nn.Conv3d(top, 2 + _FOLD**3, 1)
        bias = self.heads.bias
        if bias is None:
            raise ValueError("the heads have a bias")
        nn.init.constant_(bias[0:1], _FEW_CENTRES)
        nn.init.constant_(bias[1:2], _USUAL_LOG)
        nn.init.constant_(bias[2:], _FEW_VOXELS)

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return heat, log diameter, mask."""
        seen = clamp((hu - _LOW_HU) / _SPAN_HU, 0.0, _TOP) * 2.0 - 1.0
        levels = []
        found = self.stem(folded(seen))
        for stage in self.down:
            found = stage(found)
            levels.append(found)
        for level in (2, 1, 0):
            raised = functional.interpolate(self.lateral[level](found), scale_factor=2.0, mode="nearest")
            found = self.up[level](levels[level] + raised)
        heads = self.heads(found)
        return heads[:, 0:1], heads[:, 1:2], unfolded(heads[:, 2:])


class _Layer(nn.Module):
    """Convolution, norm, rectifier."""

    def __init__(self, before: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(before, width, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.convolution(x)))


class _Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _Layer(width, width)
        self.second = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.norm(self.second(self.first(x))))


def folded(x: Tensor) -> Tensor:
    """Space to depth: (n, c, k, j, i) → (n, 8 c, k/2, j/2, i/2)."""
    n, c, k, j, i = x.shape
    x = x.reshape(n, c, k // 2, 2, j // 2, 2, i // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, c * 8, k // 2, j // 2, i // 2)


def unfolded(x: Tensor) -> Tensor:
    """Depth to space, the other way round."""
    n, c, k, j, i = x.shape
    x = x.reshape(n, c // 8, 2, 2, 2, k, j, i)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, c // 8, k * 2, j * 2, i * 2)


class Calibrated(nn.Module):
    """The network with its heat as the logit of a probability: slope · logit + offset (Platt scaling).

    It lies in the graph, and not in engine.toml: a score that leaves the network is one already, whoever runs
    it. With a slope above 0 no centre moves and none changes its rank.
    """

    def __init__(self, network: nn.Module, slope: float, offset: float) -> None:
        super().__init__()
        if not slope > 0.0:
            raise ValueError(f"the slope of a calibration must be above 0, got {slope}")
        self.network, self.slope, self.offset = network, slope, offset

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return heat, log diameter, mask."""
        heat, size, mask = self.network(hu)
        return heat * self.slope + self.offset, size, mask
