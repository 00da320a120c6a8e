"""A network that finds lesions: a backbone of maps with three heads, and what is lost on them.

Heat (logit of "a centre is in this cell") and size (logarithm of the diameter) lie on cells of two voxels,
the mask on the voxels themselves: what the node reads as `centre_heat`. Of a picture there are two axes.
Source of the loss on heat: Zhou, Wang and Krähenbühl, Objects as Points (2019): cells near a centre are no
full negatives; of the bias that it begins with: Lin et al., Focal Loss (2017), 4.1.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from dicomnode.learn.train.losses import MapLoss
from dicomnode.learn.train.samples import IGNORED

STRIDE: Final = 2
HEAT_STEPS: Final = 254.0
"""Of a target: heat from 0 to 1 in so many steps; the last value of a byte means that nobody has said."""

PLANES: Final = 4
"""Axes of tensors (n, c, j, i) of pictures; volumes have one more."""

LOG_STEPS: Final = 50.0
"""Of a target: the logarithm of a diameter of 1 to 160 (mm, of pictures pixels), in so many steps a unit."""

_FEW_CENTRES: Final = -4.6  # logit of 1 in 100: before it has learned, a network sees no centre anywhere
_USUAL_LOG: Final = 2.3  # ln 10 mm
_NEAR: Final = 0.5  # cells with more heat than this tell the size
_MOVED: Final = 0.4  # of the heat: a centre that fell between voxels when a patch was turned has more
_ALPHA, _BETA = 2.0, 4.0
_SIZE_WEIGHT: Final = 0.5


class Detector(nn.Module):
    """(n, c, k, j, i) → heat and size on cells of two voxels, mask on voxels, one channel each.

    flat: of pictures, (n, c, j, i).
    """

    head_names: Final = ("heat", "size", "mask")

    def __init__(self, backbone: nn.Module, features: int, *, flat: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        layer = nn.Conv2d if flat else nn.Conv3d
        self.coarse = nn.Sequential(
            nn.ReLU(), layer(features, 2 * features, 3, stride=STRIDE, padding=1), nn.ReLU()
        )
        self.heat = layer(2 * features, 1, 1)
        self.size = layer(2 * features, 1, 1)
        self.mask = layer(features, 1, 1)
        nn.init.constant_(_bias(self.heat), _FEW_CENTRES)
        nn.init.constant_(_bias(self.size), _USUAL_LOG)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return heat, size, mask."""
        found = self.backbone(image)
        coarse = self.coarse(found)
        return self.heat(coarse), self.size(coarse), self.mask(found)


def _bias(layer: nn.Conv2d | nn.Conv3d) -> Tensor:
    if layer.bias is None:
        raise ValueError("a head has a bias")
    return layer.bias


class CentreLoss:
    """What is lost on (heat, size, mask) against uint8 targets (n, 3, [k,] j, i): mask, heat, log diameter.

    Each is known for itself: of a lesion that is a point alone the heat, and neither mask nor size.
    """

    def __init__(self, mask_loss: MapLoss) -> None:
        self.mask_loss = mask_loss

    def __call__(self, found: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the sum; what is IGNORED counts nowhere."""
        heat, size, mask = (one.float() for one in found)
        known = _cells(target[:, 1:2] != IGNORED, torch.amin)
        truth = _cells(torch.where(target[:, 1:2] == IGNORED, 0, target[:, 1:2]), torch.amax) / HEAT_STEPS
        logs = torch.where(target[:, 2:3] == IGNORED, 0, target[:, 2:3])
        size_known = known * _cells(target[:, 2:3] != IGNORED, torch.amax) * (truth > _NEAR)
        wanted = _cells(logs, torch.amax) / LOG_STEPS
        apart = (functional.smooth_l1_loss(size, wanted, reduction="none") * size_known).sum()
        loss = self.mask_loss(mask, target[:, :1]) + _heat_loss(heat, truth, known)
        return loss + _SIZE_WEIGHT * apart / size_known.sum().clamp(min=1.0)


def _heat_loss(heat: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    centre = _centres(truth, known).to(heat.dtype)
    other = (1.0 - centre) * known * (1.0 - truth) ** _BETA
    found = torch.sigmoid(heat)
    missed = -functional.logsigmoid(heat) * (1.0 - found) ** _ALPHA * centre
    alarms = -functional.logsigmoid(-heat) * found**_ALPHA * other
    return (missed.sum() + alarms.sum()) / centre.sum().clamp(min=1.0)


def _centres(truth: Tensor, known: Tensor) -> Tensor:
    """Tell which cells hold a centre: those with all heat, and those that had it before a patch was turned.

    The voxel of a centre may be lost between others then; its cell is still hotter than all around it. At the
    rim of what is known that says nothing: the heat there may be that of a centre beyond.
    """
    margins = [1] * (2 * (truth.ndim - 2))
    inner = -_pooled(functional.pad(-known, margins, value=0.0), 3, 1) > 0
    hottest = truth == _pooled(functional.pad(truth, margins), 3, 1)
    return (known > 0) & ((truth >= 1.0) | (inner & hottest & (truth > _MOVED)))


def _cells(values: Tensor, pool: object) -> Tensor:
    """Bring voxels (n, 1, [k,] j, i) to cells: the largest (torch.amax) or smallest (torch.amin) of each."""
    given = values.float()
    if pool is torch.amin:
        return -_pooled(-given, STRIDE, STRIDE)
    return _pooled(given, STRIDE, STRIDE)


def _pooled(values: Tensor, size: int, stride: int) -> Tensor:
    pool = functional.max_pool2d if values.ndim == PLANES else functional.max_pool3d
    pooled: Tensor = pool(values, size, stride)
    return pooled
